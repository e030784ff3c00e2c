/* Process-shared futexes without a worker for each waiter.
 *
 * The kernel must do these waits: another process, or one of our own threads in the kernel, wakes them. As long as
 * workers are to be had each is made natively (block_admit). Beyond that the user thread parks, and one helper thread,
 * futexd, has the kernel wait for all of them at once, through a ring of io_uring (IORING_OP_FUTEX_WAIT, Linux 6.7): each keeps its
 * own place in the kernel's queue, is counted by FUTEX_WAKE, moved by FUTEX_REQUEUE and chosen by bitset, exactly
 * as a thread that waits there.
 *
 * Rejected: futex_waitv (Linux 5.16). It tells one of those that were woken, and leaves all queues to take in
 * another waiter: wake-ups would be lost, or multiplied to everybody. So without io_uring (older kernels, or
 * where seccomp or sysctl forbid it) these waits stay native.
 *
 * A waiter lies on its user thread's stack:
 *   QUEUED [futex_wait_shared]  in `fresh`, which futexd takes over
 *   TAKEN  [futexd]             the kernel has it
 *   DONE   [futexd]             its result is known; futexd does not touch it any more
 * A time limit or a signal wakes the user thread, but the kernel may have woken the waiter at the same moment, and that
 * wake-up must not be lost. So it has the wait cancelled and stays until it is DONE: woken is woken, as in the kernel. That is
 * short, needs no other user thread, and is waited for in system call state.
 *
 * The ring is futexd's alone: it sets it up, submits and reaps, so that no completion ever interrupts a worker. Its descriptor is
 * registered and closed: it shows nowhere and no program can close it. futexd sleeps in the ring; the wait on `control`
 * in the same ring wakes it: who queued something sets control (xchg: full barrier), futexd clears it before it looks.
 */
#include "emul.h"

#include "../sched/internal.h"

#include <linux/futex.h>

enum { SQ_ENTRIES = 64, CQ_ENTRIES = 4096, ECANCELED = 125 };
enum { OP_ASYNC_CANCEL = 14, OP_FUTEX_WAIT = 51, SIZE_U32 = 2, PRIVATE = 128 };
enum { SETUP_CQSIZE = 8, SETUP_CLAMP = 16, SETUP_SINGLE_ISSUER = 1 << 12, SETUP_DEFER_TASKRUN = 1 << 13 };
enum { ENTER_GETEVENTS = 1, ENTER_REGISTERED = 16, REGISTER_RING_FDS = 20, OFF_SQES = 0x10000000 };

struct sqe {
    uint8_t opcode, flags;
    uint16_t ioprio;
    int32_t fd;
    uint64_t off, addr;
    uint32_t len, op_flags;
    uint64_t user_data;
    uint16_t buf_index, personality;
    int32_t file_index;
    uint64_t addr3, pad;
};
struct cqe {
    uint64_t user_data;
    int32_t res;
    uint32_t flags;
};
struct ring_params {
    uint32_t sq_entries, cq_entries, flags, cpu, idle, features, wq_fd, resv[3];
    struct {
        uint32_t head, tail, mask, entries, flags, dropped, array, resv;
        uint64_t user_addr;
    } sq;
    struct {
        uint32_t head, tail, mask, entries, overflow, cqes, flags, resv;
        uint64_t user_addr;
    } cq;
};
_Static_assert(sizeof(struct sqe) == 64 && sizeof(struct cqe) == 16 && sizeof(struct ring_params) == 120,
               "linux/io_uring.h");

enum { QUEUED, TAKEN, DONE };
struct shared_waiter {
    struct shared_waiter *next, *cancel_next; /* under lock */
    struct uthread *u;
    uint64_t seq;
    uint32_t *addr;
    uint32_t val, bitset;
    int32_t res;   /* when DONE */
    uint32_t state; /* atomic, futex word; changed under lock */
    bool cancel;   /* in `cancels`; under lock */
};

