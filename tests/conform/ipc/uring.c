/* Many threads wait in io_uring_enter, each on a ring of its own: submitting and waiting in one call, then only waiting, with
 * a time limit, and for more than one completion. */
/* conform: also HANDOFF_MAX_WORKERS=16 */
/* conform: also HANDOFF_MAX_WORKERS=1 HANDOFF_PROCS=1 */
#include "../t.h"
#include <linux/io_uring.h>
#include <sys/eventfd.h>

enum { THREADS = 60 };

struct ring {
    int fd, event;
    unsigned *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
    struct io_uring_sqe *sqes;
    struct io_uring_cqe *cqes;
};
static struct ring rings[THREADS];
static _Atomic int passed, first;

static int enter(struct ring *r, unsigned submit, unsigned least, unsigned flags, void *arg, size_t size)
{
    return (int)syscall(SYS_io_uring_enter, r->fd, submit, least, flags, arg, size);
}

static void open_ring(struct ring *r)
{
    struct io_uring_params p = {0};
    r->fd = (int)syscall(SYS_io_uring_setup, 4, &p);
    if (r->fd < 0 || !(p.features & IORING_FEAT_EXT_ARG))
        t_skip("no io_uring");
    CHECK(p.features & IORING_FEAT_SINGLE_MMAP);
    size_t size = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
    char *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQ_RING);
    CHECK(base != MAP_FAILED);
    r->sqes = mmap(NULL, p.sq_entries * sizeof *r->sqes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd,
                   IORING_OFF_SQES);
    CHECK(r->sqes != MAP_FAILED);
    r->sq_tail = (unsigned *)(base + p.sq_off.tail);
    r->sq_mask = (unsigned *)(base + p.sq_off.ring_mask);
    r->sq_array = (unsigned *)(base + p.sq_off.array);
    r->cq_head = (unsigned *)(base + p.cq_off.head);
    r->cq_tail = (unsigned *)(base + p.cq_off.tail);
    r->cq_mask = (unsigned *)(base + p.cq_off.ring_mask);
    r->cqes = (struct io_uring_cqe *)(base + p.cq_off.cqes);
    CHECK_GE(r->event = eventfd(0, 0), 0);
}

static void prepare(struct ring *r, uint64_t data)
{
    unsigned tail = *r->sq_tail, at = tail & *r->sq_mask;
    memset(&r->sqes[at], 0, sizeof r->sqes[at]);
    r->sqes[at].opcode = IORING_OP_POLL_ADD;
    r->sqes[at].fd = r->event;
    r->sqes[at].poll_events = POLLIN;
    r->sqes[at].user_data = data;
    r->sq_array[at] = at;
    __atomic_store_n(r->sq_tail, tail + 1, __ATOMIC_RELEASE);
}

static int reap(struct ring *r, uint64_t data)
{
    unsigned head = *r->cq_head;
    if (head == __atomic_load_n(r->cq_tail, __ATOMIC_ACQUIRE))
        return 0;
    CHECK_EQ(r->cqes[head & *r->cq_mask].user_data, data);
    CHECK(r->cqes[head & *r->cq_mask].res & POLLIN);
    __atomic_store_n(r->cq_head, head + 1, __ATOMIC_RELEASE);
    return 1;
}

static void *waits(void *arg)
{
    struct ring *r = &rings[(intptr_t)arg];
    struct __kernel_timespec hour = {3600, 0};
    struct io_uring_getevents_arg ext = {.ts = (uint64_t)&hour};
    uint64_t count;
    prepare(r, 1);
    CHECK_EQ(enter(r, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0), 1);
    CHECK(reap(r, 1));
    CHECK_EQ(read(r->event, &count, sizeof count), sizeof count);
    prepare(r, 2);
    CHECK_EQ(enter(r, 1, 0, 0, NULL, 0), 1);
    CHECK(!reap(r, 2));
    first++;
    CHECK_EQ(enter(r, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &ext, sizeof ext), 0);
    CHECK(reap(r, 2));
    passed++;
    return NULL;
}

static void happens(struct ring *r)
{
    uint64_t one = 1;
    CHECK_EQ(write(r->event, &one, sizeof one), sizeof one);
}

int main(void)
{
    pthread_t threads[THREADS];
    struct __kernel_timespec tick = {0, 20 * MSEC};
    struct io_uring_getevents_arg ext = {.ts = (uint64_t)&tick};
    for (int i = 0; i < THREADS; i++)
        open_ring(&rings[i]);
    for (intptr_t i = 0; i < THREADS; i++)
        threads[i] = t_go(waits, (void *)i);
    t_settle();
    CHECK_EQ(first, 0);
    for (int i = THREADS; i-- > 0;)
        happens(&rings[i]);
    while (first < THREADS)
        sched_yield();
    t_settle();
    CHECK_EQ(passed, 0);
    for (int i = 0; i < THREADS; i++)
        happens(&rings[i]);
    for (int i = 0; i < THREADS; i++)
        t_join(threads[i]);
    CHECK_EQ(passed, THREADS);

    struct ring *r = &rings[0];
    int64_t before = t_now(CLOCK_MONOTONIC);
    CHECK_ERR(enter(r, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &ext, sizeof ext), ETIME);
    CHECK_GE(t_now(CLOCK_MONOTONIC) - before, 20 * MSEC);
    prepare(r, 3); /* still readable: both at once */
    prepare(r, 3);
    CHECK_EQ(enter(r, 2, 2, IORING_ENTER_GETEVENTS, NULL, 0), 2);
    CHECK(reap(r, 3));
    CHECK(reap(r, 3));
    CHECK(!reap(r, 3));
    return 0;
}
