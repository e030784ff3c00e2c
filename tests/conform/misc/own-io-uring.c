/* An io_uring of the program's own: threads wait in io_uring_enter for a read on a pipe, for poll
 * requests and timeouts, watch the ring with poll and an eventfd, each its own ring. */
#include "../t.h"
#include <linux/io_uring.h>
#include <sys/eventfd.h>

struct ring {
    int fd;
    unsigned *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
    struct io_uring_sqe *sqes;
    struct io_uring_cqe *cqes;
};

static int ring_open(struct ring *r)
{
    struct io_uring_params p = {0};
    r->fd = (int)syscall(SYS_io_uring_setup, 8, &p);
    if (r->fd < 0)
        return -1;
    char *sq = mmap(NULL, p.sq_off.array + p.sq_entries * 4, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQ_RING);
    char *cq = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof *r->cqes, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_CQ_RING);
    r->sqes = mmap(NULL, p.sq_entries * sizeof *r->sqes, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQES);
    CHECK(sq != MAP_FAILED && cq != MAP_FAILED && r->sqes != MAP_FAILED);
    r->sq_tail = (unsigned *)(sq + p.sq_off.tail);
    r->sq_mask = (unsigned *)(sq + p.sq_off.ring_mask);
    r->sq_array = (unsigned *)(sq + p.sq_off.array);
    r->cq_head = (unsigned *)(cq + p.cq_off.head);
    r->cq_tail = (unsigned *)(cq + p.cq_off.tail);
    r->cq_mask = (unsigned *)(cq + p.cq_off.ring_mask);
    r->cqes = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
    return 0;
}

static void ring_push(struct ring *r, struct io_uring_sqe sqe)
{
    unsigned tail = *r->sq_tail, i = tail & *r->sq_mask;
    r->sqes[i] = sqe;
    r->sq_array[i] = i;
    __atomic_store_n(r->sq_tail, tail + 1, __ATOMIC_RELEASE);
}

static struct io_uring_cqe ring_pop(struct ring *r)
{
    unsigned head = *r->cq_head;
    CHECK(__atomic_load_n(r->cq_tail, __ATOMIC_ACQUIRE) != head);
    struct io_uring_cqe cqe = r->cqes[head & *r->cq_mask];
    __atomic_store_n(r->cq_head, head + 1, __ATOMIC_RELEASE);
    return cqe;
}

static long ring_enter(struct ring *r, unsigned submit, unsigned wait)
{
    return syscall(SYS_io_uring_enter, r->fd, submit, wait, wait ? IORING_ENTER_GETEVENTS : 0, NULL,
                   0);
}

#define COUNT 10
static int tubes[COUNT][2];
static _Atomic int waiting;

static void *body(void *arg)
{
    int i = (int)(intptr_t)arg;
    struct ring r;
    char text[8] = "";
    CHECK_OK(ring_open(&r));
    struct io_uring_sqe read = {.opcode = IORING_OP_READ,
                                .fd = tubes[i][0],
                                .addr = (uint64_t)(uintptr_t)text,
                                .len = 8,
                                .off = -1ULL,
                                .user_data = 7};
    struct io_uring_sqe look = {
        .opcode = IORING_OP_POLL_ADD, .fd = tubes[i][0], .poll32_events = POLLIN, .user_data = 8};
    int64_t span[2] = {0, 3 * MSEC};
    struct io_uring_sqe timeout = {
        .opcode = IORING_OP_TIMEOUT, .addr = (uint64_t)(uintptr_t)span, .len = 1, .user_data = 9};
    for (int round = 0; round < 3; round++) {
        ring_push(&r, round == 1 ? look : read);
        waiting++;
        if (round == 2) { /* submit only; learn of it by poll on the ring */
            CHECK_EQ(ring_enter(&r, 1, 0), 1);
            struct pollfd p = {r.fd, POLLIN, 0};
            CHECK_EQ(poll(&p, 1, -1), 1);
        } else {
            long n = ring_enter(&r, 1, 1);
            CHECK_EQ(n, 1);
        }
        struct io_uring_cqe cqe = ring_pop(&r);
        CHECK_EQ(cqe.user_data, round == 1 ? 8 : 7);
        CHECK_EQ(cqe.res, round == 1 ? POLLIN : 4);
        if (round == 1)
            t_read_all(tubes[i][0], text, 4);
        CHECK_EQ(atoi(text), 100 + i);
    }
    ring_push(&r, timeout);
    int64_t start = t_now(CLOCK_MONOTONIC);
    CHECK_EQ(ring_enter(&r, 1, 1), 1);
    CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 3 * MSEC);
    CHECK_EQ(ring_pop(&r).res, -ETIME);
    int event = eventfd(0, 0);
    CHECK_OK(syscall(SYS_io_uring_register, r.fd, IORING_REGISTER_EVENTFD, &event, 1));
    ring_push(&r, timeout);
    CHECK_EQ(ring_enter(&r, 1, 0), 1);
    eventfd_t one;
    CHECK_OK(eventfd_read(event, &one));
    CHECK_EQ(ring_pop(&r).res, -ETIME);
    close(event);
    close(r.fd);
    return NULL;
}

int main(void)
{
    pthread_t threads[COUNT];
    struct ring r;
    if (ring_open(&r) != 0)
        t_skip("no io_uring here");
    close(r.fd);
    for (int i = 0; i < COUNT; i++) {
        CHECK_OK(pipe(tubes[i]));
        threads[i] = t_go(body, (void *)(intptr_t)i);
    }
    for (int round = 1; round <= 3; round++) {
        while (waiting < round * COUNT)
            sched_yield();
        if (round == 1)
            t_settle();
        for (int i = 0; i < COUNT; i++)
            CHECK_EQ(dprintf(tubes[i][1], "%d\n", 100 + i), 4); /* one write */
    }
    for (int i = 0; i < COUNT; i++)
        t_join(threads[i]);
    return 0;
}
