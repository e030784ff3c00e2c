#include "fd.h"
#include "kwait.h"

#include "../sched/internal.h"

#include <linux/eventpoll.h>

#ifndef O_NONBLOCK
#define O_NONBLOCK 04000
#endif

struct fdrec *fd_recs;
#define recs fd_recs

int fd_activate(void)
{
    if (!recs)
        recs = sys_map(NULL, sizeof(struct fdrec) * FDS_MAX, 3, 0x4000);
    return recs ? netpoll_init() : -ENOMEM;
}

/* In a fork child: records start anew (their waiters are the parent's), and every description is shared with it. */
void fd_reset(void)
{
    if (recs)
        sys3(__NR_madvise, P(recs), sizeof(struct fdrec) * FDS_MAX, 4 /* MADV_DONTNEED: zero again */);
}

struct fdrec *fd_rec(int fd)
{
    return (unsigned)fd < FDS_MAX ? &recs[fd] : NULL;
}

static bool has_timeo(int fd, int opt)
{
    int64_t tv[2] = {0, 0};
    uint32_t len = sizeof tv;
    return sys5(__NR_getsockopt, fd, 1, opt, P(tv), P(&len)) == 0 && (tv[0] || tv[1]);
}

static int sockopt(int fd, int opt)
{
    int v = -1;
    uint32_t len = sizeof v;
    return sys5(__NR_getsockopt, fd, 1 /* SOL_SOCKET */, opt, P(&v), P(&len)) == 0 ? v : -1;
}

static enum fd_type classify_socket(struct fdrec *rec, int fd)
{
    int type = sockopt(fd, 3 /* SO_TYPE */), domain = sockopt(fd, 39 /* SO_DOMAIN */);
    uint8_t flags = rec->flags;
    if (has_timeo(fd, 20 /* SO_RCVTIMEO */))
        flags |= FDF_RCVTIMEO;
    if (has_timeo(fd, 21 /* SO_SNDTIMEO */))
        flags |= FDF_SNDTIMEO;
    rec->flags = flags;
    if (sockopt(fd, 18 /* SO_RCVLOWAT */) > 1)
        return FD_OTHER;
    if (type == 1)
        return (domain == 2 || domain == 10) && sockopt(fd, 38 /* SO_PROTOCOL */) == 6 ? FD_TCP : FD_STREAM;
    return FD_DGRAM;
}

struct kstat {
    uint64_t dev, ino, nlink;
    uint32_t mode, uid, gid, pad;
    uint64_t rdev, rest[15];
};

static cold enum fd_type classify(struct fdrec *rec, int fd)
{
    struct kstat st;
    if (sys2(__NR_fstat, fd, P(&st)) < 0)
        return FD_FILE; /* let the call itself say EBADF */
    uint32_t gen = rec->gen;
    enum fd_type t;
    if (!(rec->flags & FDF_SERVED)) {
        rec->flags |= FDF_SHARED;
    }
    switch (st.mode & 0170000) {
    case 0140000: t = classify_socket(rec, fd); break;
    case 0010000: t = FD_PIPE; break;
    case 0100000: case 0040000: case 0060000: t = FD_FILE; break;
    case 0020000: t = (st.rdev >> 8 & 0xfff) == 1 ? FD_FILE : FD_OTHER; break;
    default: t = FD_OTHER;
    }
    lock_take(&rec->lock);
    if (rec->gen == gen && rec->type == FD_UNKNOWN)
        store_release(&rec->type, (uint8_t)t);
    lock_drop(&rec->lock);
    return t;
}

enum fd_type fd_type(struct fdrec *rec, int fd)
{
    enum fd_type t = (enum fd_type)load_acquire(&rec->type);
    return likely(t != FD_UNKNOWN) ? t : classify(rec, fd);
}

bool fd_nonblock(struct fdrec *rec, int fd)
{
    if (load_relaxed(&rec->flags) & FDF_SHARED) {
        long fl = sys3(__NR_fcntl, fd, 3 /* F_GETFL */, 0);
        return fl >= 0 && (fl & O_NONBLOCK);
    }
    return rec->flags & FDF_NONBLOCK;
}

/* ---- waiting ---- */