enum { UNTRIED, STARTING, READY, REFUSED };
static struct lock lock;
static struct shared_waiter *fresh, **fresh_tail, *cancels; /* under lock */
static uint32_t phase;   /* atomic, futex word */
static uint32_t control; /* atomic, futex word: 1 = look */

/* futexd's own */
static struct {
    long fd;
    uint32_t *sq_head, *sq_tail, *cq_head, *cq_tail;
    uint32_t sq_mask, cq_mask, tail, unsubmitted;
    struct sqe *sqes;
    struct cqe *cqes;
    bool armed; /* the wait on `control` is in the kernel */
} ring;
enum { DATA_CONTROL = 1, DATA_CANCEL = 2 }; /* other user_data: the waiter */

/* ---- the ring ---- */

static long ring_enter(uint32_t wait)
{
    long r = sys6(__NR_io_uring_enter, ring.fd, ring.unsubmitted, wait, ENTER_GETEVENTS | ENTER_REGISTERED, 0, 0);
    if (r > 0)
        ring.unsubmitted -= (uint32_t)r < ring.unsubmitted ? (uint32_t)r : ring.unsubmitted;
    return r;
}

static struct sqe *ring_sqe(void)
{
    while (ring.tail - load_acquire(ring.sq_head) > ring.sq_mask) /* full: pairs with the kernel's release */
        ring_enter(0);
    struct sqe *s = &ring.sqes[ring.tail & ring.sq_mask];
    memset(s, 0, sizeof *s);
    return s;
}
static void ring_push(void)
{
    store_release(ring.sq_tail, ++ring.tail); /* pairs with the kernel's acquire */
    ring.unsubmitted++;
}

static void submit_wait(uint32_t *addr, uint32_t val, uint32_t bitset, int flags, uint64_t data)
{
    struct sqe *s = ring_sqe();
    s->opcode = OP_FUTEX_WAIT;
    s->fd = SIZE_U32 | flags;
    s->addr = (uint64_t)addr;
    s->off = val;
    s->addr3 = bitset;
    s->user_data = data;
    ring_push();
}

static void arm_control(void)
{
    if (ring.armed)
        return;
    ring.armed = true;
    submit_wait(&control, 0, ~0u, PRIVATE, DATA_CONTROL);
}

/* Set it up, on futexd. False: this kernel does not have it, or does not let us. */
static bool ring_init(void)
{
    struct ring_params p = {.cq_entries = CQ_ENTRIES, .flags = SETUP_CQSIZE | SETUP_CLAMP | SETUP_SINGLE_ISSUER |
                                                               SETUP_DEFER_TASKRUN};
    struct {
        uint32_t offset, resv;
        uint64_t data;
    } reg = {~0u, 0, 0};
    long fd = sys2(__NR_io_uring_setup, SQ_ENTRIES, P(&p));
    if (fd < 0)
        return false;
    uint64_t size = p.cq.cqes + p.cq_entries * sizeof(struct cqe), sqes_size = p.sq_entries * sizeof(struct sqe);
    if (size < p.sq.array + p.sq_entries * 4)
        size = p.sq.array + p.sq_entries * 4;
    long base = sys6(__NR_mmap, 0, (long)size, 3, 0x8001 /* SHARED|POPULATE */, fd, 0);
    long sqes = sys6(__NR_mmap, 0, (long)sqes_size, 3, 0x8001, fd, OFF_SQES);
    reg.data = (uint64_t)fd;
    bool good = base > 0 && sqes > 0 && sys4(__NR_io_uring_register, fd, REGISTER_RING_FDS, P(&reg), 1) == 1;
    sys1(__NR_close, fd);
    if (!good)
        return false;
    sys3(__NR_madvise, base, (long)size, 10 /* DONTFORK */);
    sys3(__NR_madvise, sqes, (long)sqes_size, 10);
    ring.fd = reg.offset;
    ring.sq_head = (uint32_t *)(base + p.sq.head);
    ring.sq_tail = (uint32_t *)(base + p.sq.tail);
    ring.cq_head = (uint32_t *)(base + p.cq.head);
    ring.cq_tail = (uint32_t *)(base + p.cq.tail);
    ring.sq_mask = p.sq_entries - 1;
    ring.cq_mask = p.cq_entries - 1;
    ring.sqes = (struct sqe *)sqes;
    ring.cqes = (struct cqe *)(base + p.cq.cqes);
    ring.tail = ring.unsubmitted = 0;
    for (uint32_t i = 0; i < p.sq_entries; i++)
        ((uint32_t *)(base + p.sq.array))[i] = i;
    /* A kernel that does not know the operation says so at once. */
    ring.armed = false;
    arm_control();
    return ring_enter(0) == 1 && load_acquire(ring.cq_tail) == load_relaxed(ring.cq_head);
}

