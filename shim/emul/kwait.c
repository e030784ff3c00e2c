/* Calls that wait in the kernel for something that is no descriptor.
 *
 * Natively each holds a worker for as long as it waits. That is the best way, as long as there are workers: it wakes
 * at once, in the kernel's order, and the kernel sees who waits for whom. But MAX_WORKERS bounds them, and the user thread
 * that would end the wait needs one too. Hence, for every call here:
 *
 *   1. Try it without waiting (LOCK_NB, IPC_NOWAIT, WNOHANG, a time limit that has passed).
 *   2. It would wait: make it natively, if a worker may be spent on it (block_admit).
 *   3. Else park, and try again: when one of our own user threads did something that may end the wait, when
 *      a native wait for the same thing ended, when a child did, and from time to time for what other processes do.
 *
 * Parked, what differs from the kernel is: order among waiters; what others see of them (GETNCNT, /proc/locks);
 * the kernel's detection of deadlocks between processes (EDEADLK); and how soon another process's doing is seen:
 * after 1 ms at first, then up to 20 ms, or more where so many wait that looking would cost (delay_cap).
 *
 * Parked waiters hang in buckets by key (a lock's file, a queue, ...), oldest first. Who may have ended a wait (kwait_wake) counts
 * that event in the bucket and wakes the first. One that fails passes the wake-up to the next, a few times (FAILS): waiters of
 * one key need not want the same. One that succeeds does as well, since there may be more. An event between a try and the
 * parking is seen by the count, as with descriptors; and who makes an event sees that somebody waits, or the waiter, who
 * raised `parked` (full barrier) before its last try, sees the event's effect.
 *
 * Where the number of a descriptor could have come to mean another file between two tries (close by another thread), the
 * file's identity is compared first. The kernel, which holds on to the file, would end such a wait with EBADF (fcntl), or
 * with a lock that nobody has (flock): here both end with EBADF.
 */
#include "fd.h"
#include "kwait.h"

#include "../base/list.h"
#include "../sched/internal.h"

enum { WOULD_BLOCK = -4095, FAILS = 8, BUCKETS = 256, GRID = 10000000 };

struct kwaiter {
    struct kwaiter *next, *prev;
    struct uthread *u;
    uint64_t seq, key;
    uint32_t fails; /* to how many more it hands the wake-up on; by the waker, before the wait is claimed */
    bool linked;    /* under the bucket's lock */
};

static struct bucket {
    struct lock lock;
    uint32_t events; /* atomic; changed under lock */
    struct kwaiter *head, *tail;
} cacheline buckets[BUCKETS];
static uint32_t parked; /* atomic: user threads in step 3 */

enum kind { KIND_FILE = 1, KIND_SEM, KIND_MSG, KIND_CHILD, KIND_AIO, KIND_URING };

/* One call. `deadline`: CLOCK_MONOTONIC, INT64_MAX none. */
struct kcall {
    struct frame *f;
    long (*try)(struct kcall *k);    /* the result, or WOULD_BLOCK; in system call state where it enters the kernel */
    long (*native)(struct kcall *k, struct frame *g); /* prepares g, a copy of f, for step 2; NULL: as it is. Returns
                                      * 0, or the result, or WOULD_BLOCK: not natively now */
    uint64_t key;                    /* 0: not found out yet (files) */
    int64_t deadline;
    long timed_out;                  /* the result then; when positive, of an interrupted call too */
    bool tried;                      /* it was valid, and would have waited */
};

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 32) * 0x9e3779b97f4a7c15ull;
    return x ^ x >> 29;
}
static uint64_t key_of(enum kind kind, uint64_t id)
{
    return mix(id) << 8 | (uint64_t)kind;
}
static struct bucket *bucket_of(uint64_t key)
{
    return &buckets[(key >> 8) % BUCKETS];
}

/* The file behind fd; 0: none. */
static uint64_t file_key(int fd)
{
    uint64_t st[18] = {0}; /* struct stat: st_dev, st_ino, ... */
    return sys2(__NR_fstat, fd, P(st)) < 0 ? 0 : key_of(KIND_FILE, mix(st[0]) + st[1]);
}

void kwait_reset(void)
{
    memset(buckets, 0, sizeof buckets);
    parked = 0;
}

/* ---- waking ---- */

static void unlink_waiter(struct bucket *b, struct kwaiter *w)
{
    list_remove(b, w);
    w->linked = false;
}

