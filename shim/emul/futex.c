/* futex(2) for private futexes, and for the ctid that pthread_join waits on.
 *
 * Waiters hang in hashed buckets, in the order they came. A waiter (sched.h) lies in its user thread's struct, so that who wakes it does not
 * touch its stack, or on the stack where it waits for several or for ownership. It is linked under the bucket's lock, which the hook takes
 * before it compares the word and which the commit of park drops on the scheduler stack: a waker that changed the word before takes the lock after, and finds the
 * waiter parked; or the waiter's compare sees the change. The claim (sched.h) decides between a waker, the timer and a signal. A waker claims
 * first, and unlinks (its bucket becomes NULL) only whom it got: who was woken otherwise finds itself linked, and must take the
 * lock to leave, so it does not go, or wait anew, while the waker looks at it. And who is unlinked was counted.
 *
 * Requeueing moves a waiter between buckets under both locks, and it is always in one of them: so a waiter that wants to unlink itself
 * re-reads its bucket until the one it locked is the one it is in, and NULL says that it was woken.
 *
 * PI futexes keep their word's protocol (owner's tid, FUTEX_WAITERS); unlock hands the word to the
 * first waiter. Priorities are not inherited: user threads have none.
 *
 * Foreign kernel threads take part with waiters that sleep in the kernel on a word of their own; who was
 * asleep in the kernel before activation is woken there (sched.h, foreign).
 */
#include "emul.h"

#include "../base/arena.h"
#include "../base/list.h"
#include "../sched/internal.h"

#include <linux/futex.h>

struct bucket {
    struct lock lock;
    struct futex_waiter *head, *tail;
} cacheline;

enum { BUCKETS = 8192, LOCK_WAITED_FOR = 2 /* see contend.c */ };
static struct bucket *buckets;

static int32_t executor_pid; /* atomic; 0: none, -1: somebody makes it. The kernel writes it */
static bool robust_shared;   /* the program made a robust mutex that can be shared */

void futex_init(void)
{
    if (!buckets)
        buckets = arena_take(sizeof(struct bucket) * BUCKETS, 0);
    else
        sys3(__NR_madvise, P(buckets), sizeof(struct bucket) * BUCKETS, 4 /* DONTNEED: all zero */);
    if (!buckets)
        fatal("futex: no memory");
    executor_pid = 0; /* a fork child's is its parent's */
}

static inline struct bucket *bucket_of(const uint32_t *addr)
{
    uint64_t h = ((uint64_t)addr >> 2) * 0x9e3779b97f4a7c15ull;
    return &buckets[h >> 51];
}

static void link_waiter(struct bucket *b, struct futex_waiter *w)
{
    w->bucket = b;
    list_append(b, w);
}

static void unlink_waiter(struct bucket *b, struct futex_waiter *w)
{
    list_remove(b, w);
    store_release(&w->bucket, NULL);
}

/* Into another bucket, or anew into the same. Never out of both: who found itself out would leave. Under both locks. */
static void move_waiter(struct bucket *from, struct bucket *to, struct futex_waiter *w)
{
    list_remove(from, w);
    store_release(&w->bucket, to);
    list_append(to, w);
}

/* Woken otherwise already, w has only to leave: it counts for nothing. */
static bool has_ended(const struct futex_waiter *w)
{
    if (!w->u)
        return load_relaxed(&w->foreign_word);
    uint64_t now = load_relaxed(&w->u->waitw);
    return now >> WAITW_SHIFT != w->seq || wait_over(now);
}

/* The waiter itself, awake again: out of whatever bucket it is in. True: a waker took it out, and counted it. */
static apart bool withdraw_slow(struct futex_waiter *w)
{
    struct bucket *b;
    while ((b = load_acquire(&w->bucket))) {
        lock_take(&b->lock);
        bool here = w->bucket == b;
        if (here)
            unlink_waiter(b, w);
        lock_drop(&b->lock);
        if (here)
            return false;
    }
    return true;
}
static inline bool withdraw(struct futex_waiter *w)
{
    return likely(load_acquire(&w->bucket) == NULL) || withdraw_slow(w);
}

static void lock_two(struct bucket *a, struct bucket *b)
{
    if (a > b) {
        struct bucket *t = a;
        a = b;
        b = t;
    }
    lock_take(&a->lock);
    if (a != b)
        lock_take(&b->lock);
}
static void drop_two(struct bucket *a, struct bucket *b)
{
    lock_drop(&a->lock);
    if (a != b)
        lock_drop(&b->lock);
}

/* Who we wake has come back to the same futex again and again without getting anywhere: the mutex that it wants is
 * always taken anew before it runs (a holder that gives way only while it holds). Give way now, on the way out
 * of this wake-up, when the lock is free. */
static cold void let_pass(void)
{
    struct worker *me = worker_or_null();
    if (me && me->cur)
        fetch_or(&me->cur->attn, (uint32_t)ATTN_YIELD);
}

/* Under the bucket's lock: does our wake-up count? Then the caller unlinks w, and its user thread is on the list to be
 * readied after the lock; a foreign thread is woken at once. */