/* ---- futexd ---- */

static void finish(struct shared_waiter *w, int32_t res)
{
    struct uthread *u = w->u;
    lock_take(&lock);
    if (w->cancel) {
        struct shared_waiter **at = &cancels;
        while (*at && *at != w)
            at = &(*at)->cancel_next;
        if (*at)
            *at = w->cancel_next;
    }
    w->res = res;
    bool ours = wait_claim(u, w->seq, WAKE_EVENT);
    store_release(&w->state, DONE); /* if not ours, w may be gone now; its address does no harm */
    lock_drop(&lock);
    if (ours)
        sched_ready(u);
    else
        futex_wake_kernel(&w->state, 1);
}

static void take_requests(void)
{
    struct shared_waiter *list, *gone;
    xchg(&control, 0u); /* then look */
    lock_take(&lock);
    list = fresh;
    fresh = NULL;
    fresh_tail = &fresh;
    for (struct shared_waiter *w = list; w; w = w->next)
        store_relaxed(&w->state, TAKEN);
    gone = cancels;
    cancels = NULL;
    lock_drop(&lock);
    /* None of them goes away before we say DONE, below in the loop. */
    for (struct shared_waiter *w = list, *next; w; w = next) {
        next = w->next;
        submit_wait(w->addr, w->val, w->bitset, 0, (uint64_t)w);
    }
    for (struct shared_waiter *w = gone; w; w = w->cancel_next) {
        struct sqe *s = ring_sqe();
        s->opcode = OP_ASYNC_CANCEL;
        s->addr = (uint64_t)w;
        s->user_data = DATA_CANCEL;
        ring_push();
    }
}

static int futexd_main(void *arg)
{
    (void)arg;
    bool good = ring_init();
    if (!good)
        report(LOG_INFO, "no io_uring futexes: a wait on a process-shared futex takes a worker");
    xchg(&phase, good ? (uint32_t)READY : (uint32_t)REFUSED);
    futex_wake_kernel(&phase, INT32_MAX);
    while (!good) { /* idle for good: our stack cannot be given back from here */
        static uint32_t never;
        futex_wait_kernel(&never, 0, NULL);
    }
    for (;;) {
        take_requests();
        arm_control();
        ring_enter(1);
        uint32_t head = load_relaxed(ring.cq_head), tail = load_acquire(ring.cq_tail);
        for (; head != tail; head++) {
            struct cqe c = ring.cqes[head & ring.cq_mask];
            store_release(ring.cq_head, head + 1);
            if (c.user_data == DATA_CONTROL)
                ring.armed = false;
            else if (c.user_data != DATA_CANCEL)
                finish((struct shared_waiter *)c.user_data, c.res);
        }
    }
    return 0;
}