/* `event`: something changed, so that a try may go well now; else only a turn that another could not use. */
static void wake(uint64_t key, uint32_t fails, bool event)
{
    struct bucket *b = bucket_of(key);
    struct uthread *u = NULL;
    lock_take(&b->lock);
    if (event)
        store_release(&b->events, b->events + 1); /* pairs with the acquire in wait_parked */
    for (struct kwaiter *w = b->head, *next; w && !u; w = next) {
        next = w->next;
        if (w->key != key)
            continue;
        unlink_waiter(b, w);
        w->fails = fails;
        if (wait_claim(w->u, w->seq, WAKE_EVENT))
            u = w->u;
    }
    lock_drop(&b->lock);
    if (u)
        sched_ready(u);
}

/* Something happened that may end waits for `key`. Any kernel thread. */
static inline void kwait_wake(uint64_t key)
{
    if (unlikely(load_relaxed(&parked)))
        wake(key, FAILS, true);
}
static cold void wake_file(int fd)
{
    uint64_t key = file_key(fd);
    if (key)
        wake(key, FAILS, true);
}

void kwait_child(int pid)
{
    kwait_wake(key_of(KIND_CHILD, (uint64_t)pid));
    kwait_wake(key_of(KIND_CHILD, 0));
}

/* A worker has come free: a parked waiter may have it, best one for the same thing, which then has a waiter in the kernel
 * that other processes wake at once. */
static void hand_down(uint64_t key)
{
    static uint32_t rotor;
    if (likely(!load_relaxed(&parked)))
        return;
    wake(key, FAILS, true);
    uint32_t start = fetch_add(&rotor, 1u);
    for (uint32_t i = 0; i < BUCKETS; i++) {
        struct bucket *b = &buckets[(start + i) % BUCKETS];
        if (!load_relaxed(&b->head))
            continue;
        lock_take(&b->lock);
        uint64_t other = b->head ? b->head->key : 0;
        lock_drop(&b->lock);
        if (other) {
            wake(other, 0, false);
            return;
        }
    }
}

/* ---- waiting ---- */

static void commit_unlock(struct uthread *u, void *arg)
{
    (void)u;
    lock_drop(&((struct bucket *)arg)->lock);
}

/* So that all who wait try some 10 000 times a second together. */
static int64_t delay_cap(void)
{
    int64_t cap = (int64_t)load_relaxed(&parked) * 100000;
    return cap < 20000000 ? 20000000 : cap > 1000000000 ? 1000000000 : cap;
}

/* Until an event after the count `events`, or `until`. In hook state. */
static enum wake wait_turn(struct kcall *k, struct kwaiter *w, uint32_t events, int64_t until)
{
    struct bucket *b = bucket_of(k->key);
    lock_take(&b->lock);
    if (b->events != events) {
        lock_drop(&b->lock);
        return WAKE_EVENT;
    }
    COUNT(park_kernel);
    w->seq = wait_open(w->u);
    w->key = k->key;
    list_append(b, w);
    w->linked = true;
    enum wake why = park(WAIT_SYSCALL, k->f->nr, until, commit_unlock, b);
    lock_take(&b->lock);
    if (w->linked)
        unlink_waiter(b, w);
    lock_drop(&b->lock);
    return why;
}

static long native(struct kcall *k, bool *done)
{
    struct frame g = *k->f;
    long r = k->native ? k->native(k, &g) : 0;
    if (r == WOULD_BLOCK)
        *done = false;
    else
        *done = r != 0 || native_block_admitted(&g, true, &r);
    return r;
}

