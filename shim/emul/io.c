/* Sockets and pipes: reading, writing, accepting, connecting.
 *
 * Each call is first made without blocking (MSG_DONTWAIT, RWF_NOWAIT); when it would block and the
 * program wants it to, the user thread waits for an edge (fd_wait). The flags of the file
 * description stay the program's: others may share it.
 *
 * A TCP read that comes short has drained the socket: the next read waits at once, for the edge of what
 * comes after, without asking the kernel first.
 */
#include "fd.h"

#include "../sched/internal.h"

#define MSG_OOB       0x1
#define MSG_PEEK      0x2
#define MSG_DONTWAIT  0x40
#define MSG_WAITALL   0x100
#define MSG_ERRQUEUE  0x2000
#define MSG_NOSIGNAL  0x4000
#define RWF_NOWAIT    0x8

struct iovec64 {
    uint64_t base, len;
};
struct msghdr64 {
    uint64_t name;
    uint32_t namelen, pad;
    uint64_t iov, iovlen, control, controllen;
    uint32_t flags, pad2;
};

enum op { OP_RECV, OP_RECVMSG, OP_READV };

/* One try, not blocking. */
static long try_recv(const struct frame *f, enum op op, uint32_t flags)
{
    switch (op) {
    case OP_RECV:
        return sys6(__NR_recvfrom, (long)f->rdi, (long)f->rsi, (long)f->rdx, flags | MSG_DONTWAIT,
                    f->nr == __NR_recvfrom ? (long)f->r8 : 0, f->nr == __NR_recvfrom ? (long)f->r9 : 0);
    case OP_RECVMSG:
        return sys3(__NR_recvmsg, (long)f->rdi, (long)f->rsi, flags | MSG_DONTWAIT);
    default: {
        struct msghdr64 m = {.iov = f->rsi, .iovlen = f->rdx};
        return sys3(__NR_recvmsg, (long)f->rdi, P(&m), MSG_DONTWAIT);
    }
    }
}

static int64_t socket_deadline(struct fdrec *rec, int fd, uint8_t flag, int opt)
{
    if (likely(!(load_relaxed(&rec->flags) & flag)))
        return INT64_MAX;
    int64_t tv[2] = {0, 0};
    uint32_t len = sizeof tv;
    if (sys5(__NR_getsockopt, fd, 1, opt, P(tv), P(&len)) < 0 || (tv[0] == 0 && tv[1] == 0))
        return INT64_MAX;
    return now_ns() + tv[0] * NSEC_PER_SEC + tv[1] * 1000;
}

/* What a wait that ended without data means for the call. 0: try again. */
static long wait_result(enum wake why, int64_t deadline, long done)
{
    switch (why) {
    case WAKE_EVENT:
        return 0;
    case WAKE_TIMEOUT:
        return done ? done : -EAGAIN;
    case WAKE_CLOSED:
        return done ? done : -EBADF;
    default: /* a signal: with a timeout never restarted (signal(7)) */
        return done ? done : deadline == INT64_MAX ? -ERESTARTSYS : -EINTR;
    }
}