static bool futexd_ready(void)
{
    uint32_t was = load_acquire(&phase);
    if (likely(was == READY))
        return true;
    if (was == UNTRIED && cas(&phase, (uint32_t)UNTRIED, (uint32_t)STARTING)) {
        fresh_tail = &fresh;
        if (helper_start(futexd_main, NULL, 64 * 1024) < 0)
            xchg(&phase, (uint32_t)REFUSED);
    }
    while ((was = load_acquire(&phase)) == STARTING)
        futex_wait_kernel(&phase, STARTING, NULL);
    return was == READY;
}

/* In a fork child: it has no futexd, and the ring is not mapped. */
void futexd_reset(void)
{
    lock = (struct lock){0};
    fresh = cancels = NULL;
    phase = UNTRIED;
    control = 0;
}

/* ---- waiting ---- */

static void kick(void)
{
    if (xchg(&control, 1u) == 0)
        futex_wake_kernel(&control, 1);
}

static void commit_kick(struct uthread *u, void *arg)
{
    (void)u;
    (void)arg;
    lock_drop(&lock);
    kick();
}

static long wait_parked(struct shared_waiter *w, int64_t deadline)
{
    lock_take(&lock);
    w->seq = wait_open(w->u);
    *fresh_tail = w;
    fresh_tail = &w->next;
    COUNT(park_kernel);
    enum wake why = park(WAIT_FUTEX, (uint64_t)w->addr, deadline, commit_kick, NULL);
    if (why != WAKE_EVENT) {
        lock_take(&lock);
        if (w->state == QUEUED) {
            struct shared_waiter **at = &fresh;
            while (*at != w)
                at = &(*at)->next;
            *at = w->next;
            if (fresh_tail == &w->next)
                fresh_tail = at;
            w->res = -ECANCELED;
            w->state = DONE;
            lock_drop(&lock);
        } else if (w->state == TAKEN) {
            w->cancel = true;
            w->cancel_next = cancels;
            cancels = w;
            lock_drop(&lock);
            kick();
            entersyscall(__NR_futex);
            while (load_acquire(&w->state) != DONE) /* pairs with finish */
                futex_wait_kernel(&w->state, TAKEN, NULL);
            exitsyscall();
        } else
            lock_drop(&lock);
    }
    if (w->res != -ECANCELED)
        return w->res;
    if (why == WAKE_TIMEOUT)
        return -ETIMEDOUT;
    return deadline == INT64_MAX ? -ERESTARTSYS : -ERESTARTNOHAND;
}

long futex_wait_shared(struct frame *f, int64_t deadline)
{
    uint32_t cmd = (uint32_t)f->rsi & 127, now;
    struct shared_waiter w = {.u = uthread_self(), .addr = (uint32_t *)f->rdi, .val = (uint32_t)f->rdx,
                              .bitset = cmd == FUTEX_WAIT ? ~0u : (uint32_t)f->r9};
    struct frame g = *f;
    struct timespec64 limit;
    int64_t left;
    long r;
    if (!w.bitset || ((uintptr_t)w.addr & 3))
        return -EINVAL;
    if ((r = uaccess_load32(w.addr, &now)) || now != w.val)
        return r ? r : -EAGAIN;
    if (cmd == FUTEX_WAIT && deadline != INT64_MAX && w.u->restart_when) {
        deadline = w.u->restart_when; /* made again since no handler ran: to the same end */
        w.u->restart_when = 0;
        left = deadline - now_ns();
        if (left < 0)
            return -ETIMEDOUT;
        limit = (struct timespec64){left / NSEC_PER_SEC, left % NSEC_PER_SEC};
        g.r10 = (uint64_t)&limit;
    }
    hook_enter();
    if (!native_block_admitted(&g, true, &r))
        r = futexd_ready() ? wait_parked(&w, deadline) : native_block_in_hook(&g);
    hook_exit();
    if (r == -ERESTARTSYS && deadline != INT64_MAX)
        r = -ERESTARTNOHAND; /* a wait with a time limit is ended by a handler; signal(7) */
    if (r == -ERESTARTNOHAND && cmd == FUTEX_WAIT)
        w.u->restart_when = deadline;
    return r;
}