/* Step 3. In hook state. */
static cold long wait_parked(struct kcall *k)
{
    struct kwaiter w = {.u = uthread_self()};
    int64_t delay = 1000000;
    bool native_done = false;
    long r;
    add_fetch(&parked, 1u); /* then try: see above */
    for (;;) {
        uint32_t events = load_acquire(&bucket_of(k->key)->events);
        r = k->try(k);
        if (r != WOULD_BLOCK) {
            if (r >= 0)
                w.fails = FAILS;
            break;
        }
        if (w.fails) { /* this was not for us */
            wake(k->key, w.fails - 1, false);
            w.fails = 0;
        }
        int64_t now = now_ns();
        if (now >= k->deadline) {
            r = k->timed_out;
            break;
        }
        r = native(k, &native_done);
        if (native_done)
            break;
        int64_t spread = (int64_t)((uint64_t)w.u->tid * 2654435761u >> 8 & 255) * (delay >> 10); /* up to a quarter */
        int64_t until = now + delay + spread;
        if (delay >= 2 * GRID) /* together, since it costs more to wake for a timer than to try */
            until -= until % GRID;
        enum wake why = wait_turn(k, &w, events, until < k->deadline ? until : k->deadline);
        if (why == WAKE_SIGNAL) {
            r = k->timed_out > 0                ? k->timed_out
                : call_restarts((long)k->f->nr) ? -ERESTARTSYS
                                                : -ERESTARTNOHAND;
            break;
        }
        if (why == WAKE_TIMEOUT) {
            int64_t cap = delay_cap();
            delay = delay * 2 < cap ? delay * 2 : cap;
        }
    }
    add_fetch(&parked, (uint32_t)-1);
    if (w.fails) /* there may be more; or the signal that ended our wait came with a wake-up */
        wake(k->key, w.fails, false);
    return r;
}

/* The whole of it; hook == 0. */
static long kwait(struct kcall *k)
{
    bool native_done;
    hook_enter();
    long r = k->try(k);
    if (r == WOULD_BLOCK) {
        k->tried = true;
        r = native(k, &native_done);
        if (native_done)
            hand_down(k->key);
        else
            r = wait_parked(k);
    }
    hook_exit();
    return r;
}

/* A call in system call state; hook state before and after. -ERESTARTNOINTR if a signal waits. */
static long enter(struct frame *g)
{
    entersyscall((int)g->nr);
    long r = sys_intr(g);
    exitsyscall();
    return r == -EINTR ? native_settle(g, r) : r;
}

/* ---- flock(2), fcntl(2) ---- */

enum { LOCK_SH = 1, LOCK_EX = 2, LOCK_NB = 4, LOCK_UN = 8 };
enum { F_SETLK = 6, F_SETLKW = 7, F_OFD_SETLK = 37, F_OFD_SETLKW = 38, EACCES = 13 };

/* Before another try: is the descriptor still the file that we wait for? And the key, at the first. */
static long same_file(struct kcall *k)
{
    uint64_t key = file_key((int)k->f->rdi);
    if (!k->key)
        k->key = key;
    return key && key == k->key ? 0 : -EBADF;
}

static long try_flock(struct kcall *k)
{
    struct frame g = *k->f;
    long r = k->tried ? same_file(k) : 0;
    if (r)
        return r;
    g.rsi |= LOCK_NB;
    r = enter(&g);
    if (r != -EAGAIN)
        return r;
    if (!k->key && (r = same_file(k)))
        return r;
    return WOULD_BLOCK;
}

long emul_flock(struct frame *f)
{
    unsigned op = (unsigned)f->rsi;
    if (op == LOCK_SH || op == LOCK_EX) {
        struct kcall k = {.f = f, .try = try_flock, .deadline = INT64_MAX};
        return kwait(&k);
    }
    long r = native_sys(f);
    if (r == 0 && unlikely(load_relaxed(&parked)))
        wake_file((int)f->rdi);
    return r;
}

static long try_setlkw(struct kcall *k)
{
    struct frame g = *k->f;
    long r = k->tried ? same_file(k) : 0;
    if (r)
        return r;
    g.rsi = (int)g.rsi == F_SETLKW ? F_SETLK : F_OFD_SETLK;
    r = enter(&g);
    if (r != -EAGAIN && r != -EACCES)
        return r;
    if (!k->key && (r = same_file(k)))
        return r;
    return WOULD_BLOCK;
}

long kwait_setlk(struct frame *f)
{
    long r;
    if ((int)f->rsi == F_SETLKW || (int)f->rsi == F_OFD_SETLKW) {
        struct kcall k = {.f = f, .try = try_setlkw, .deadline = INT64_MAX};
        r = kwait(&k);
    } else
        r = native_sys(f);
    if (r == 0 && unlikely(load_relaxed(&parked)))
        wake_file((int)f->rdi); /* some of what was locked may be free now */
    return r;
}

/* ---- msgrcv(2), msgsnd(2), semop(2), semtimedop(2) ---- */

enum { IPC_NOWAIT = 04000, ENOMSG = 42, EIDRM = 43, E2BIG = 7 };