static long do_recv(struct frame *f, struct fdrec *rec, enum fd_type t, enum op op, uint32_t flags, uint64_t want)
{
    int fd = (int)f->rdi;
    int64_t deadline = -1;
    bool may_drain = t == FD_TCP && op == OP_RECV && !(flags & (MSG_PEEK | MSG_WAITALL));
    bool all = (flags & MSG_WAITALL) && op == OP_RECV && t != FD_DGRAM;
    uint64_t done = 0;
    struct frame g;
    long r;
    if (all) {
        g = *f;
        f = &g;
    }
    for (;;) {
        uint32_t edges = fd_edges(rec, DIR_IN);
        /* Not for who does not block: EAGAIN must be the kernel's word. */
        if (!(may_drain && load_relaxed(&rec->drained) == edges + 1 && !fd_nonblock(rec, fd))) {
            r = try_recv(f, op, flags);
            if (all && r > 0 && done + (uint64_t)r < want) {
                done += (uint64_t)r;
                g.rsi += (uint64_t)r;
                g.rdx -= (uint64_t)r;
                continue;
            }
            if (r != -EAGAIN) {
                if (may_drain && r > 0 && (uint64_t)r < want && !(load_relaxed(&rec->flags) & FDF_URGENT) &&
                    (load_relaxed(&rec->watched) & DIR_IN))
                    store_relaxed(&rec->drained, edges + 1);
                if (unlikely(load_relaxed(&rec->head) != NULL) && !(flags & MSG_PEEK)) {
                    hook_enter();
                    fd_pass_on(rec, DIR_IN);
                    hook_exit();
                }
                return r < 0 ? (done ? (long)done : r) : (long)done + r;
            }
        }
        if (fd_nonblock(rec, fd))
            return done ? (long)done : -EAGAIN;
        if (deadline == -1)
            deadline = socket_deadline(rec, fd, FDF_RCVTIMEO, 20);
        hook_enter();
        enum wake why = fd_wait(rec, fd, DIR_IN, edges, deadline, WAIT_READ);
        if (why == WAKE_NONE) {
            r = native_block_in_hook(f);
            hook_exit();
            return r;
        }
        hook_exit();
        r = wait_result(why, deadline, (long)done);
        if (r)
            return r;
    }
}

/* ---- pipes ---- */

static long pipe_io(struct frame *f, struct fdrec *rec, bool out, struct iovec64 *iov, uint64_t n)
{
    int fd = (int)f->rdi;
    uint8_t dir = out ? DIR_OUT : DIR_IN;
    long done = 0;
    (void)n;
    if (fd_nonblock(rec, fd))
        return native_sys(f);
    for (;;) {
        uint32_t edges = fd_edges(rec, dir);
        long r = sys6(out ? __NR_pwritev2 : __NR_preadv2, fd, P(iov), 1, -1, -1, RWF_NOWAIT);
        if (r == -EOPNOTSUPP)
            return done ? done : native_block(f); /* a FIFO on an old kernel */
        if (r == -EPIPE) {
            uint64_t set = 1ull << (13 - 1);
            struct timespec64 zero = {0, 0};
            char info[128];
            sys4(__NR_rt_sigtimedwait, P(&set), P(info), P(&zero), 8); /* the kernel's, for this worker */
            if (done)
                return done;
            signal_raise_self(13);
            return r;
        }
        if (r > 0 && out && (uint64_t)r < iov->len) {
            done += r;
            iov->base += (uint64_t)r;
            iov->len -= (uint64_t)r;
            continue;
        }
        if (r != -EAGAIN) {
            if (load_relaxed(&rec->head)) {
                hook_enter();
                fd_pass_on(rec, dir);
                hook_exit();
            }
            return r < 0 ? (done ? done : r) : done + r;
        }
        hook_enter();
        enum wake why = fd_wait(rec, fd, dir, edges, INT64_MAX, out ? WAIT_WRITE : WAIT_READ);
        if (why == WAKE_NONE) {
            struct frame g = *f;
            g.rsi = iov->base;
            g.rdx = iov->len;
            r = native_block_in_hook(&g);
            hook_exit();
            return r < 0 && done ? done : done + r;
        }
        hook_exit();
        r = wait_result(why, INT64_MAX, done);
        if (r)
            return r;
    }
}

/* ---- reading ---- */

long emul_read(struct frame *f)
{
    int fd = (int)f->rdi;
    struct fdrec *rec = fd_rec(fd);
    if (!rec || f->rdx == 0)
        return native_sys(f);
    enum fd_type t = fd_type(rec, fd);
    switch (t) {
    case FD_FILE:
        return native_sys(f);
    case FD_TCP:
    case FD_STREAM:
    case FD_DGRAM:
        return do_recv(f, rec, t, OP_RECV, 0, f->rdx);
    case FD_PIPE: {
        struct iovec64 iov = {f->rsi, f->rdx};
        return pipe_io(f, rec, false, &iov, 1);
    }
    default:
        return native_block(f);
    }
}

