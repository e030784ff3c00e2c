/* An io_uring of the program's own: threads wait in io_uring_enter for a read on a pipe, for poll
 * requests and timeouts, watch the ring with poll and an eventfd, each its own ring. */
#include "../ring.h"
#include <sys/eventfd.h>

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