static long try_msg(struct kcall *k)
{
    struct frame g = *k->f;
    bool receive = g.nr == __NR_msgrcv;
    if (receive)
        g.r8 |= IPC_NOWAIT;
    else
        g.r10 |= IPC_NOWAIT;
    long r = enter(&g);
    if (r == (receive ? -ENOMSG : -EAGAIN))
        return WOULD_BLOCK;
    return r == -EINVAL && k->tried ? -EIDRM : r; /* the queue was there, and is not any more */
}

static long message(struct frame *f, bool nowait)
{
    uint64_t key = key_of(KIND_MSG, (uint32_t)f->rdi);
    struct kcall k = {.f = f, .try = try_msg, .key = key, .deadline = INT64_MAX};
    long r = nowait ? native_sys(f) : kwait(&k);
    if (r >= 0)
        kwait_wake(key);
    return r;
}

long emul_msgrcv(struct frame *f)
{
    if (f->r8 & 040000 /* MSG_COPY: with IPC_NOWAIT only */)
        return native_sys(f);
    return message(f, f->r8 & IPC_NOWAIT);
}

long emul_msgsnd(struct frame *f)
{
    return message(f, f->r10 & IPC_NOWAIT);
}

struct sembuf {
    uint16_t num;
    int16_t op, flags;
};
enum { SEMS_SMALL = 8, SEMOPM_MOST = 4096 };

struct semcall {
    struct kcall k;
    const struct sembuf *nowait; /* the program's operations, each with IPC_NOWAIT */
    struct timespec64 left;
};

static long try_sem(struct kcall *k)
{
    struct semcall *c = container_of(k, struct semcall, k);
    struct frame g = *k->f;
    g.nr = __NR_semop;
    g.rsi = (uint64_t)c->nowait;
    long r = enter(&g);
    if (r == -EAGAIN)
        return WOULD_BLOCK;
    return r == -EINVAL && k->tried ? -EIDRM : r;
}

static long native_sem(struct kcall *k, struct frame *g)
{
    struct semcall *c = container_of(k, struct semcall, k);
    if (k->deadline == INT64_MAX)
        return 0;
    int64_t left = k->deadline - now_ns();
    if (left <= 0)
        return k->timed_out;
    c->left = (struct timespec64){left / NSEC_PER_SEC, left % NSEC_PER_SEC};
    g->r10 = (uint64_t)&c->left;
    return 0;
}

static long semop(struct frame *f, int64_t deadline)
{
    uint32_t n = (uint32_t)f->rdx, nowait = 0;
    uint64_t key = key_of(KIND_SEM, (uint32_t)f->rdi);
    struct sembuf small[SEMS_SMALL], *ops = small;
    size_t size = n * sizeof *ops;
    long r;
    if (n == 0 || n > SEMOPM_MOST)
        return native_sys(f); /* what the kernel says to that */
    if (n > SEMS_SMALL && !(ops = sys_map(NULL, size, 3, 0)))
        return -ENOMEM;
    r = uaccess_copy(ops, (void *)f->rsi, size);
    for (uint32_t i = 0; !r && i < n; i++) {
        nowait += (ops[i].flags & IPC_NOWAIT) != 0;
        ops[i].flags |= IPC_NOWAIT;
    }
    if (r || nowait == n)
        r = native_sys(f);
    else if (nowait) /* which of them would wait, a try does not tell */
        r = native_block(f);
    else {
        struct semcall c = {.k = {.f = f, .try = try_sem, .native = native_sem, .key = key, .deadline = deadline,
                                  .timed_out = -EAGAIN},
                            .nowait = ops};
        r = kwait(&c.k);
        if (r == -ERESTARTNOHAND && deadline != INT64_MAX)
            uthread_self()->restart_when = deadline;
    }
    if (ops != small)
        sys_unmap(ops, size);
    if (r == 0)
        kwait_wake(key);
    return r;
}

long emul_semop(struct frame *f)
{
    return semop(f, INT64_MAX);
}

long emul_semtimedop(struct frame *f)
{
    struct uthread *u = uthread_self();
    struct timespec64 t;
    int64_t deadline = INT64_MAX;
    if (f->r10) {
        if (uaccess_copy(&t, (void *)f->r10, sizeof t))
            return -EFAULT;
        if (t.sec < 0 || t.nsec < 0 || t.nsec >= NSEC_PER_SEC)
            return native_sys(f); /* EINVAL, or what comes before it */
        deadline = t.sec > INT64_MAX / NSEC_PER_SEC / 2 ? INT64_MAX - 1 : now_ns() + t.sec * NSEC_PER_SEC + t.nsec;
        if (u->restart_when) { /* made again since no handler ran: to the same end */
            deadline = u->restart_when;
            u->restart_when = 0;
        }
    }
    return semop(f, deadline);
}