static bool iov_empty(uint64_t iov, uint64_t n)
{
    struct iovec64 v;
    for (uint64_t i = 0; i < n; i++) {
        if (uaccess_copy(&v, (void *)(iov + i * sizeof v), sizeof v))
            return true;
        if (v.len)
            return false;
    }
    return true;
}

long emul_readv(struct frame *f)
{
    int fd = (int)f->rdi;
    struct fdrec *rec = fd_rec(fd);
    if (!rec || f->rdx == 0 || f->rdx > 1024 || iov_empty(f->rsi, f->rdx))
        return native_sys(f);
    enum fd_type t = fd_type(rec, fd);
    switch (t) {
    case FD_FILE:
        return native_sys(f);
    case FD_TCP:
    case FD_STREAM:
    case FD_DGRAM:
        return do_recv(f, rec, t, OP_READV, 0, UINT64_MAX);
    default:
        return native_block(f);
    }
}

long emul_recvfrom(struct frame *f)
{
    int fd = (int)f->rdi;
    uint32_t flags = (uint32_t)f->r10;
    struct fdrec *rec = fd_rec(fd);
    if (!rec || (flags & (MSG_DONTWAIT | MSG_OOB | MSG_ERRQUEUE)))
        return native_sys(f);
    enum fd_type t = fd_type(rec, fd);
    if (t != FD_TCP && t != FD_STREAM && t != FD_DGRAM)
        return t == FD_FILE ? native_sys(f) : native_block(f);
    if ((flags & MSG_WAITALL) && ((flags & MSG_PEEK) || f->r8))
        return native_block(f);
    return do_recv(f, rec, t, OP_RECV, flags, f->rdx);
}

long emul_recvmsg(struct frame *f)
{
    int fd = (int)f->rdi;
    uint32_t flags = (uint32_t)f->rdx;
    struct fdrec *rec = fd_rec(fd);
    if (!rec || (flags & (MSG_DONTWAIT | MSG_OOB | MSG_ERRQUEUE)))
        return native_sys(f);
    enum fd_type t = fd_type(rec, fd);
    if (t != FD_TCP && t != FD_STREAM && t != FD_DGRAM)
        return t == FD_FILE ? native_sys(f) : native_block(f);
    if ((flags & MSG_WAITALL) && t != FD_DGRAM)
        return native_block(f);
    return do_recv(f, rec, t, OP_RECVMSG, flags, UINT64_MAX);
}

/* ---- writing ---- */

static long broken_pipe(long r, uint32_t flags)
{
    if (r == -EPIPE && !(flags & MSG_NOSIGNAL))
        signal_raise_self(13 /* SIGPIPE */);
    return r;
}

/* Send all of buf, from `done` bytes on. */
static long send_rest(struct frame *f, struct fdrec *rec, enum fd_type t, uint64_t buf, uint64_t len, uint32_t flags,
                      uint64_t addr, uint64_t addrlen, int64_t *deadline, long total)
{
    int fd = (int)f->rdi;
    uint64_t done = 0;
    for (;;) {
        uint32_t edges = fd_edges(rec, DIR_OUT);
        long r = sys6(__NR_sendto, fd, (long)(buf + done), (long)(len - done), flags | MSG_DONTWAIT | MSG_NOSIGNAL,
                      (long)addr, (long)addrlen);
        if (likely(r >= 0)) {
            done += (uint64_t)r;
            if (done >= len || t == FD_DGRAM)
                return total + (long)done;
            continue;
        }
        long sofar = total + (long)done;
        if (r != -EAGAIN)
            return sofar ? sofar : broken_pipe(r, flags);
        if (fd_nonblock(rec, fd))
            return sofar ? sofar : r;
        if (*deadline == -1)
            *deadline = socket_deadline(rec, fd, FDF_SNDTIMEO, 21);
        hook_enter();
        enum wake why = fd_wait(rec, fd, DIR_OUT, edges, *deadline, WAIT_WRITE);
        if (why == WAKE_NONE) {
            struct frame g = *f;
            g.nr = __NR_sendto;
            g.rsi = buf + done;
            g.rdx = len - done;
            g.r10 = flags;
            g.r8 = addr;
            g.r9 = addrlen;
            r = native_block_in_hook(&g);
            hook_exit();
            return r < 0 && sofar ? sofar : sofar + r;
        }
        hook_exit();
        r = wait_result(why, *deadline, sofar);
        if (r)
            return r;
    }
}