static always_inline bool claim(struct futex_waiter *w, struct uthread **list, struct uthread ***tail)
{
    struct uthread *u = w->u;
    if (!u) {
        uint32_t *word = &w->foreign_word;
        if (!cas(word, 0u, 1u))
            return false;
        sys6(__NR_futex, P(word), FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
        return true;
    }
    if (w->many) {
        enum claim c = wait_claim_or_mark(u, w->seq, WAKE_EVENT);
        if (c != CLAIM_YES)
            return c == CLAIM_MARKED; /* it will wake itself: that counts */
    } else if (!wait_claim(u, w->seq, WAKE_EVENT))
        return false;
    if (unlikely(u->futex_again >= 3))
        let_pass();
    u->next = NULL;
    **tail = u;
    *tail = &u->next;
    (void)list;
    return true;
}

static void ready_list(struct uthread *u)
{
    while (u) {
        struct uthread *next = u->next;
        sched_ready(u);
        u = next;
    }
}

/* Where many wait for one futex each has long left the cache when its turn comes: when one is woken, have come what waking the next will
 * touch, of which the waiter itself was asked for when the one before was woken. w: the next. Under the lock. */
static inline void prefetch_waiter(const struct futex_waiter *w)
{
    const struct uthread *u = w->u;
    __builtin_prefetch(w->next, 1);
    if (u) {
        __builtin_prefetch(u, 1);
        __builtin_prefetch(&u->waitw, 1);
        __builtin_prefetch(stats_uthread(uthread_slot(u)), 1);
    }
}

/* Under the lock. */
static always_inline int wake_in(struct bucket *b, uint32_t *addr, int n, uint32_t bitset, struct uthread **list,
                                 struct uthread ***tail)
{
    int woken = 0;
    for (struct futex_waiter *w = b->head, *next; w && woken < n; w = next) {
        next = w->next;
        if (w->addr != addr || !(w->bitset & bitset) || w->pi || w->requeue_pi)
            continue;
        if (next) /* whom we, or somebody else, will wake next */
            prefetch_waiter(next);
        if (!claim(w, list, tail))
            continue;
        unlink_waiter(b, w);
        woken++;
    }
    return woken;
}

int futex_wake_addr(uint32_t *addr, int n, uint32_t bitset)
{
    struct bucket *b = bucket_of(addr);
    struct uthread *list = NULL, **tail = &list;
    lock_take(&b->lock);
    int woken = wake_in(b, addr, n, bitset, &list, &tail);
    lock_drop_plain(&b->lock);
    ready_list(list);
    return woken;
}

static void commit_unlock(struct uthread *u, void *arg)
{
    (void)u;
    lock_drop_plain(&((struct bucket *)arg)->lock);
}

static long outcome(enum wake why, int64_t deadline)
{
    if (why == WAKE_EVENT)
        return 0;
    if (why == WAKE_TIMEOUT)
        return -ETIMEDOUT;
    return deadline == INT64_MAX ? -ERESTARTSYS : -ERESTARTNOHAND;
}

/* In hook state. */
static always_inline long wait_inline(uint32_t *addr, uint32_t val, uint32_t bitset, int64_t deadline, uint32_t *requeue_pi)
{
    struct uthread *u = uthread_self();
    struct bucket *b = bucket_of(addr);
    struct futex_waiter *w = &u->futex; /* it is in no bucket: we wait for one thing at a time, and leave before a handler runs */
    uint32_t now;
    w->addr = addr;
    w->u = u;
    w->bitset = bitset;
    w->pi = w->many = false;
    w->requeue_pi = requeue_pi;
    w->tid = u->tid;
    lock_take(&b->lock);
    long r = uaccess_load32(addr, &now);
    if (r || now != val) {
        lock_drop(&b->lock);
        return r ? r : -EAGAIN;
    }
    COUNT(park_futex);
    w->lock = val == LOCK_WAITED_FOR && deadline == INT64_MAX;
    if (w->lock)
        worker_self()->proc->contended = addr;
    if (u->futex_last == addr) {
        if (u->futex_again < 255)
            u->futex_again++;
    } else {
        u->futex_last = addr;
        u->futex_again = 0;
    }
    w->seq = wait_open(u);
    link_waiter(b, w);
    enum wake why = park(WAIT_FUTEX, (uint64_t)addr, deadline, commit_unlock, b);
    withdraw(w);
    return outcome(why, deadline);
}
static apart long wait_on(uint32_t *addr, uint32_t val, uint32_t bitset, int64_t deadline, uint32_t *requeue_pi)
{
    return wait_inline(addr, val, bitset, deadline, requeue_pi);
}

static long do_requeue(uint32_t *from, uint32_t *to, int nwake, int nmove, bool compare, uint32_t val)
{
    if (nwake < 0 || nmove < 0)
        return -EINVAL;
    struct bucket *a = bucket_of(from), *b = bucket_of(to);
    struct uthread *list = NULL, **tail = &list;
    lock_two(a, b);
    if (compare) {
        uint32_t now;
        long r = uaccess_load32(from, &now);
        if (r || now != val) {
            drop_two(a, b);
            return r ? r : -EAGAIN;
        }
    }
    long woken = wake_in(a, from, nwake, ~0u, &list, &tail), moved = 0;
    for (struct futex_waiter *w = a->head, *next; w && moved < nmove; w = next) {
        next = w->next;
        if (w->addr != from || w->pi || w->requeue_pi || has_ended(w))
            continue;
        moved++;
        if (to == from)
            continue;
        w->addr = to;
        move_waiter(a, b, w);
    }
    drop_two(a, b);
    ready_list(list);
    return woken + moved;
}

/* futex(2), FUTEX_WAKE_OP: the operation on *addr2, atomically; *cmp: whether to wake there. */
static long wake_op_modify(uint32_t *addr, uint32_t enc, bool *wake2)
{
    unsigned op = enc >> 28 & 7, cmp = enc >> 24 & 15;
    int oparg = (int)(enc << 8) >> 20, cmparg = (int)(enc << 20) >> 20;
    if (enc >> 28 & 8)
        oparg = 1 << (oparg & 31);
    uint32_t old, seen;
    long r = uaccess_load32(addr, &old);
    for (;;) {
        uint32_t v;
        if (r)
            return r;
        switch (op) {
        case FUTEX_OP_SET: v = (uint32_t)oparg; break;
        case FUTEX_OP_ADD: v = old + (uint32_t)oparg; break;
        case FUTEX_OP_OR: v = old | (uint32_t)oparg; break;
        case FUTEX_OP_ANDN: v = old & ~(uint32_t)oparg; break;
        case FUTEX_OP_XOR: v = old ^ (uint32_t)oparg; break;
        default: return -ENOSYS;
        }
        r = uaccess_cas32(addr, old, v, &seen);
        if (!r && seen == old)
            break;
        old = seen;
    }
    int o = (int)old;
    switch (cmp) {
    case FUTEX_OP_CMP_EQ: *wake2 = o == cmparg; break;
    case FUTEX_OP_CMP_NE: *wake2 = o != cmparg; break;
    case FUTEX_OP_CMP_LT: *wake2 = o < cmparg; break;
    case FUTEX_OP_CMP_GE: *wake2 = o >= cmparg; break;
    case FUTEX_OP_CMP_LE: *wake2 = o <= cmparg; break;
    case FUTEX_OP_CMP_GT: *wake2 = o > cmparg; break;
    default: return -ENOSYS;
    }
    return 0;
}

static long do_wake_op(uint32_t *addr, uint32_t *addr2, int n, int n2, uint32_t enc)
{
    struct bucket *a = bucket_of(addr), *b = bucket_of(addr2);
    struct uthread *list = NULL, **tail = &list;
    bool wake2 = false;
    lock_two(a, b);
    long r = wake_op_modify(addr2, enc, &wake2);
    if (!r) {
        r = wake_in(a, addr, n, ~0u, &list, &tail);
        if (wake2)
            r += wake_in(b, addr2, n2, ~0u, &list, &tail);
    }
    drop_two(a, b);
    ready_list(list);
    return r;
}

/* ---- priority inheritance futexes ---- */

static bool pi_waiters(struct bucket *b, uint32_t *addr)
{
    for (struct futex_waiter *w = b->head; w; w = w->next)
        if (w->pi && w->addr == addr)
            return true;
    return false;
}

static bool tid_lives(int tid)
{
    if (tid >= TID_BASE || uthread_by_tid(tid))
        return uthread_by_tid(tid) != NULL;
    return sys3(__NR_tgkill, sys0(__NR_getpid), tid, 0) == 0; /* a foreign thread */
}

/* Under the lock: take *addr for `tid` if it is free. 1 taken, 0 owned by another (FUTEX_WAITERS is
 * then set when mark), <0 error. */
static long pi_try(struct bucket *b, uint32_t *addr, uint32_t tid, bool mark)
{
    uint32_t old, seen;
    long r = uaccess_load32(addr, &old);
    for (;;) {
        if (r)
            return r;
        uint32_t owner = old & FUTEX_TID_MASK, v;
        if (owner == tid)
            return -EDEADLK;
        if (owner == 0)
            v = tid | (old & FUTEX_OWNER_DIED) | (pi_waiters(b, addr) ? FUTEX_WAITERS : 0);
        else {
            if (!mark)
                return 0;
            if (!tid_lives((int)owner))
                return -ESRCH;
            v = old | FUTEX_WAITERS;
        }
        r = uaccess_cas32(addr, old, v, &seen);
        if (!r && seen == old)
            return owner == 0;
        old = seen;
    }
}

static long pi_lock(uint32_t *addr, int64_t deadline, bool try)
{
    struct uthread *u = uthread_self();
    struct bucket *b = bucket_of(addr);
    struct futex_waiter w = {.addr = addr, .u = u, .bitset = ~0u, .pi = true, .tid = u->tid};
    lock_take(&b->lock);
    long r = pi_try(b, addr, (uint32_t)u->tid, !try);
    if (r != 0 || try) {
        lock_drop(&b->lock);
        return r == 1 ? 0 : r == 0 ? -EAGAIN : r;
    }
    COUNT(park_futex);
    w.seq = wait_open(u);
    link_waiter(b, &w);
    enum wake why = park(WAIT_FUTEX, (uint64_t)addr, deadline, commit_unlock, b);
    withdraw(&w);
    if (why == WAKE_SIGNAL)
        return -ERESTARTNOINTR; /* always again */
    return outcome(why, deadline);
}

/* Under the lock: hand *addr, owned by somebody who leaves, to the first waiter; `keep`: bits to keep. */
static long pi_hand_over(struct bucket *b, uint32_t *addr, uint32_t keep, struct uthread **list,
                         struct uthread ***tail)
{
    uint32_t old, seen, v = keep;
    for (struct futex_waiter *w = b->head, *next; w; w = next) {
        next = w->next;
        if (!w->pi || w->addr != addr)
            continue;
        if (claim(w, list, tail)) {
            unlink_waiter(b, w);
            v = keep | (uint32_t)w->tid | (pi_waiters(b, addr) ? FUTEX_WAITERS : 0);
            break;
        }
    }
    long r = uaccess_load32(addr, &old);
    while (!r) {
        r = uaccess_cas32(addr, old, v, &seen);
        if (!r && seen == old)
            break;
        old = seen;
    }
    return r;
}

static long pi_unlock(uint32_t *addr, uint32_t tid)
{
    struct bucket *b = bucket_of(addr);
    struct uthread *list = NULL, **tail = &list;
    uint32_t old;
    lock_take(&b->lock);
    long r = uaccess_load32(addr, &old);
    if (!r)
        r = (old & FUTEX_TID_MASK) != tid ? -EPERM : pi_hand_over(b, addr, 0, &list, &tail);
    lock_drop(&b->lock);
    ready_list(list);
    return r;
}

static long cmp_requeue_pi(uint32_t *from, uint32_t *to, int nwake, int nmove, uint32_t val)
{
    if (nwake != 1 || nmove < 0)
        return -EINVAL;
    if (from == to)
        return -EINVAL;
    struct bucket *a = bucket_of(from), *b = bucket_of(to);
    struct uthread *list = NULL, **tail = &list;
    uint32_t now;
    long count = 0;
    lock_two(a, b);
    long r = uaccess_load32(from, &now);
    if (!r && now != val)
        r = -EAGAIN;
    for (struct futex_waiter *w = a->head, *next; !r && w && count < (long)nwake + nmove; w = next) {
        next = w->next;
        if (w->addr != from)
            continue;
        if (w->requeue_pi != to) {
            r = -EINVAL;
            break;
        }
        long got = pi_try(b, to, (uint32_t)w->tid, true);
        if (got < 0) {
            r = got;
            break;
        }
        if (got == 1) {
            if (claim(w, &list, &tail)) {
                unlink_waiter(a, w);
                count++;
            } else
                pi_hand_over(b, to, 0, &list, &tail);
            continue;
        }
        w->addr = to;
        w->pi = true;
        w->requeue_pi = NULL;
        move_waiter(a, b, w);
        count++;
    }
    drop_two(a, b);
    ready_list(list);
    return count ? count : r;
}

/* ---- futex_waitv(2) ---- */

enum { WAITV_MAX = 128, WAITV_SMALL = 4 };
struct waitv {
    uint64_t val, addr;
    uint32_t flags, reserved;
};

/* In hook state; w has room for n. */
static long waitv_wait(const struct waitv *v, struct futex_waiter *w, uint32_t n, int64_t deadline)
{
    struct uthread *u = uthread_self();
    uint64_t seq = wait_open(u);
    uint32_t linked = 0;
    long r = 0;
    for (; linked < n; linked++) {
        uint32_t *addr = (uint32_t *)v[linked].addr, now;
        struct bucket *b = bucket_of(addr);
        w[linked] = (struct futex_waiter){.addr = addr, .u = u, .seq = seq, .bitset = ~0u, .many = true, .tid = u->tid};
        lock_take(&b->lock);
        r = uaccess_load32(addr, &now);
        if (!r && now != (uint32_t)v[linked].val)
            r = -EAGAIN;
        if (!r)
            link_waiter(b, &w[linked]);
        lock_drop(&b->lock);
        if (r)
            break;
    }
    enum wake why = WAKE_NONE;
    if (!r) {
        COUNT(park_futex);
        why = park(WAIT_FUTEX, v[0].addr, deadline, NULL, NULL);
        r = outcome(why, deadline);
        if (why == WAKE_SIGNAL)
            r = -ERESTARTSYS;
    }
    for (uint32_t i = 0; i < linked; i++) {
        if (withdraw(&w[i])) /* the last that was woken, as the kernel tells; whatever else ended the wait, that was counted */
            r = i;
    }
    return r;
}

static long deadline_of(const void *ts, bool absolute, bool realtime, int64_t *out);

long emul_futex_waitv(struct frame *f)
{
    uint32_t n = (uint32_t)f->rsi, private = 0;
    struct waitv small[WAITV_SMALL], *v = small;
    struct futex_waiter w_small[WAITV_SMALL], *w = w_small;
    size_t size = WAITV_MAX * (sizeof *v + sizeof *w);
    int clock = (int)f->r8;
    int64_t deadline;
    void *big = NULL;
    if (n == 0 || n > WAITV_MAX || f->rdx || (clock != 0 && clock != 1))
        return f->r10 || clock == 0 || clock == 1 || n == 0 || n > WAITV_MAX || f->rdx ? -EINVAL : native_block(f);
    if (n > WAITV_SMALL) {
        big = sys_map(NULL, size, 3, 0);
        if (!big)
            return -ENOMEM;
        v = big;
        w = (struct futex_waiter *)(v + WAITV_MAX);
    }
    long r = uaccess_copy(v, (void *)f->rdi, n * sizeof *v);
    for (uint32_t i = 0; !r && i < n; i++) {
        if (v[i].reserved || (v[i].flags & ~130u) || (v[i].flags & 3) != 2 || (v[i].addr & 3) || v[i].val >> 32)
            r = -EINVAL;
        private += (v[i].flags & FUTEX_PRIVATE_FLAG) != 0;
    }
    if (!r && private < n) {
        r = native_block(f);
    } else if (!r && !(r = deadline_of((void *)f->r10, true, clock == 0, &deadline))) {
        for (uint32_t i = 0, word; i < n; i++) /* as bring_in */
            uaccess_load32((uint32_t *)v[i].addr, &word);
        hook_enter();
        r = waitv_wait(v, w, n, deadline);
        hook_exit();
    }
    if (big)
        sys_unmap(big, size);
    return r;
}

/* ---- the call ---- */

/* Does addr lie in a mapping that other processes may share? proc(5); PROCMAP_QUERY (Linux 6.11) or the text.
 * Slow; for PI futexes alone, which glibc's robust mutexes use without the private flag. */
static cold bool in_shared_mapping(uint64_t addr)
{
    struct {
        uint64_t size, flags, addr, start, end, vma_flags, rest[7];
    } q = {.size = sizeof q, .addr = addr};
    _Static_assert(sizeof q == 104, "struct procmap_query");
    long fd = sys4(__NR_openat, -100, P("/proc/self/maps"), 02000000, 0);
    if (fd < 0)
        return true;
    bool shared = true;
    if (sys3(__NR_ioctl, fd, 0xc0686611 /* PROCMAP_QUERY */, P(&q)) == 0)
        shared = q.vma_flags & 8;
    else {
        char buf[512];
        uint64_t num[2] = {0, 0};
        int field = 0; /* 0, 1: the bounds; 2..5: permissions; 6: to the end of the line */
        for (long n; (n = sys3(__NR_read, fd, P(buf), sizeof buf)) > 0;)
            for (long i = 0; i < n; i++) {
                char c = buf[i];
                if (field < 2) {
                    if (c == '-' || c == ' ')
                        field++;
                    else
                        num[field] = num[field] << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
                } else if (field < 6) {
                    if (++field == 6 && num[0] <= addr && addr < num[1])
                        shared = c == 's';
                } else if (c == '\n') {
                    num[0] = num[1] = 0;
                    field = 0;
                }
            }
    }
    sys1(__NR_close, fd);
    return shared;
}

static bool is_pi(uint32_t cmd)
{
    return cmd == FUTEX_LOCK_PI || cmd == FUTEX_LOCK_PI2 || cmd == FUTEX_TRYLOCK_PI || cmd == FUTEX_UNLOCK_PI ||
           cmd == FUTEX_WAIT_REQUEUE_PI || cmd == FUTEX_CMP_REQUEUE_PI;
}

static long deadline_of(const void *ts, bool absolute, bool realtime, int64_t *out)
{
    struct timespec64 t;
    *out = INT64_MAX;
    if (!ts)
        return 0;
    if (uaccess_copy(&t, ts, sizeof t))
        return -EFAULT;
    if (t.sec < 0 || t.nsec < 0 || t.nsec >= NSEC_PER_SEC)
        return -EINVAL;
    int64_t ns = t.sec > INT64_MAX / NSEC_PER_SEC - 2 ? INT64_MAX - NSEC_PER_SEC : t.sec * NSEC_PER_SEC + t.nsec;
    /* The other clock first: what passes between the two looks must make us late, never early. */
    int64_t real = absolute && realtime ? clock_ns(0) : 0, now = now_ns();
    if (absolute && realtime)
        ns -= real - now;
    else if (!absolute)
        ns = ns > INT64_MAX - NSEC_PER_SEC - now ? INT64_MAX - NSEC_PER_SEC : ns + now;
    *out = ns;
    return 0;
}

/* A wait that glibc makes for the end of a thread: pthread_join uses a shared futex on the tid. */
static bool is_ctid(uint32_t *addr, uint32_t val)
{
    struct uthread *u = uthread_by_tid((int)(val & FUTEX_TID_MASK));
    return u && u->ctid == addr;
}

/* A PI futex that processes share. The kernel finds owners by its own threads' ids and cannot serve it; so it is a plain lock with the
 * same word: whoever waits has set FUTEX_WAITERS, and whoever waited keeps it set, since others may. Nobody inherits a priority.
 * From hook == 0. */
static long pi_shared(struct frame *f, uint32_t cmd)
{
    struct uthread *u = uthread_self();
    uint32_t *addr = (uint32_t *)f->rdi, tid = (uint32_t)u->tid, waiters = 0, old, seen;
    bool realtime = cmd == FUTEX_LOCK_PI || (f->rsi & FUTEX_CLOCK_REALTIME);
    int64_t deadline = INT64_MAX;
    struct frame g = *f;
    if ((uintptr_t)addr & 3)
        return -EINVAL;
    long r = cmd == FUTEX_LOCK_PI || cmd == FUTEX_LOCK_PI2 ? deadline_of((void *)f->r10, true, realtime, &deadline) : 0;
    g.rsi = FUTEX_WAIT_BITSET | (realtime ? FUTEX_CLOCK_REALTIME : 0);
    g.r9 = ~0u;
    while (!r && !(r = uaccess_load32(addr, &old))) {
        uint32_t owner = old & FUTEX_TID_MASK, now = old | FUTEX_WAITERS;
        if (cmd == FUTEX_UNLOCK_PI) {
            if (owner != tid)
                return -EPERM;
            now = 0;
        } else if (owner == tid)
            return -EDEADLK;
        else if (owner == 0)
            now = tid | waiters | (old & (FUTEX_WAITERS | FUTEX_OWNER_DIED));
        else if (cmd == FUTEX_TRYLOCK_PI)
            return -EAGAIN;
        if (now != old && ((r = uaccess_cas32(addr, old, now, &seen)) || seen != old))
            continue;
        if (cmd == FUTEX_UNLOCK_PI && (old & FUTEX_WAITERS))
            sys6(__NR_futex, P(addr), FUTEX_WAKE, 1, 0, 0, 0);
        if (cmd == FUTEX_UNLOCK_PI || owner == 0)
            return 0;
        g.rdx = now;
        r = futex_wait_shared(&g, deadline);
        waiters = FUTEX_WAITERS;
        if (r == -EAGAIN)
            r = 0;
    }
    return r == -ERESTARTSYS || r == -ERESTARTNOHAND ? -ERESTARTNOINTR : r; /* no handler ends it */
}

/* A page that the call needs and that is missing comes when the disk lets it, or another thread of the program does (userfaultfd).
 * It is waited for here, where the proc can be retaken: under a bucket's lock nobody would run who could bring it. What is wrong with
 * the address is found later. */
static inline void bring_in(const struct frame *f, uint32_t cmd)
{
    uint32_t word;
    if (cmd == FUTEX_WAKE || cmd == FUTEX_WAKE_BITSET || cmd == FUTEX_REQUEUE)
        return;
    uaccess_load32((uint32_t *)(cmd == FUTEX_WAKE_OP ? f->r8 : f->rdi), &word);
    bool waits = cmd == FUTEX_WAIT || cmd == FUTEX_WAIT_BITSET || cmd == FUTEX_LOCK_PI || cmd == FUTEX_LOCK_PI2 ||
                 cmd == FUTEX_WAIT_REQUEUE_PI;
    if (waits && f->r10) { /* the time; it may lie across two pages */
        uaccess_load32((uint32_t *)f->r10, &word);
        uaccess_load32((uint32_t *)(f->r10 + 12), &word);
    }
}

static apart long futex_any(struct frame *f)
{
    uint32_t *addr = (uint32_t *)f->rdi, *addr2 = (uint32_t *)f->r8;
    uint32_t op = (uint32_t)f->rsi, val = (uint32_t)f->rdx, val3 = (uint32_t)f->r9;
    uint32_t cmd = op & 127;
    bool realtime = op & FUTEX_CLOCK_REALTIME, wait;
    int64_t deadline = INT64_MAX;
    long r;

    wait = cmd == FUTEX_WAIT || cmd == FUTEX_WAIT_BITSET;
    if (!(op & FUTEX_PRIVATE_FLAG)) {
        bool here = wait ? is_ctid(addr, val) : is_pi(cmd) && !in_shared_mapping((uint64_t)addr);
        if (!here) {
            if (wait) {
                r = deadline_of((void *)f->r10, cmd == FUTEX_WAIT_BITSET, realtime, &deadline);
                return r ? r : futex_wait_shared(f, deadline);
            }
            if (cmd == FUTEX_WAIT_REQUEUE_PI)
                return native_block(f);
            if (cmd == FUTEX_LOCK_PI || cmd == FUTEX_LOCK_PI2 || cmd == FUTEX_TRYLOCK_PI || cmd == FUTEX_UNLOCK_PI)
                return pi_shared(f, cmd);
            return native_sys(f);
        }
    }
    if (((uintptr_t)addr & 3) != 0)
        return -EINVAL;
    if (realtime && cmd != FUTEX_WAIT && cmd != FUTEX_WAIT_BITSET && cmd != FUTEX_WAIT_REQUEUE_PI &&
        cmd != FUTEX_LOCK_PI2)
        return -ENOSYS;

    bring_in(f, cmd);
    hook_enter();
    switch (cmd) {
    case FUTEX_WAIT:
        r = deadline_of((void *)f->r10, false, realtime, &deadline);
        if (r)
            break;
        if (uthread_self()->restart_when) { /* made again since no handler ran: to the same end */
            deadline = uthread_self()->restart_when;
            uthread_self()->restart_when = 0;
        }
        r = wait_on(addr, val, ~0u, deadline, NULL);
        if (r == -ERESTARTNOHAND)
            uthread_self()->restart_when = deadline;
        break;
    case FUTEX_WAIT_BITSET:
        r = deadline_of((void *)f->r10, true, realtime, &deadline);
        if (!r)
            r = val3 ? wait_on(addr, val, val3, deadline, NULL) : -EINVAL;
        break;
    case FUTEX_WAKE:
    case FUTEX_WAKE_BITSET: {
        uint32_t bits = cmd == FUTEX_WAKE ? ~0u : val3;
        int n = (int)val;
        uthread_self()->futex_last = NULL; /* it got somewhere */
        /* the kernel wakes one for 0 and below too */
        r = bits ? futex_wake_addr(addr, n < 1 ? 1 : n, bits) : -EINVAL;
        break;
    }
    case FUTEX_REQUEUE:
    case FUTEX_CMP_REQUEUE:
        r = (uintptr_t)addr2 & 3 ? -EINVAL
                                 : do_requeue(addr, addr2, (int)val, (int)f->r10, cmd == FUTEX_CMP_REQUEUE, val3);
        break;
    case FUTEX_WAKE_OP:
        r = (uintptr_t)addr2 & 3 ? -EINVAL : do_wake_op(addr, addr2, (int)val, (int)f->r10, val3);
        break;
    case FUTEX_LOCK_PI:
        r = deadline_of((void *)f->r10, true, true, &deadline);
        if (!r)
            r = pi_lock(addr, deadline, false);
        break;
    case FUTEX_LOCK_PI2:
        r = deadline_of((void *)f->r10, true, realtime, &deadline);
        if (!r)
            r = pi_lock(addr, deadline, false);
        break;
    case FUTEX_TRYLOCK_PI:
        r = pi_lock(addr, INT64_MAX, true);
        break;
    case FUTEX_UNLOCK_PI:
        r = pi_unlock(addr, (uint32_t)uthread_self()->tid);
        break;
    case FUTEX_WAIT_REQUEUE_PI:
        if (addr == addr2 || ((uintptr_t)addr2 & 3)) {
            r = -EINVAL;
            break;
        }
        r = deadline_of((void *)f->r10, true, realtime, &deadline);
        if (!r)
            r = wait_on(addr, val, ~0u, deadline, addr2);
        if (r == -ERESTARTSYS || r == -ERESTARTNOHAND)
            r = -EAGAIN; /* spurious: glibc and the kernel's own users look again */
        break;
    case FUTEX_CMP_REQUEUE_PI:
        r = (uintptr_t)addr2 & 3 ? -EINVAL : cmp_requeue_pi(addr, addr2, (int)val, (int)f->r10, val3);
        break;
    default:
        r = -ENOSYS;
    }
    hook_exit();
    return r;
}

/* FUTEX_WAIT, FUTEX_WAIT_BITSET, private, without a limit */
static apart long wait_for_ever(struct frame *f, uint32_t bitset)
{
    uint32_t *addr = (uint32_t *)f->rdi, val = (uint32_t)f->rdx, now;
    long r = uaccess_load32(addr, &now); /* see bring_in */
    if (r || now != val)
        return r ? r : -EAGAIN;
    hook_enter();
    r = wait_inline(addr, val, bitset, INT64_MAX, NULL);
    hook_exit();
    return r;
}

static apart long wake_private(struct frame *f)
{
    int n = (int)f->rdx; /* the kernel wakes one for 0 and below too */
    hook_enter();
    uthread_self()->futex_last = NULL; /* it got somewhere */
    long r = futex_wake_addr((uint32_t *)f->rdi, n < 1 ? 1 : n, ~0u);
    hook_exit();
    return r;
}

/* Nearly all calls are one of the first: in small frames, and soon there. */
long emul_futex(struct frame *f)
{
    uint32_t op = (uint32_t)f->rsi;
    if (likely((f->rdi & 3) == 0)) {
        if (op == FUTEX_WAKE_PRIVATE)
            return wake_private(f);
        if ((op & ~(uint32_t)FUTEX_CLOCK_REALTIME) == FUTEX_WAIT_BITSET_PRIVATE && !f->r10 && (uint32_t)f->r9)
            return wait_for_ever(f, (uint32_t)f->r9);
        if (op == FUTEX_WAIT_PRIVATE && !f->r10)
            return wait_for_ever(f, ~0u);
    }
    return futex_any(f);
}

/* ---- foreign threads: kernel threads that are not ours (no proc, no worker) ---- */

static long foreign_wait(uint32_t *addr, uint32_t val, uint32_t bitset, int64_t deadline)
{
    struct bucket *b = bucket_of(addr);
    struct futex_waiter w = {.addr = addr, .bitset = bitset};
    uint32_t now;
    uaccess_load32(addr, &now); /* as bring_in */
    lock_take(&b->lock);
    long r = uaccess_load32(addr, &now);
    if (r || now != val) {
        lock_drop(&b->lock);
        return r ? r : -EAGAIN;
    }
    link_waiter(b, &w);
    lock_drop(&b->lock);
    r = 0;
    while (!load_acquire(&w.foreign_word)) {
        struct timespec64 t = {deadline / NSEC_PER_SEC, deadline % NSEC_PER_SEC};
        r = sys6(__NR_futex, P(&w.foreign_word), FUTEX_WAIT_BITSET_PRIVATE, 0, deadline == INT64_MAX ? 0 : P(&t), 0,
                 -1);
        if (r == -ETIMEDOUT || r == -EINTR)
            break;
        r = 0;
    }
    withdraw(&w);
    return load_acquire(&w.foreign_word) ? 0 : r;
}

long foreign_dispatch(struct frame *f)
{
    uint32_t op = (uint32_t)f->rsi, cmd = op & 127;
    int64_t deadline;
    long r, k;
    if (op & FUTEX_PRIVATE_FLAG)
        switch (cmd) {
        case FUTEX_WAIT:
        case FUTEX_WAIT_BITSET:
            r = deadline_of((void *)f->r10, cmd == FUTEX_WAIT_BITSET, op & FUTEX_CLOCK_REALTIME, &deadline);
            return r ? r
                     : foreign_wait((uint32_t *)f->rdi, (uint32_t)f->rdx,
                                    cmd == FUTEX_WAIT ? ~0u : (uint32_t)f->r9, deadline);
        case FUTEX_WAKE:
        case FUTEX_WAKE_BITSET:
            r = futex_wake_addr((uint32_t *)f->rdi, (int)f->rdx, cmd == FUTEX_WAKE ? ~0u : (uint32_t)f->r9);
            k = sys6((long)f->nr, (long)f->rdi, (long)f->rsi, (long)f->rdx - r, (long)f->r10, (long)f->r8,
                     (long)f->r9);
            return k > 0 ? r + k : r;
        case FUTEX_REQUEUE:
        case FUTEX_CMP_REQUEUE:
            return do_requeue((uint32_t *)f->rdi, (uint32_t *)f->r8, (int)f->rdx, (int)f->r10,
                              cmd == FUTEX_CMP_REQUEUE, (uint32_t)f->r9);
        case FUTEX_WAKE_OP:
            return do_wake_op((uint32_t *)f->rdi, (uint32_t *)f->r8, (int)f->rdx, (int)f->r10, (uint32_t)f->r9);
        }
    return sys6((long)f->nr, (long)f->rdi, (long)f->rsi, (long)f->rdx, (long)f->r10, (long)f->r8, (long)f->r9);
}

/* ---- the end of a thread: robust futexes (kernel/futex/core.c, exit_robust_list) ---- */

/* gone: of a process that is no more, so that only others can wait. */
static void owner_died(struct uthread *u, uint32_t *addr, bool pi, bool pending, bool gone)
{
    uint32_t old, seen;
    if ((uintptr_t)addr & 3)
        return;
    long r = uaccess_load32(addr, &old);
    for (;;) {
        if (r)
            return;
        if (pending && !pi && (old & FUTEX_TID_MASK) == 0) {
            /* it had unlocked, but not yet woken */
            if (!gone)
                futex_wake_addr(addr, 1, ~0u);
            sys6(__NR_futex, P(addr), FUTEX_WAKE, 1, 0, 0, 0);
            return;
        }
        if ((old & FUTEX_TID_MASK) != (uint32_t)u->tid)
            return;
        if (pi && !gone) {
            struct bucket *b = bucket_of(addr);
            struct uthread *list = NULL, **tail = &list;
            lock_take(&b->lock);
            pi_hand_over(b, addr, FUTEX_OWNER_DIED, &list, &tail);
            lock_drop(&b->lock);
            ready_list(list);
            if (old & FUTEX_WAITERS)
                sys6(__NR_futex, P(addr), FUTEX_WAKE, 1, 0, 0, 0); /* pi_shared */
            return;
        }
        r = uaccess_cas32(addr, old, (old & FUTEX_WAITERS) | FUTEX_OWNER_DIED, &seen);
        if (!r && seen == old)
            break;
        old = seen;
    }
    if (old & FUTEX_WAITERS) {
        if (!gone)
            futex_wake_addr(addr, 1, ~0u);
        sys6(__NR_futex, P(addr), FUTEX_WAKE, 1, 0, 0, 0); /* a process-shared one */
    }
}

struct robust_head {
    uint64_t next;
    int64_t offset;
    uint64_t pending;
};

/* False: none, or empty. */
static bool robust_head(struct uthread *u, struct robust_head *head)
{
    return u->robust && !uaccess_copy(head, u->robust, sizeof *head) && (head->next != (uint64_t)u->robust || head->pending);
}

static void exit_robust(struct uthread *u, bool gone)
{
    struct robust_head head;
    if (!robust_head(u, &head))
        return;
    uint64_t entry = head.next, pending = head.pending & ~1ull;
    int limit = 2048;
    while ((entry & ~1ull) != (uint64_t)u->robust && limit--) {
        uint64_t next;
        long r = uaccess_copy(&next, (void *)(entry & ~1ull), sizeof next);
        if ((entry & ~1ull) != pending)
            owner_died(u, (uint32_t *)((entry & ~1ull) + (uint64_t)head.offset), entry & 1, false, gone);
        if (r)
            break;
        entry = next;
    }
    if (pending)
        owner_died(u, (uint32_t *)(pending + (uint64_t)head.offset), head.pending & 1, true, gone);
}

void futex_exit_robust(struct uthread *u)
{
    exit_robust(u, false);
}

/* ---- the executor ----
 *
 * A process that shares our memory and nothing else, and outlives us. When none of our threads runs any more it
 * does for the user threads' lists what the kernel does for its own threads', and ends. Made when the process is about to end, if a
 * list is not empty; or, since of SIGKILL nobody hears, as soon as the program has made a robust mutex that can be shared. */

static int executor(void *arg)
{
    int pidfd = (int)(intptr_t)arg;
    uint64_t all = ~0ull;
    struct {
        int32_t fd;
        int16_t events, revents;
    } p = {pidfd, 1, 0};
    sys4(__NR_rt_sigprocmask, 2 /* SETMASK */, P(&all), 0, 8);
    sys2(__NR_prctl, 15 /* PR_SET_NAME */, P("handoff-robust"));
    sys3(__NR_close_range, 0, pidfd - 1, 0); /* the program's files end with the program */
    sys3(__NR_close_range, pidfd + 1, ~0u, 0);
    while (sys3(__NR_poll, P(&p), 1, -1) == -EINTR)
        ;
    for (struct uthread *u = uthreads_all; u; u = u->all_next)
        if (u->index) /* main's is the kernel's business (init.c, let_go) */
            exit_robust(u, true);
    return 0;
}

static void executor_make(void)
{
    enum { STACK = 16384, FLAGS = 0x100 | 0x100000 | 0x800000 /* VM, PARENT_SETTID, UNTRACED; no signal at its end */ };
    static char *stack; /* whoever makes it */
    if (!cas(&executor_pid, 0, -1))
        return;
    if (!stack)
        stack = sys_map(NULL, STACK, 3, 0);
    long fd = stack ? sys2(__NR_pidfd_open, stats->pid, 0) : -1;
    if (fd < 0 || thread_clone(FLAGS, stack + STACK, &executor_pid, executor, (void *)(intptr_t)fd) < 0)
        store_relaxed(&executor_pid, 0);
    if (fd >= 0)
        sys1(__NR_close, fd);
}

/* exec: the process goes on as another program. */
static void executor_end(void)
{
    int32_t pid = load_relaxed(&executor_pid);
    if (pid <= 0)
        return;
    sys2(__NR_kill, pid, 9);
    sys4(__NR_wait4, pid, 0, 0x40000000 /* __WALL */, 0);
    store_relaxed(&executor_pid, 0);
}

void futex_robust_shared(void)
{
    robust_shared = true;
    if (load_relaxed(&sched_active))
        executor_make();
}

void futex_exec_begin(void)
{
    executor_end();
}

void futex_guard(void)
{
    if (robust_shared)
        executor_make();
}

void futex_process_ends(void)
{
    struct robust_head head;
    bool any = false;
    for (int i = 0; !any && i < 1000; i++) { /* whoever has the lock may be stopped by the same signal */
        if (!lock_try(&uthreads_lock)) {
            cpu_relax();
            continue;
        }
        for (struct uthread *u = uthreads_all; u && !any; u = u->all_next)
            any = u->index && robust_head(u, &head);
        lock_drop(&uthreads_lock);
        break;
    }
    if (any)
        executor_make();
}