static void link_waiter(struct fdrec *rec, struct fdwaiter *w)
{
    w->rec = rec;
    w->next = NULL;
    w->prev = rec->tail;
    if (rec->tail)
        rec->tail->next = w;
    else
        rec->head = w;
    rec->tail = w;
}
static void unlink_waiter(struct fdrec *rec, struct fdwaiter *w)
{
    if (w->prev)
        w->prev->next = w->next;
    else
        rec->head = w->next;
    if (w->next)
        w->next->prev = w->prev;
    else
        rec->tail = w->prev;
    store_release(&w->rec, NULL);
}

static void withdraw(struct fdwaiter *w)
{
    struct fdrec *rec = load_acquire(&w->rec);
    if (!rec)
        return;
    lock_take(&rec->lock);
    if (w->rec)
        unlink_waiter(rec, w);
    lock_drop(&rec->lock);
}

static void commit_unlock(struct uthread *u, void *arg)
{
    (void)u;
    lock_drop(&((struct fdrec *)arg)->lock);
}

static void count_park(enum stats_wait why)
{
    switch (why) {
    case WAIT_WRITE: COUNT(park_write); break;
    case WAIT_ACCEPT: COUNT(park_accept); break;
    case WAIT_CONNECT: COUNT(park_connect); break;
    default: COUNT(park_read);
    }
}

enum wake fd_wait(struct fdrec *rec, int fd, uint8_t dir, uint32_t edges, int64_t deadline, enum stats_wait why)
{
    struct uthread *u = uthread_self();
    struct fdwaiter w = {.u = u, .dir = dir};
    lock_take(&rec->lock);
    if (rec->type == FD_CLOSING || rec->type == FD_UNKNOWN) {
        lock_drop(&rec->lock);
        return WAKE_CLOSED;
    }
    if (!(rec->watched & dir)) {
        if (netpoll_watch(rec, fd, dir) < 0) {
            lock_drop(&rec->lock);
            return WAKE_NONE;
        }
        COUNT(netpoll_adds);
    }
    if (fd_edges(rec, dir) != edges) {
        lock_drop(&rec->lock);
        return WAKE_EVENT;
    }
    count_park(why);
    w.seq = wait_open(u);
    link_waiter(rec, &w);
    __atomic_fetch_add(&sched.npollwait, 1, __ATOMIC_RELAXED);
    enum wake r = park(why, (uint64_t)fd, deadline, commit_unlock, rec);
    __atomic_fetch_sub(&sched.npollwait, 1, __ATOMIC_RELAXED);
    withdraw(&w);
    return r;
}

/* Under rec's lock: wake waiters of dir: those that only look all, the others one (or all). */
static uint32_t wake_waiters(struct fdrec *rec, uint8_t dir, bool all, enum wake why, struct uthread **list)
{
    uint32_t n = 0;
    bool taken = false;
    for (struct fdwaiter *w = rec->head, *next; w; w = next) {
        next = w->next;
        if (!(w->dir & dir) || (taken && !w->poll && !all))
            continue;
        struct uthread *u = w->u;
        bool poll = w->poll;
        uint64_t seq = w->seq;
        unlink_waiter(rec, w);
        if (!(poll ? wait_claim_or_mark(u, seq, why) == CLAIM_YES : wait_claim(u, seq, why)))
            continue;
        taken = taken || !poll;
        u->next = *list;
        *list = u;
        n++;
    }
    return n;
}