long emul_write(struct frame *f)
{
    int fd = (int)f->rdi;
    struct fdrec *rec = fd_rec(fd);
    if (!rec)
        return native_sys(f);
    enum fd_type t = fd_type(rec, fd);
    int64_t deadline = -1;
    switch (t) {
    case FD_FILE:
        return native_sys(f);
    case FD_TCP:
    case FD_STREAM:
    case FD_DGRAM:
        return send_rest(f, rec, t, f->rsi, f->rdx, 0, 0, 0, &deadline, 0);
    case FD_PIPE: {
        struct iovec64 iov = {f->rsi, f->rdx};
        return f->rdx ? pipe_io(f, rec, true, &iov, 1) : native_sys(f);
    }
    default:
        return native_block(f);
    }
}

/* A message sent in part: the rest of its iov, piece by piece. */
static long send_iov_rest(struct frame *f, struct fdrec *rec, enum fd_type t, uint64_t iov, uint64_t n,
                          uint32_t flags, int64_t *deadline, long done)
{
    uint64_t skip = (uint64_t)done;
    struct iovec64 v;
    for (uint64_t i = 0; i < n; i++) {
        if (uaccess_copy(&v, (void *)(iov + i * sizeof v), sizeof v))
            return done ? done : -EFAULT;
        if (skip >= v.len) {
            skip -= v.len;
            continue;
        }
        long r = send_rest(f, rec, t, v.base + skip, v.len - skip, flags, 0, 0, deadline, done);
        if (r < 0 || (uint64_t)(r - done) < v.len - skip)
            return r;
        done = r;
        skip = 0;
    }
    return done;
}

static long iov_total(uint64_t iov, uint64_t n, uint64_t *total)
{
    struct iovec64 v;
    *total = 0;
    for (uint64_t i = 0; i < n; i++) {
        if (uaccess_copy(&v, (void *)(iov + i * sizeof v), sizeof v))
            return -EFAULT;
        *total += v.len;
    }
    return 0;
}

static long do_sendmsg(struct frame *f, struct fdrec *rec, enum fd_type t, struct msghdr64 *m, uint64_t user_msg,
                       uint32_t flags)
{
    int fd = (int)f->rdi;
    int64_t deadline = -1;
    uint64_t total;
    if (iov_total(m->iov, m->iovlen, &total))
        return -EFAULT;
    for (;;) {
        uint32_t edges = fd_edges(rec, DIR_OUT);
        long r = sys3(__NR_sendmsg, fd, user_msg ? (long)user_msg : P(m), flags | MSG_DONTWAIT | MSG_NOSIGNAL);
        if (r >= 0) {
            if ((uint64_t)r >= total || t == FD_DGRAM)
                return r;
            return send_iov_rest(f, rec, t, m->iov, m->iovlen, flags, &deadline, r);
        }
        if (r != -EAGAIN)
            return broken_pipe(r, flags);
        if (fd_nonblock(rec, fd))
            return r;
        if (deadline == -1)
            deadline = socket_deadline(rec, fd, FDF_SNDTIMEO, 21);
        hook_enter();
        enum wake why = fd_wait(rec, fd, DIR_OUT, edges, deadline, WAIT_WRITE);
        if (why == WAKE_NONE) {
            r = native_block_in_hook(f);
            hook_exit();
            return r;
        }
        hook_exit();
        r = wait_result(why, deadline, 0);
        if (r)
            return r;
    }
}