/* semctl and msgctl change what waiters wait for (SETVAL, IPC_RMID, ...). */
long emul_semctl(struct frame *f)
{
    long r = sys_intr(f);
    kwait_wake(key_of(KIND_SEM, (uint32_t)f->rdi));
    return r;
}

long emul_msgctl(struct frame *f)
{
    long r = sys_intr(f);
    kwait_wake(key_of(KIND_MSG, (uint32_t)f->rdi));
    return r;
}

/* ---- mq_timedsend(2), mq_timedreceive(2) ---- */

static const struct timespec64 long_ago;

static long try_mq(struct kcall *k)
{
    struct frame g = *k->f;
    long r = k->tried ? same_file(k) : 0;
    if (r)
        return r;
    g.r8 = (uint64_t)&long_ago;
    r = enter(&g);
    if (r != -ETIMEDOUT)
        return r;
    if (!k->key && (r = same_file(k)))
        return r;
    return WOULD_BLOCK;
}

static long mq(struct frame *f)
{
    struct timespec64 t;
    struct kcall k = {.f = f, .try = try_mq, .deadline = INT64_MAX, .timed_out = -ETIMEDOUT};
    if (f->r8) { /* looked at first, as the kernel does, and as every native try looks at it again */
        if (uaccess_copy(&t, (void *)f->r8, sizeof t))
            return -EFAULT;
        if (t.sec < 0 || t.nsec < 0 || t.nsec >= NSEC_PER_SEC)
            return -EINVAL;
        /* The other clock first: what passes between the two looks must make us late, never early. */
        int64_t real = clock_ns(0), now = now_ns();
        k.deadline = t.sec > INT64_MAX / NSEC_PER_SEC / 2 ? INT64_MAX - 1
                                                          : t.sec * NSEC_PER_SEC + t.nsec - real + now;
    }
    long r = kwait(&k);
    if (r >= 0 && unlikely(load_relaxed(&parked)))
        wake_file((int)f->rdi);
    return r;
}

long emul_mq_timedsend(struct frame *f)
{
    return mq(f);
}

long emul_mq_timedreceive(struct frame *f)
{
    return mq(f);
}

/* ---- wait4(2), waitid(2) ---- */

enum { WNOHANG = 1, P_PID = 1, P_PIDFD = 3, WNOTHREAD = 0x20000000 };

static long try_wait4(struct kcall *k)
{
    struct frame g = *k->f;
    g.rdx |= WNOHANG;
    long r = enter(&g);
    return r == 0 ? WOULD_BLOCK : r;
}

/* WNOTHREAD means the children of this thread only. To the kernel they are those of the worker that made them: so all are waited for. */
long emul_wait4(struct frame *f)
{
    if (unlikely(f->rdx & WNOTHREAD)) {
        struct frame g = *f;
        g.rdx &= ~(uint64_t)WNOTHREAD;
        return emul_wait4(&g);
    }
    int pid = (int)f->rdi;
    if (f->rdx & WNOHANG) {
        long now = native_sys(f);
        if (now > 0)
            signal_child_waited();
        return now;
    }
    struct kcall k = {.f = f, .try = try_wait4, .key = key_of(KIND_CHILD, pid > 0 ? (uint32_t)pid : 0),
                      .deadline = INT64_MAX};
    long r = kwait(&k);
    if (r > 0) { /* who waits for any child may have none now */
        kwait_wake(key_of(KIND_CHILD, 0));
        signal_child_waited();
    }
    return r;
}

struct waitid_info { /* what waitid fills in of siginfo_t */
    int32_t signo, err, code, pad, pid, uid, status;
    char rest[100];
};

/* To the program's siginfo_t: the fields that the kernel writes, no others. */
static long put_info(uint64_t to, const struct waitid_info *i)
{
    if (!to)
        return 0;
    long r = uaccess_copy((void *)to, i, 12);
    return r ? r : uaccess_copy((void *)(to + 16), &i->pid, 12);
}