uint32_t fd_event(uint32_t fd, uint32_t gen, uint32_t ev, struct uthread **list)
{
    if (fd >= FDS_MAX)
        return 0;
    struct fdrec *rec = &recs[fd];
    bool all = ev & (EPOLLHUP | EPOLLERR | EPOLLRDHUP);
    uint32_t n = 0;
    lock_take(&rec->lock);
    if (rec->gen == gen) {
        if (ev & (EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) /* what was announced is more than data */
            __atomic_fetch_or(&rec->flags, FDF_URGENT, __ATOMIC_RELAXED);
        if (ev & (EPOLLIN | EPOLLPRI | EPOLLHUP | EPOLLERR | EPOLLRDHUP)) {
            store_release(&rec->edges_in, rec->edges_in + 1);
            n += wake_waiters(rec, DIR_IN, all, WAKE_EVENT, list);
        }
        if (ev & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
            store_release(&rec->edges_out, rec->edges_out + 1);
            n += wake_waiters(rec, DIR_OUT, all, WAKE_EVENT, list);
        }
    }
    lock_drop(&rec->lock);
    return n;
}

static void ready_all(struct uthread *list)
{
    while (list) {
        struct uthread *u = list;
        list = u->next;
        sched_ready(u);
    }
}

void fd_pass_on(struct fdrec *rec, uint8_t dir)
{
    struct uthread *list = NULL;
    if (likely(!load_relaxed(&rec->head)))
        return;
    lock_take(&rec->lock);
    wake_waiters(rec, dir, false, WAKE_EVENT, &list);
    lock_drop(&rec->lock);
    ready_all(list);
}

void fd_closing(struct fdrec *rec)
{
    struct uthread *list = NULL;
    lock_take(&rec->lock);
    rec->gen++;
    rec->watched = 0;
    rec->flags = 0;
    rec->drained = 0;
    rec->accepting = 0;
    store_release(&rec->type, FD_CLOSING);
    wake_waiters(rec, DIR_IN | DIR_OUT, true, WAKE_CLOSED, &list);
    lock_drop(&rec->lock);
    ready_all(list);
}

void fd_closed(struct fdrec *rec)
{
    lock_take(&rec->lock);
    if (rec->type == FD_CLOSING)
        store_release(&rec->type, FD_UNKNOWN);
    lock_drop(&rec->lock);
}

/* ---- the calls that change descriptors ---- */

static bool known(struct fdrec *rec)
{
    return rec && load_relaxed(&rec->type) != FD_UNKNOWN;
}

long emul_close(struct frame *f)
{
    int fd = (int)f->rdi;
    struct fdrec *rec = fd_rec(fd);
    if (unlikely(netpoll_owns(fd)))
        return -EBADF;
    if (!known(rec) || rec->type == FD_FILE) {
        if (rec) {
            rec->type = FD_UNKNOWN;
            rec->flags = 0;
        }
        return native_sys(f); /* may take long: a socket that lingers, a file that is flushed */
    }
    hook_enter();
    fd_closing(rec);
    hook_exit();
    long r = native_sys(f);
    fd_closed(rec);
    return r;
}

static long run_close_range(unsigned a, unsigned b, unsigned flags)
{
    return sys3(__NR_close_range, a, b, flags);
}

long emul_close_range(struct frame *f)
{
    unsigned a = (unsigned)f->rdi, b = (unsigned)f->rsi, flags = (unsigned)f->rdx;
    if (a > b || (flags & ~6u))
        return sys_intr(f);
    if (flags & 4) /* CLOEXEC only */
        return sys_intr(f);
    unsigned top = b < FDS_MAX ? b : FDS_MAX - 1;
    hook_enter();
    uint64_t lim[2] = {0, 0};
    sys4(__NR_prlimit64, 0, 7, 0, P(lim));
    if (lim[0] < top)
        top = (unsigned)lim[0];
    for (unsigned i = a; i <= top; i++)
        if (known(&recs[i])) {
            fd_closing(&recs[i]);
            fd_closed(&recs[i]);
        }
    hook_exit();
    return netpoll_except(a, b, run_close_range, flags);
}

static void mark_shared(int fd)
{
    struct fdrec *rec = fd_rec(fd);
    if (rec)
        __atomic_fetch_or(&rec->flags, FDF_SHARED, __ATOMIC_RELAXED);
}

long emul_dup(struct frame *f)
{
    mark_shared((int)f->rdi);
    return sys_intr(f);
}

static long dup_onto(struct frame *f)
{
    int old = (int)f->rdi, new = (int)f->rsi;
    struct fdrec *rec = fd_rec(new);
    mark_shared(old);
    if (netpoll_owns(old))
        return -EBADF;
    if (netpoll_owns(new))
        return -EBADF;
    if (old == new || !rec || !known(rec))
        return native_sys(f);
    if (sys2(__NR_fcntl, old, 1 /* F_GETFD */) < 0)
        return -EBADF;
    hook_enter();
    fd_closing(rec);
    hook_exit();
    long r = native_sys(f);
    fd_closed(rec);
    return r;
}

long emul_dup2(struct frame *f)
{
    return dup_onto(f);
}

long emul_dup3(struct frame *f)
{
    return dup_onto(f);
}

static void note_nonblock(int fd, bool on)
{
    struct fdrec *rec = fd_rec(fd);
    if (!rec)
        return;
    if (on)
        __atomic_fetch_or(&rec->flags, FDF_NONBLOCK, __ATOMIC_RELAXED);
    else
        __atomic_fetch_and(&rec->flags, (uint8_t)~FDF_NONBLOCK, __ATOMIC_RELAXED);
}

long emul_fcntl(struct frame *f)
{
    int fd = (int)f->rdi;
    switch ((int)f->rsi) {
    case 0: case 1030: /* F_DUPFD, F_DUPFD_CLOEXEC */
        mark_shared(fd);
        return sys_intr(f);
    case 4: { /* F_SETFL */
        long r = sys_intr(f);
        if (r >= 0)
            note_nonblock(fd, f->rdx & O_NONBLOCK);
        return r;
    }
    case 6: case 7: case 37: case 38: /* F_SETLK, F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW */
        return kwait_setlk(f);
    }
    return sys_intr(f);
}

long emul_ioctl(struct frame *f)
{
    if ((uint32_t)f->rsi == 0x5421 /* FIONBIO */) {
        int on = 0;
        long r = sys_intr(f);
        if (r >= 0 && !uaccess_copy(&on, (void *)f->rdx, sizeof on))
            note_nonblock((int)f->rdi, on);
        return r;
    }
    return native_sys(f);
}

long emul_setsockopt(struct frame *f)
{
    long r = sys_intr(f);
    struct fdrec *rec = fd_rec((int)f->rdi);
    if (r == 0 && rec && (int)f->rsi == 1) {
        int opt = (int)f->rdx;
        if (opt == 20 || opt == 66)
            __atomic_fetch_or(&rec->flags, FDF_RCVTIMEO, __ATOMIC_RELAXED);
        else if (opt == 21 || opt == 67)
            __atomic_fetch_or(&rec->flags, FDF_SNDTIMEO, __ATOMIC_RELAXED);
        else if (opt == 18 && known(rec))
            store_relaxed(&rec->type, FD_OTHER);
    } else if (r == 0 && rec && (int)f->rsi == 6 && (int)f->rdx == 31 /* TCP_ULP */)
        __atomic_fetch_or(&rec->flags, FDF_URGENT, __ATOMIC_RELAXED);
    return r;
}

long emul_socket(struct frame *f)
{
    long fd = sys_intr(f);
    struct fdrec *rec = fd >= 0 ? fd_rec((int)fd) : NULL;
    if (rec) /* ours alone until somebody duplicates it */
        rec->flags = FDF_SERVED | ((uint32_t)f->rsi & O_NONBLOCK ? FDF_NONBLOCK : 0);
    return fd;
}

/* ---- poll(2) on few descriptors ---- */

enum { POLL_MAX = 8 };
struct pollfd64 {
    int32_t fd;
    int16_t events, revents;
};

/* Wait until one of fds may have something. In hook state. -EOPNOTSUPP: cannot be done here. */
static long poll_wait(struct pollfd64 *fds, uint32_t n, int64_t deadline)
{
    struct uthread *u = uthread_self();
    struct fdwaiter w[POLL_MAX];
    uint32_t edges_in[POLL_MAX], edges_out[POLL_MAX];
    for (uint32_t i = 0; i < n; i++) {
        struct fdrec *rec = fds[i].fd >= 0 ? fd_rec(fds[i].fd) : NULL;
        w[i] = (struct fdwaiter){.u = u, .poll = true};
        if (!rec)
            continue;
        enum fd_type t = fd_type(rec, fds[i].fd);
        if (t != FD_TCP && t != FD_STREAM && t != FD_DGRAM && t != FD_PIPE)
            return -EOPNOTSUPP;
        uint8_t dir = (fds[i].events & (0x1 | 0x2 | 0x40 | 0x80 | 0x2000) ? DIR_IN : 0) |
                      (fds[i].events & (0x4 | 0x100 | 0x200) ? DIR_OUT : 0);
        w[i].dir = dir ? dir : DIR_IN; /* HUP and ERR are always reported */
    }
    for (;;) {
        for (uint32_t i = 0; i < n; i++) {
            struct fdrec *rec = w[i].dir ? fd_rec(fds[i].fd) : NULL;
            if (rec) {
                edges_in[i] = fd_edges(rec, DIR_IN);
                edges_out[i] = fd_edges(rec, DIR_OUT);
            }
        }
        long r = sys3(__NR_poll, P(fds), n, 0);
        if (r != 0)
            return r;
        if (deadline <= now_ns())
            return 0;
        /* Link everywhere. The wait opens only on g0; who finds us before that marks the wait as missed
         * (wait_claim_or_mark), and park sees the mark. */
        uint64_t seq = wait_open(u);
        bool again = false, refused = false;
        for (uint32_t i = 0; i < n && !again && !refused; i++) {
            struct fdrec *rec = w[i].dir ? fd_rec(fds[i].fd) : NULL;
            if (!rec)
                continue;
            lock_take(&rec->lock);
            again = ((w[i].dir & DIR_IN) && rec->edges_in != edges_in[i]) ||
                    ((w[i].dir & DIR_OUT) && rec->edges_out != edges_out[i]) || rec->type == FD_CLOSING;
            if (!again && netpoll_watch(rec, fds[i].fd, w[i].dir) < 0)
                refused = true;
            if (!again && !refused) {
                w[i].seq = seq;
                link_waiter(rec, &w[i]);
            }
            lock_drop(&rec->lock);
        }
        enum wake why = WAKE_EVENT;
        if (!again && !refused) {
            COUNT(park_poll);
            __atomic_fetch_add(&sched.npollwait, 1, __ATOMIC_RELAXED);
            why = park(WAIT_POLL, n == 1 ? (uint64_t)fds[0].fd : n, deadline, NULL, NULL);
            __atomic_fetch_sub(&sched.npollwait, 1, __ATOMIC_RELAXED);
        }
        for (uint32_t i = 0; i < n; i++)
            withdraw(&w[i]);
        if (refused)
            return -EOPNOTSUPP;
        if (why == WAKE_SIGNAL)
            return -ERESTARTNOHAND;
        if (why == WAKE_TIMEOUT) {
            r = sys3(__NR_poll, P(fds), n, 0);
            return r;
        }
    }
}

static long do_poll(struct frame *f, int64_t timeout_ns)
{
    struct pollfd64 fds[POLL_MAX];
    uint64_t n = f->rsi;
    if (timeout_ns == 0)
        return sys_intr(f);
    if (n > POLL_MAX) /* TODO(issue 3): park these too */
        return native_block(f);
    if (uaccess_copy(fds, (void *)f->rdi, n * sizeof *fds))
        return -EFAULT;
    int64_t deadline = timeout_ns < 0 || timeout_ns > INT64_MAX / 4 ? INT64_MAX : now_ns() + timeout_ns;
    struct uthread *u = uthread_self();
    if (u->restart_when) { /* made again since no handler ran: to the same end */
        deadline = u->restart_when;
        u->restart_when = 0;
    }
    hook_enter();
    long r = poll_wait(fds, (uint32_t)n, deadline);
    if (r == -ERESTARTNOHAND && deadline != INT64_MAX)
        u->restart_when = deadline;
    if (r == -EOPNOTSUPP) {
        r = native_block_in_hook(f);
        hook_exit();
        return r;
    }
    hook_exit();
    if (r >= 0 && uaccess_copy((void *)f->rdi, fds, n * sizeof *fds))
        return -EFAULT;
    return r;
}

long emul_poll(struct frame *f)
{
    int timeout = (int)f->rdx;
    return do_poll(f, timeout < 0 ? -1 : timeout * 1000000ll);
}

long emul_ppoll(struct frame *f)
{
    if (f->r10) { /* a signal mask: atomically with the wait, in the kernel's way */
        struct uthread *u = uthread_self();
        uint64_t set;
        if (f->r8 != 8)
            return -EINVAL;
        if (uaccess_copy(&set, (void *)f->r10, 8))
            return -EFAULT;
        signal_mask_push(u, set);
    }
    bool masked = f->r10 != 0;
    struct frame g = *f;
    g.r10 = 0;
    int64_t ns = -1;
    struct timespec64 t;
    long r = 0;
    if (f->rdx) {
        if (uaccess_copy(&t, (void *)f->rdx, sizeof t))
            r = -EFAULT;
        else if (t.sec < 0 || t.nsec < 0 || t.nsec >= NSEC_PER_SEC)
            r = -EINVAL;
        else
            ns = t.sec > 1000000000 ? -1 : t.sec * NSEC_PER_SEC + t.nsec;
    }
    if (!r)
        r = do_poll(&g, ns);
    if (masked && r != -ERESTARTNOHAND)
        signal_mask_pop(uthread_self());
    return r;
}