long emul_writev(struct frame *f)
{
    int fd = (int)f->rdi;
    struct fdrec *rec = fd_rec(fd);
    if (!rec || f->rdx == 0 || f->rdx > 1024)
        return native_sys(f);
    enum fd_type t = fd_type(rec, fd);
    if (t == FD_FILE)
        return native_sys(f);
    if (t != FD_TCP && t != FD_STREAM && t != FD_DGRAM)
        return native_block(f);
    struct msghdr64 m = {.iov = f->rsi, .iovlen = f->rdx};
    return do_sendmsg(f, rec, t, &m, 0, 0);
}

long emul_sendto(struct frame *f)
{
    int fd = (int)f->rdi;
    uint32_t flags = (uint32_t)f->r10;
    struct fdrec *rec = fd_rec(fd);
    enum fd_type t = rec ? fd_type(rec, fd) : FD_FILE;
    if (t != FD_TCP && t != FD_STREAM && t != FD_DGRAM)
        return native_sys(f);
    if (flags & MSG_DONTWAIT) {
        struct frame g = *f;
        g.r10 |= MSG_NOSIGNAL;
        return broken_pipe(native_sys(&g), flags);
    }
    int64_t deadline = -1;
    return send_rest(f, rec, t, f->rsi, f->rdx, flags, f->r8, f->r9, &deadline, 0);
}

long emul_sendmsg(struct frame *f)
{
    int fd = (int)f->rdi;
    uint32_t flags = (uint32_t)f->rdx;
    struct msghdr64 m;
    struct fdrec *rec = fd_rec(fd);
    enum fd_type t = rec ? fd_type(rec, fd) : FD_FILE;
    if ((t != FD_TCP && t != FD_STREAM && t != FD_DGRAM) || uaccess_copy(&m, (void *)f->rsi, sizeof m) ||
        m.iovlen > 1024)
        return native_sys(f);
    if (m.controllen) { /* may carry descriptors */
        struct { uint64_t len; int32_t level, type; int32_t fd[4]; } c;
        if (!uaccess_copy(&c, (void *)m.control, m.controllen < sizeof c ? m.controllen : sizeof c) && c.level == 1 &&
            c.type == 1)
            for (uint64_t i = 0; i < (c.len - 16) / 4 && i < 4; i++) {
                struct fdrec *passed = fd_rec(c.fd[i]);
                if (passed)
                    __atomic_fetch_or(&passed->flags, FDF_SHARED, __ATOMIC_RELAXED);
            }
    }
    if (flags & MSG_DONTWAIT) {
        struct frame g = *f;
        g.rdx |= MSG_NOSIGNAL;
        return broken_pipe(native_sys(&g), flags);
    }
    return do_sendmsg(f, rec, t, &m, f->rsi, flags);
}

/* ---- connections ---- */

static bool readable(int fd)
{
    struct {
        int32_t fd;
        int16_t events, revents;
    } p = {fd, 1, 0};
    return sys3(__NR_poll, P(&p), 1, 0) != 0;
}

/* accept has no MSG_DONTWAIT, and the listener's flags are not ours to change: look first, one user thread at
 * a time, then accept. If another process snatches the connection between, the call blocks natively. */