static long try_waitid(struct kcall *k)
{
    struct frame g = *k->f;
    struct waitid_info i = {0};
    g.rdx = (uint64_t)&i;
    g.r10 |= WNOHANG;
    long r = enter(&g);
    if (r == 0 && i.pid == 0)
        return WOULD_BLOCK;
    if (r <= -ERESTARTSYS)
        return r;
    long bad = put_info(k->f->rdx, &i);
    return bad ? bad : r;
}

long emul_waitid(struct frame *f)
{
    if (unlikely(f->r10 & WNOTHREAD)) {
        struct frame g = *f;
        g.r10 &= ~(uint64_t)WNOTHREAD;
        return emul_waitid(&g);
    }
    if ((f->r10 & WNOHANG) || ((int)f->rdi == P_PIDFD && (sys2(__NR_fcntl, (int)f->rsi, 3 /* F_GETFL */) & 04000)))
        return native_sys(f);
    struct kcall k = {.f = f, .try = try_waitid,
                      .key = key_of(KIND_CHILD, (int)f->rdi == P_PID ? (uint32_t)f->rsi : 0), .deadline = INT64_MAX};
    long r = kwait(&k);
    if (r == 0) {
        kwait_wake(key_of(KIND_CHILD, 0));
        signal_child_waited();
    }
    return r;
}

/* ---- io_getevents(2), io_pgetevents(2) ---- */

struct aiocall {
    struct kcall k;
    int64_t got, least; /* events that came already; how many are asked for */
    struct timespec64 left;
};
enum { IO_EVENT_SIZE = 32 };

static void rest(struct aiocall *c, struct frame *g)
{
    g->rsi = (uint64_t)(c->least - c->got);
    g->rdx = (uint64_t)((int64_t)g->rdx - c->got);
    g->r10 += (uint64_t)c->got * IO_EVENT_SIZE;
}

static long try_aio(struct kcall *k)
{
    struct aiocall *c = container_of(k, struct aiocall, k);
    struct frame g = *k->f;
    rest(c, &g);
    g.r8 = (uint64_t)&long_ago; /* no time at all */
    long r = enter(&g);
    if (r < 0)
        return c->got ? c->got : r;
    c->got += r;
    k->timed_out = c->got;
    return c->got >= c->least ? c->got : WOULD_BLOCK;
}

static long native_aio(struct kcall *k, struct frame *g)
{
    struct aiocall *c = container_of(k, struct aiocall, k);
    if (c->got) /* what came already must not be lost to EINTR */
        return WOULD_BLOCK;
    if (k->deadline == INT64_MAX)
        return 0;
    int64_t left = k->deadline - now_ns();
    if (left <= 0)
        left = 0;
    c->left = (struct timespec64){left / NSEC_PER_SEC, left % NSEC_PER_SEC};
    g->r8 = (uint64_t)&c->left;
    return 0;
}

static long getevents(struct frame *f)
{
    struct uthread *u = uthread_self();
    struct timespec64 t;
    struct aiocall c = {.k = {.f = f, .try = try_aio, .native = native_aio, .key = key_of(KIND_AIO, f->rdi),
                              .deadline = INT64_MAX},
                        .least = (int64_t)f->rsi};
    if ((int64_t)f->rsi <= 0 || (int64_t)f->rdx < (int64_t)f->rsi)
        return native_sys(f);
    if (f->r8) {
        if (uaccess_copy(&t, (void *)f->r8, sizeof t))
            return -EFAULT;
        if (t.sec < 0 || t.nsec < 0 || t.nsec >= NSEC_PER_SEC)
            return native_block(f);
        c.k.deadline = t.sec > INT64_MAX / NSEC_PER_SEC / 2 ? INT64_MAX - 1
                                                            : now_ns() + t.sec * NSEC_PER_SEC + t.nsec;
        if (u->restart_when) { /* made again since no handler ran: to the same end */
            c.k.deadline = u->restart_when;
            u->restart_when = 0;
        }
    }
    long r = kwait(&c.k);
    if (!c.got && r > 0 && r < c.least && now_ns() < c.k.deadline &&
        !(load_relaxed(&uthread_self()->attn) & ATTN_SIGNAL)) {
        /* Natively, and ended early by a poke that no signal came with (sysmon wants the worker): the rest parked. */
        c.got = c.k.timed_out = r;
        r = kwait(&c.k);
    }
    if (r == -ERESTARTNOHAND && f->r8)
        u->restart_when = c.k.deadline;
    return r;
}

long emul_io_getevents(struct frame *f)
{
    return getevents(f);
}