static long do_accept(struct frame *f)
{
    int fd = (int)f->rdi;
    struct fdrec *rec = fd_rec(fd);
    enum fd_type t = rec ? fd_type(rec, fd) : FD_FILE;
    if (t != FD_TCP && t != FD_STREAM && t != FD_DGRAM)
        return native_sys(f);
    int64_t deadline = -1;
    bool nonblock = fd_nonblock(rec, fd);
    long r;
    for (;;) {
        uint32_t edges = fd_edges(rec, DIR_IN);
        if (nonblock || cas(&rec->accepting, (uint8_t)0, (uint8_t)1)) {
            r = -EAGAIN;
            if (nonblock || readable(fd))
                r = native_sys(f);
            if (!nonblock)
                store_release(&rec->accepting, (uint8_t)0);
            if (load_relaxed(&rec->head) && (r >= 0 || !nonblock)) {
                hook_enter();
                if (r != -EAGAIN)
                    fd_pass_on(rec, DIR_IN);
                hook_exit();
            }
            if (r != -EAGAIN || nonblock)
                break;
        } else {
            /* Somebody else is at it; he passes on when he got one. Let him finish. */
            hook_enter();
            sched_yield_now();
            hook_exit();
            if (load_relaxed(&rec->accepting)) {
                cpu_relax();
                continue;
            }
            continue;
        }
        if (deadline == -1)
            deadline = socket_deadline(rec, fd, FDF_RCVTIMEO, 20);
        hook_enter();
        enum wake why = fd_wait(rec, fd, DIR_IN, edges, deadline, WAIT_ACCEPT);
        if (why == WAKE_NONE) {
            r = native_block_in_hook(f);
            hook_exit();
            break;
        }
        hook_exit();
        r = wait_result(why, deadline, 0);
        if (r)
            return r;
    }
    if (r >= 0) {
        struct fdrec *new = fd_rec((int)r);
        if (new) {
            bool nb = f->nr == __NR_accept4 && (f->r10 & 04000);
            new->flags = FDF_SERVED | (nb ? FDF_NONBLOCK : 0) |
                         (load_relaxed(&rec->flags) & (FDF_RCVTIMEO | FDF_SNDTIMEO));
            if (t == FD_TCP)
                store_release(&new->type, FD_TCP);
        }
    }
    return r;
}

long emul_accept(struct frame *f)
{
    return do_accept(f);
}

long emul_accept4(struct frame *f)
{
    return do_accept(f);
}

/* connect(2). A TCP socket that nobody else can know is made non-blocking for the length of the call. */
long emul_connect(struct frame *f)
{
    int fd = (int)f->rdi;
    struct fdrec *rec = fd_rec(fd);
    enum fd_type t = rec ? fd_type(rec, fd) : FD_FILE;
    if (t != FD_TCP || (load_relaxed(&rec->flags) & FDF_SHARED))
        return t == FD_DGRAM || t == FD_FILE ? native_sys(f) : native_block(f);
    if (rec->flags & FDF_NONBLOCK)
        return native_sys(f);
    long fl = sys3(__NR_fcntl, fd, 3, 0);
    if (fl < 0)
        return native_sys(f);
    uint32_t edges = fd_edges(rec, DIR_OUT);
    sys3(__NR_fcntl, fd, 4, fl | 04000);
    long r = native_sys(f);
    sys3(__NR_fcntl, fd, 4, fl);
    if (r != -EINPROGRESS && r != -EALREADY)
        return r;
    int64_t deadline = socket_deadline(rec, fd, FDF_SNDTIMEO, 21);
    for (;;) {
        hook_enter();
        enum wake why = fd_wait(rec, fd, DIR_OUT, edges, deadline, WAIT_CONNECT);
        hook_exit();
        if (why == WAKE_NONE)
            return native_block(f); /* waits for the attempt under way */
        if (why == WAKE_TIMEOUT)
            return -EINPROGRESS;
        if (why == WAKE_CLOSED)
            return -EBADF;
        if (why == WAKE_SIGNAL)
            return deadline == INT64_MAX ? -ERESTARTSYS : -EINTR;
        /* Again: the kernel tells how the attempt ended, and notes that it was told. */
        edges = fd_edges(rec, DIR_OUT);
        sys3(__NR_fcntl, fd, 4, fl | 04000);
        r = native_sys(f);
        sys3(__NR_fcntl, fd, 4, fl);
        if (r != -EINPROGRESS && r != -EALREADY)
            return r;
    }
}