long emul_io_pgetevents(struct frame *f)
{
    struct frame g = *f;
    uint64_t mask[2] = {0, 0}; /* struct __aio_sigset: where the mask is, and its size */
    if (f->r9 && uaccess_copy(mask, (void *)f->r9, sizeof mask))
        return -EFAULT;
    long r = signal_mask_begin(mask[0], mask[1]);
    if (r)
        return r;
    g.nr = __NR_io_getevents;
    g.r9 = 0;
    r = getevents(&g);
    if (r == -ERESTARTNOINTR) /* what came before it began ends it, too: the mask may have let it in, and made again it would wait */
        r = -ERESTARTNOHAND;
    return signal_mask_end(mask[0], r);
}

/* ---- io_uring_enter(2) ----
 *
 * Submitting and waiting are one call. Natively if a worker may be spent; else it is submitted first, and the wait is tried
 * with a time limit of 0. That tells only whether there is one completion: waits for more, and those with a signal
 * mask, are always native.
 */
enum { ENTER_GETEVENTS = 1, ENTER_SQ_WAKEUP = 2, ENTER_EXT_ARG = 8, ETIME = 62 };

struct uringcall {
    struct kcall k;
    long submitted;
    struct {
        uint64_t sigmask;
        uint32_t sigmask_size, min_wait;
        uint64_t ts;
    } arg;
};

static long try_uring(struct kcall *k)
{
    struct uringcall *c = container_of(k, struct uringcall, k);
    struct frame g = *k->f;
    g.rsi = 0;
    g.r10 = ENTER_GETEVENTS | ENTER_EXT_ARG;
    g.r8 = (uint64_t)&c->arg;
    g.r9 = sizeof c->arg;
    c->arg.sigmask = 0;
    c->arg.sigmask_size = c->arg.min_wait = 0;
    c->arg.ts = (uint64_t)&long_ago;
    long r = enter(&g);
    if (r == -ETIME)
        return WOULD_BLOCK;
    return c->submitted && r > -ERESTARTSYS ? c->submitted : r;
}

static long native_uring(struct kcall *k, struct frame *g)
{
    (void)k;
    (void)g;
    return WOULD_BLOCK; /* was refused already */
}

long emul_io_uring_enter(struct frame *f)
{
    uint64_t flags = f->r10;
    struct uringcall c = {.k = {.f = f, .try = try_uring, .native = native_uring,
                                .key = key_of(KIND_URING, (uint32_t)f->rdi), .deadline = INT64_MAX,
                                .timed_out = -ETIME}};
    struct timespec64 t;
    bool simple = (uint32_t)f->rdx == 1 && !(flags & ~(uint64_t)(ENTER_GETEVENTS | ENTER_SQ_WAKEUP | ENTER_EXT_ARG)) &&
                  !(f->r8 && !(flags & ENTER_EXT_ARG));
    long r;
    uring_submits((int)f->rdi, (uint32_t)f->rsi, flags);
    if (!(flags & ENTER_GETEVENTS) || !f->rdx)
        return native_sys(f);
    if (simple && (flags & ENTER_EXT_ARG)) {
        simple = f->r9 == sizeof c.arg && !uaccess_copy(&c.arg, (void *)f->r8, sizeof c.arg) && !c.arg.sigmask &&
                 !c.arg.min_wait && (!c.arg.ts || !uaccess_copy(&t, (void *)c.arg.ts, sizeof t));
        if (simple && c.arg.ts) {
            simple = t.sec >= 0 && t.sec < INT64_MAX / NSEC_PER_SEC / 2 && t.nsec >= 0 && t.nsec < NSEC_PER_SEC;
            c.k.deadline = simple ? now_ns() + t.sec * NSEC_PER_SEC + t.nsec : 0;
        }
    }
    hook_enter();
    if (!simple)
        r = native_block_in_hook(f);
    else if (!native_block_admitted(f, false, &r)) {
        r = 0;
        if ((uint32_t)f->rsi) {
            struct frame g = *f;
            g.rdx = 0;
            g.r10 = flags & ENTER_SQ_WAKEUP;
            g.r8 = g.r9 = 0;
            r = c.submitted = enter(&g);
        }
        if (r == (long)(uint32_t)f->rsi) {
            c.k.timed_out = c.submitted ? c.submitted : -ETIME;
            c.k.tried = true;
            r = wait_parked(&c.k);
        }
    }
    hook_exit();
    return r;
}
