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
#define MSG_TRUNC     0x20
#define MSG_DONTWAIT  0x40
#define MSG_WAITALL   0x100
#define MSG_ERRQUEUE  0x2000
#define MSG_NOSIGNAL  0x4000
#define MSG_ZEROCOPY  0x4000000
#define MSG_FASTOPEN  0x20000000
#define RWF_NOWAIT    0x8
#define MAX_RW        0x7ffff000ull /* what one call moves at most (read(2)). More is the kernel's to cut, or to refuse */

#define POLLIN    0x1
#define POLLOUT   0x4
#define POLLERR   0x8
#define POLLHUP   0x10
#define POLLRDHUP 0x2000

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

static apart long try_readv(const struct frame *f, int fd)
{
    struct msghdr64 m = {.iov = f->rsi, .iovlen = f->rdx};
    return sys3(__NR_recvmsg, fd, P(&m), MSG_DONTWAIT);
}

/* One try, not blocking. */
static inline long try_recv(const struct frame *f, int fd, enum op op, uint32_t flags)
{
    switch (op) {
    case OP_RECV:
        return sys6(__NR_recvfrom, fd, (long)f->rsi, (long)f->rdx, flags | MSG_DONTWAIT,
                    f->nr == __NR_recvfrom ? (long)f->r8 : 0, f->nr == __NR_recvfrom ? (long)f->r9 : 0);
    case OP_RECVMSG:
        return sys3(__NR_recvmsg, fd, (long)f->rsi, flags | MSG_DONTWAIT);
    default:
        return try_readv(f, fd);
    }
}

static int sockopt(int fd, int opt)
{
    int v = 0;
    uint32_t len = sizeof v;
    sys5(__NR_getsockopt, fd, 1 /* SOL_SOCKET */, opt, P(&v), P(&len));
    return v;
}

/* SO_RCVTIMEO, SO_SNDTIMEO in ns; INT64_MAX: none. */
static apart int64_t socket_limit(int fd, int opt)
{
    int64_t tv[2] = {0, 0};
    uint32_t len = sizeof tv;
    if (sys5(__NR_getsockopt, fd, 1, opt, P(tv), P(&len)) < 0 || (tv[0] == 0 && tv[1] == 0))
        return INT64_MAX;
    return tv[0] * NSEC_PER_SEC + tv[1] * 1000;
}

static int64_t socket_deadline(struct fdcall *c, uint16_t flag, int opt)
{
    if (likely(!(load_relaxed(&c->rec->flags) & (flag | FDF_SHARED)))) /* shared: it may be set elsewhere */
        return INT64_MAX;
    int64_t limit = socket_limit(c->fd, opt);
    return limit == INT64_MAX ? limit : now_ns() + limit;
}

static apart int16_t poll_now(int fd, int16_t events)
{
    struct {
        int32_t fd;
        int16_t events, revents;
    } p = {fd, events, 0};
    return sys3(__NR_poll, P(&p), 1, 0) > 0 ? p.revents : 0;
}

static bool ready(int fd, uint8_t dir)
{
    return poll_now(fd, dir == DIR_IN ? POLLIN : POLLOUT) != 0;
}

/* A call that has done a part tries again: would it only be told an error? That is the next call's. (POLLERR alone may be of the error queue.) */
static bool broken(int fd)
{
    int16_t ends = POLLERR | POLLHUP;
    return (poll_now(fd, 0) & ends) == ends;
}
static bool broken_and_empty(int fd)
{
    int left = 0;
    return broken(fd) && (sys3(__NR_ioctl, fd, 0x541b /* FIONREAD */, P(&left)) < 0 || left == 0);
}

/* A datagram socket that is shut down for receiving says EAGAIN to who does not wait; to who does, that it is the end. */
static bool ended(struct fdcall *c, enum fd_type t)
{
    return t == FD_DGRAM && (load_relaxed(&c->rec->flags) & FDF_URGENT) && (poll_now(c->fd, POLLRDHUP) & POLLRDHUP);
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

/* The wait of a call that would block, until the deadline, or `again` at the latest. 0: try again; WAIT_NATIVE: make the rest natively, it may block there; else the result. */
enum { WAIT_NATIVE = 1l << 62 };
static always_inline long block_until(struct fdcall *c, uint8_t dir, uint32_t edges, int64_t deadline, int64_t again, enum stats_wait why, long done)
{
    hook_enter();
    enum wake r = fd_wait(c, dir, edges, again < deadline ? again : deadline, why);
    hook_exit();
    if (unlikely(r == WAKE_NONE)) {
        fdcall_native(c);
        return WAIT_NATIVE;
    }
    return r == WAKE_TIMEOUT && again < deadline ? 0 : wait_result(r, deadline, done);
}
static always_inline long block(struct fdcall *c, uint8_t dir, uint32_t edges, int64_t deadline, enum stats_wait why, long done)
{
    return block_until(c, dir, edges, deadline, INT64_MAX, why, done);
}

/* A wait of which the kernel does not tell the end: a short sleep, longer each time. 0: try again; else the result. */
static cold long nap(struct fdcall *c, int64_t *ns, int64_t deadline, enum stats_wait why, long done)
{
    int64_t until = now_ns() + *ns;
    if (*ns < 20000000)
        *ns *= 2;
    hook_enter();
    COUNT(park_write);
    wait_open(uthread_self());
    enum wake w = park(why, (uint64_t)c->fd, until < deadline ? until : deadline, NULL, NULL);
    hook_exit();
    return w == WAKE_TIMEOUT && until < deadline ? 0 : wait_result(w, deadline, done);
}
enum { FIRST_NAP_NS = 100000 };

static inline long end(struct fdcall *c, long r)
{
    fdcall_end(c);
    return r;
}

/* The call in f, on the descriptor that c stands for now, natively. */
static apart long native_on(struct frame *f, struct fdcall *c)
{
    if (c->fd == (int)f->rdi)
        return native_block(f);
    struct frame g = *f;
    g.rdi = (uint64_t)c->fd;
    return native_block(&g);
}

/* read(2) and its kin, of what was taken for a socket, have told that it is none. */
static cold long not_a_socket(struct frame *f, struct fdrec *rec)
{
    fd_mistaken(rec, (int)f->rdi);
    return native_block(f);
}
static inline bool for_any_file(const struct frame *f)
{
    return f->nr == __NR_read || f->nr == __NR_readv || f->nr == __NR_write || f->nr == __NR_writev;
}
static inline long unless_mistaken(struct frame *f, struct fdrec *rec, long r)
{
    return unlikely(r == -ENOTSOCK) && for_any_file(f) ? not_a_socket(f, rec) : r;
}

/* ---- receiving ---- */

static bool at_mark(int fd)
{
    int mark = 0;
    return sys3(__NR_ioctl, fd, 0x8905 /* SIOCATMARK */, P(&mark)) == 0 && mark;
}

/* Into buf until `want` of len bytes came, having got `done` before. */
static long recv_fill(struct fdcall *c, uint64_t buf, uint64_t len, uint64_t want, uint32_t flags, int64_t *deadline, long done)
{
    uint64_t got = 0;
    for (;;) {
        uint32_t edges = fd_edges(c->rec, DIR_IN);
        if (done + (long)got && broken_and_empty(c->fd))
            return done + (long)got;
        long r = sys6(__NR_recvfrom, c->fd, (long)(buf + got), (long)(len - got), flags | MSG_DONTWAIT, 0, 0);
        if (r > 0)
            got += (uint64_t)r;
        long sofar = done + (long)got;
        if (r == 0 || (r < 0 && r != -EAGAIN) || got >= want)
            return sofar ? sofar : r;
        if (at_mark(c->fd)) /* no call reads across urgent data */
            return sofar;
        if (r > 0)
            continue;
        if (fdcall_nonblock(c))
            return sofar ? sofar : r;
        if (*deadline == -1)
            *deadline = socket_deadline(c, FDF_RCVTIMEO, 20);
        r = block(c, DIR_IN, edges, *deadline, WAIT_READ, sofar);
        if (r == WAIT_NATIVE)
            return sofar; /* cannot be: what was received on is polled */
        if (r)
            return r;
    }
}

/* The rest of an iov of which the first `done` bytes are filled. */
static long recv_rest(struct fdcall *c, uint64_t iov, uint64_t n, uint64_t want, uint32_t flags, int64_t *deadline, long done)
{
    uint64_t skip = (uint64_t)done;
    struct iovec64 v;
    for (uint64_t i = 0; i < n && (uint64_t)done < want; i++) {
        if (uaccess_copy(&v, (void *)(iov + i * sizeof v), sizeof v))
            return done;
        if (skip >= v.len) {
            skip -= v.len;
            continue;
        }
        uint64_t len = v.len - skip, left = want - (uint64_t)done;
        long r = recv_fill(c, v.base + skip, len, left < len ? left : len, flags, deadline, done);
        if (r < 0 || (uint64_t)(r - done) < len)
            return r;
        done = r;
        skip = 0;
    }
    return done;
}

/* More than MAX_RW: as it is. */
static long iov_total(uint64_t iov, uint64_t n, uint64_t *total)
{
    struct iovec64 v;
    *total = 0;
    for (uint64_t i = 0; i < n && *total <= MAX_RW; i++) {
        if (uaccess_copy(&v, (void *)(iov + i * sizeof v), sizeof v))
            return -EFAULT;
        *total += v.len <= MAX_RW ? v.len : MAX_RW + 1;
    }
    return 0;
}

/* How much a call on a stream waits for, when that is more than anything: MSG_WAITALL, SO_RCVLOWAT. */
static cold uint64_t recv_want(struct frame *f, struct fdrec *rec, int fd, enum op op, uint32_t flags, struct msghdr64 *m)
{
    uint64_t total = f->rdx;
    if (op != OP_RECV && iov_total(m->iov, m->iovlen, &total))
        return 0;
    if (flags & MSG_WAITALL)
        return total;
    int lowat = load_relaxed(&rec->flags) & FDF_LOWAT ? sockopt(fd, 18) : 0;
    return (uint64_t)lowat < total ? (uint64_t)lowat : total;
}

/* A stream call that wants more than the first bytes. */
static cold long recv_more(struct frame *f, struct fdcall *c, enum op op, uint32_t flags, int64_t *deadline, long done)
{
    struct msghdr64 m = {.iov = f->rsi, .iovlen = f->rdx};
    if (op == OP_RECVMSG && uaccess_copy(&m, (void *)f->rsi, sizeof m))
        return done;
    if (op == OP_RECVMSG && m.controllen) /* came with descriptors or the like: ends there */
        return done;
    uint64_t want = recv_want(f, c->rec, c->fd, op, flags, &m);
    if ((uint64_t)done >= want || at_mark(c->fd))
        return done;
    flags &= MSG_TRUNC;
    if (op == OP_RECV)
        return recv_fill(c, f->rsi + (uint64_t)done, f->rdx - (uint64_t)done, want - (uint64_t)done, flags, deadline, done);
    return recv_rest(c, m.iov, m.iovlen, want, flags, deadline, done);
}

/* MSG_WAITALL where data may come with more than itself (descriptors, credentials, times): the kernel knows where such a call ends. It is
 * made once the first of it is there. */
static cold long recv_whole(struct frame *f, struct fdrec *rec)
{
    struct fdcall c;
    int64_t deadline = -1;
    fdcall_begin(&c, (int)f->rdi, rec);
    for (;;) {
        uint32_t edges = fd_edges(c.rec, DIR_IN);
        long r;
        if (ready(c.fd, DIR_IN) || fdcall_nonblock(&c)) {
            fdcall_native(&c);
            r = native_on(f, &c);
            fdcall_pass_on(&c, DIR_IN);
            return end(&c, r);
        }
        if (deadline == -1)
            deadline = socket_deadline(&c, FDF_RCVTIMEO, 20);
        r = block(&c, DIR_IN, edges, deadline, WAIT_READ, 0);
        if (r == WAIT_NATIVE)
            return end(&c, native_on(f, &c));
        if (r)
            return end(&c, r);
    }
}

static cold bool takes_more_than_data(const struct frame *f, enum fd_type t, enum op op)
{
    struct msghdr64 m;
    return t == FD_STREAM || (t == FD_TCP && op == OP_RECVMSG && !uaccess_copy(&m, (void *)f->rsi, sizeof m) && m.controllen);
}

static apart long do_recv(struct frame *f, struct fdrec *rec, enum fd_type t, enum op op, uint32_t flags, uint64_t want)
{
    struct fdcall c;
    int64_t deadline = -1;
    bool may_drain = t == FD_TCP && op == OP_RECV && !(flags & (MSG_PEEK | MSG_WAITALL));
    if (unlikely(flags & MSG_WAITALL) && takes_more_than_data(f, t, op))
        return recv_whole(f, rec);
    bool more = t != FD_DGRAM && !(flags & MSG_PEEK) && ((flags & MSG_WAITALL) || (load_relaxed(&rec->flags) & FDF_LOWAT));
    fdcall_begin(&c, (int)f->rdi, rec);
    for (;;) {
        uint32_t edges = fd_edges(c.rec, DIR_IN);
        long r = -EAGAIN;
        /* Not for who does not block: EAGAIN must be the kernel's word. */
        bool ask = !(may_drain && load_relaxed(&c.rec->drained) == edges + 1 && !(load_relaxed(&c.rec->flags) & FDF_SHARED) &&
                     !fdcall_nonblock(&c));
        if (ask) {
            r = try_recv(f, c.fd, op, flags);
            if (r != -EAGAIN) {
                if (may_drain && r > 0 && (uint64_t)r < want && !(load_relaxed(&c.rec->flags) & FDF_URGENT) &&
                    (load_relaxed(&c.rec->watched) & DIR_IN))
                    store_relaxed(&c.rec->drained, edges + 1);
                if (unlikely(more) && r > 0)
                    r = recv_more(f, &c, op, flags, &deadline, r);
                fdcall_pass_on(&c, DIR_IN); /* after a look too: what it saw is there for others */
                fdcall_end(&c);
                return unless_mistaken(f, rec, r);
            }
        }
        if (fdcall_nonblock(&c))
            return end(&c, -EAGAIN);
        if (unlikely(ended(&c, t))) {
            fdcall_native(&c);
            return end(&c, native_on(f, &c));
        }
        if (deadline == -1)
            deadline = socket_deadline(&c, FDF_RCVTIMEO, 20);
        r = block(&c, DIR_IN, edges, deadline, WAIT_READ, 0);
        if (unlikely(r == WAIT_NATIVE))
            return end(&c, native_on(f, &c));
        if (unlikely(r == -EAGAIN) && !ask) { /* out of time: the edge may be on its way still */
            store_relaxed(&c.rec->drained, 0u);
            continue;
        }
        if (r)
            return end(&c, r);
    }
}

/* ---- pipes and what else is read and written ----
 *
 * Tried with RWF_NOWAIT where the kernel knows that for such a file; else one user thread at a time looks whether
 * it is ready, then calls (FDF_LOOK_*). If another process snatches what was ready, that call blocks natively. */

static bool is_tty(int fd)
{
    char termios[64];
    return sys3(__NR_ioctl, fd, 0x5401 /* TCGETS */, P(termios)) == 0;
}

/* A terminal that answers without anything to read (VMIN 0), or to a short read before it tells of something to read (VMIN above that), or whose
 * reader is in the background and must be stopped: the kernel's business. */
static bool tty_reads_by_clock(int fd, uint64_t total)
{
    struct {
        uint32_t i, o, c, l;
        uint8_t line, cc[19];
    } t;
    int32_t group = 0;
    if (sys3(__NR_ioctl, fd, 0x5401 /* TCGETS */, P(&t)) < 0)
        return false;
    if (!(t.l & 2 /* ICANON */) && (t.cc[6 /* VMIN */] == 0 || (t.cc[5 /* VTIME */] == 0 && t.cc[6] > total)))
        return true;
    return sys3(__NR_ioctl, fd, 0x540f /* TIOCGPGRP */, P(&group)) == 0 && group != sys1(__NR_getpgid, 0);
}

#define EVENTFD "anon_inode:[eventfd]"

/* Does it tell (POLLOUT) when there is room again? fanotify, /dev/kmsg and others take what is written at once, and tell of
 * what is to be read only: a writer would wait for ever. */
static cold bool tells_room(int fd)
{
    return is_tty(fd) || fd_is_called(fd, EVENTFD);
}

/* A read of the terminal by a process in the background failed: since workers block all signals the kernel takes SIGTTIN for blocked. Natively
 * it stops the process (or runs a handler), and the read goes on when it is continued. That of an orphaned process group fails (EIO):
 * it was not stopped if the read fails again and again. */
static cold long tty_background_read(struct frame *f, struct fdcall *c, long r)
{
    enum { SIGTTIN = 21, TRIES = 3 };
    for (int i = 0; i < TRIES && r == -5 /* EIO */ && tty_reads_by_clock(c->fd, UINT64_MAX); i++) {
        long stopped = signal_stop(SIGTTIN);
        if (stopped)
            return stopped == -ERESTARTSYS ? stopped : r;
        r = native_on(f, c);
    }
    return r;
}

/* Look, then make the call in f. */
static long look_and_call(struct frame *f, struct fdcall *c, uint8_t dir, uint64_t total)
{
    enum stats_wait why = dir == DIR_IN ? WAIT_READ : WAIT_WRITE;
    bool tty_waited = false;
    if (total < 128 && total != 8 && !is_tty(c->fd)) { /* perhaps too small for a signalfd and its kin: EINVAL at once */
        fdcall_native(c);
        return end(c, native_on(f, c));
    }
    for (;;) {
        enum wake w = fd_turn_take(c, dir, INT64_MAX, why);
        if (w == WAKE_NONE)
            return end(c, native_on(f, c));
        if (w != WAKE_EVENT)
            return end(c, wait_result(w, INT64_MAX, 0));
        uint32_t edges = fd_edges(c->rec, dir);
        if (ready(c->fd, dir) || (dir == DIR_IN && tty_reads_by_clock(c->fd, total))) {
            fdcall_native(c);
            long r = native_on(f, c);
            if (unlikely(r == -5 /* EIO */) && dir == DIR_IN)
                r = tty_background_read(f, c, r);
            if (unlikely(r == 0) && tty_waited && (poll_now(c->fd, 0) & POLLHUP))
                r = -5; /* who waits is told of the hang-up so; who comes later, that it is the end */
            fd_turn_end(c, dir, true);
            return end(c, r);
        }
        fd_turn_end(c, dir, false);
        if (dir == DIR_OUT && !tells_room(c->fd)) {
            fdcall_native(c);
            return end(c, native_on(f, c));
        }
        tty_waited = dir == DIR_IN && is_tty(c->fd);
        long r = block(c, dir, edges, INT64_MAX, why, 0);
        if (r == WAIT_NATIVE)
            return end(c, native_on(f, c));
        if (r)
            return end(c, r);
    }
}

/* Event loops are told things by an eventfd, over and over, from many threads: no turns, and no look before, unless another writer is
 * in the kernel: perhaps since the counter is at its limit. False: it is. */
static bool eventfd_write(struct frame *f, struct fdrec *rec, long *result)
{
    bool goes = __atomic_fetch_add(&rec->writers, 1, __ATOMIC_RELAXED) == 0 || ready((int)f->rdi, DIR_OUT);
    if (goes)
        *result = native_sys(f);
    __atomic_fetch_sub(&rec->writers, 1, __ATOMIC_RELAXED);
    return goes;
}

/* After EPIPE: the kernel sent SIGPIPE to this worker, or did not (datagrams). It is for the user thread. */
static long broken_pipe(long r)
{
    uint64_t set = 1ull << (13 - 1);
    struct timespec64 zero = {0, 0};
    char info[128];
    if (r == -EPIPE && sys4(__NR_rt_sigtimedwait, P(&set), P(info), P(&zero), 8) == 13)
        signal_raise_self(13);
    return r;
}

/* What is left of an iov of which a part is done. All in one call, since where one ends a packet ends (O_DIRECT, pipe(2)). */
struct rest {
    struct iovec64 one, *all; /* all: NULL, or our copy, of n */
    uint64_t n;
};

/* The iov (n pieces at iov, in the program's memory) has been done up to `at`. False: nothing more, or no memory. */
static bool rest_of(struct rest *rest, uint64_t *iov, uint64_t *n, uint64_t at)
{
    struct iovec64 *v = &rest->one;
    if (*n > 1 && !rest->all) {
        rest->n = *n;
        rest->all = sys_map(NULL, ALIGN_UP(*n * sizeof *v, PAGE_SIZE), 3, 0);
        if (!rest->all)
            return false;
    }
    uint64_t i = 0, count = rest->all ? rest->n : *n, from = rest->all ? rest->n : *n;
    if (rest->all)
        v = rest->all;
    for (; i < count; i++) {
        if (uaccess_copy(&v[i], (void *)(*iov + i * sizeof *v), sizeof *v))
            return false;
        if (from != count)
            continue;
        if (at < v[i].len) {
            v[i].base += at;
            v[i].len -= at;
            from = i;
        } else
            at -= v[i].len;
    }
    *iov = (uint64_t)(v + from);
    *n = count - from;
    return from < count;
}

/* read, write, readv, writev on a pipe or the like; `one`: the buffer of read and write. */
static long stream_tries(struct frame *f, struct fdrec *rec, uint8_t dir, const struct iovec64 *one, uint64_t total, struct rest *rest)
{
    struct fdcall c;
    long done = 0;
    const uint64_t all = one ? (uint64_t)one : f->rsi, pieces = one ? 1 : f->rdx;
    uint64_t iov = all, n = pieces;
    uint16_t look = dir == DIR_IN ? FDF_LOOK_IN : FDF_LOOK_OUT;
    if (dir == DIR_OUT && (load_relaxed(&rec->flags) & FDF_EVENTFD) && eventfd_write(f, rec, &done))
        return done;
    fdcall_begin(&c, (int)f->rdi, rec);
    if (fd_nonblock(rec, c.fd))
        return native_sys(f);
    for (;;) {
        if (load_relaxed(&c.rec->flags) & look)
            return look_and_call(f, &c, dir, total);
        uint32_t edges = fd_edges(c.rec, dir);
        long r = sys6(dir == DIR_OUT ? __NR_pwritev2 : __NR_preadv2, c.fd, (long)iov, (long)n, -1, -1, RWF_NOWAIT);
        if (unlikely(r == -EOPNOTSUPP) && !done) {
            __atomic_fetch_or(&c.rec->flags, (uint16_t)(dir == DIR_OUT && fd_is_called(c.fd, EVENTFD) ? look | FDF_EVENTFD : look), __ATOMIC_RELAXED);
            continue;
        }
        broken_pipe(r); /* after a part, too */
        if (r > 0 && dir == DIR_OUT && (uint64_t)(done + r) < total) {
            done += r;
            iov = all;
            n = pieces;
            if (!rest_of(rest, &iov, &n, (uint64_t)done))
                return end(&c, done);
            continue;
        }
        if (r != -EAGAIN) {
            fdcall_pass_on(&c, dir);
            return end(&c, r < 0 ? (done ? done : r) : done + r);
        }
        r = block(&c, dir, edges, INT64_MAX, dir == DIR_OUT ? WAIT_WRITE : WAIT_READ, done);
        if (unlikely(r == WAIT_NATIVE))
            return end(&c, done ? done : native_on(f, &c));
        if (r)
            return end(&c, r);
    }
}

static long stream_io(struct frame *f, struct fdrec *rec, uint8_t dir, const struct iovec64 *one, uint64_t total)
{
    if (unlikely(total > MAX_RW))
        return native_block(f);
    struct rest rest = {.all = NULL};
    long r = stream_tries(f, rec, dir, one, total, &rest);
    if (unlikely(rest.all != NULL))
        sys_unmap(rest.all, ALIGN_UP(rest.n * sizeof rest.one, PAGE_SIZE));
    return r;
}

/* ---- reading ---- */

/* read(2), write(2) */
static apart long stream_one(struct frame *f, struct fdrec *rec, uint8_t dir)
{
    struct iovec64 iov = {f->rsi, f->rdx};
    return stream_io(f, rec, dir, &iov, f->rdx);
}

long emul_read(struct frame *f)
{
    int fd = (int)f->rdi;
    struct fdrec *rec = fd_rec(fd);
    if (!rec || f->rdx == 0)
        return native_sys(f);
    if (unlikely(f->rdx > MAX_RW))
        return native_block(f);
    enum fd_type t = fd_type(rec, fd);
    switch (t) {
    case FD_TCP:
    case FD_STREAM:
    case FD_DGRAM:
        return do_recv(f, rec, t, OP_RECV, 0, f->rdx);
    case FD_PIPE:
    case FD_OTHER:
        return stream_one(f, rec, DIR_IN);
    default:
        return native_sys(f);
    }
}

static long do_readv(struct frame *f)
{
    int fd = (int)f->rdi;
    struct fdrec *rec = fd_rec(fd);
    uint64_t total;
    if (!rec || f->rdx == 0 || f->rdx > 1024 || iov_total(f->rsi, f->rdx, &total) || total == 0)
        return native_sys(f);
    if (unlikely(total > MAX_RW))
        return native_block(f);
    enum fd_type t = fd_type(rec, fd);
    if (fd_is_socket(t))
        return do_recv(f, rec, t, OP_READV, 0, UINT64_MAX);
    if (t == FD_PIPE || t == FD_OTHER)
        return stream_io(f, rec, DIR_IN, NULL, total);
    return native_sys(f);
}

long emul_readv(struct frame *f)
{
    return do_readv(f);
}

/* preadv2(2), pwritev2(2) at the current position, without flags, are readv and writev. */
static bool as_plain_iov(struct frame *f)
{
    return (int64_t)f->r10 == -1 && f->r9 == 0;
}

long emul_preadv2(struct frame *f)
{
    if (!as_plain_iov(f))
        return native_sys(f);
    struct frame g = *f;
    g.nr = __NR_readv;
    return do_readv(&g);
}

long emul_recvfrom(struct frame *f)
{
    int fd = (int)f->rdi;
    uint32_t flags = (uint32_t)f->r10;
    struct fdrec *rec = fd_rec(fd);
    if (!rec || (flags & (MSG_DONTWAIT | MSG_OOB | MSG_ERRQUEUE)))
        return native_sys(f);
    enum fd_type t = fd_type(rec, fd);
    if (!fd_is_socket(t))
        return native_sys(f);
    if (((flags & MSG_WAITALL) && (flags & MSG_PEEK) && t != FD_DGRAM) || unlikely(f->rdx > MAX_RW))
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
    if (!fd_is_socket(t))
        return native_sys(f);
    if ((flags & MSG_WAITALL) && (flags & MSG_PEEK) && t != FD_DGRAM)
        return native_block(f);
    return do_recv(f, rec, t, OP_RECVMSG, flags, UINT64_MAX);
}

/* recvmmsg(2): what is there, then waits. The timeout is looked at after each batch that came, as the kernel does. */
long emul_recvmmsg(struct frame *f)
{
    enum { WAITFORONE = 0x10000, MMSG = 64 };
    uint32_t flags = (uint32_t)f->r10, vlen = (uint32_t)f->rdx;
    struct fdrec *rec = fd_rec((int)f->rdi);
    enum fd_type t = rec ? fd_type(rec, (int)f->rdi) : FD_FILE;
    struct timespec64 ts;
    if (!fd_is_socket(t) || (flags & (MSG_DONTWAIT | MSG_OOB | MSG_ERRQUEUE)) || vlen == 0)
        return native_sys(f);
    if ((flags & MSG_WAITALL) && t != FD_DGRAM)
        return native_block(f);
    if (vlen > 1024)
        vlen = 1024; /* UIO_MAXIOV */
    int64_t until = INT64_MAX, deadline = -1;
    if (f->r8) {
        if (uaccess_copy(&ts, (void *)f->r8, sizeof ts))
            return -EFAULT;
        if (ts.sec < 0 || ts.nsec < 0 || ts.nsec >= NSEC_PER_SEC)
            return -EINVAL;
        if (ts.sec < INT64_MAX / NSEC_PER_SEC / 4)
            until = now_ns() + ts.sec * NSEC_PER_SEC + ts.nsec;
    }
    struct fdcall c;
    long done = 0, r;
    fdcall_begin(&c, (int)f->rdi, rec);
    for (;;) {
        uint32_t edges = fd_edges(c.rec, DIR_IN);
        if (done && (poll_now(c.fd, 0) & POLLERR)) { /* the next call's */
            r = done;
            break;
        }
        r = sys5(__NR_recvmmsg, c.fd, (long)(f->rsi + (uint64_t)done * MMSG), f->r8 ? 1 : vlen - done,
                 (flags & ~(uint32_t)WAITFORONE) | MSG_DONTWAIT, 0);
        if (r > 0) {
            done += r;
            deadline = -1; /* SO_RCVTIMEO is of each message */
            fdcall_pass_on(&c, DIR_IN);
            r = done;
            if (done == (long)vlen || now_ns() >= until)
                break;
            continue;
        }
        if (r != -EAGAIN || (done && (flags & WAITFORONE)) || fdcall_nonblock(&c)) {
            r = done ? done : r;
            break;
        }
        if (unlikely(ended(&c, t))) {
            fdcall_native(&c);
            r = done ? done : native_on(f, &c);
            break;
        }
        if (deadline == -1)
            deadline = socket_deadline(&c, FDF_RCVTIMEO, 20);
        r = block(&c, DIR_IN, edges, deadline, WAIT_READ, done);
        if (r == WAIT_NATIVE)
            r = done ? done : native_on(f, &c);
        if (r)
            break;
    }
    if (f->r8 && r > 0) { /* what is left of it */
        int64_t left = until == INT64_MAX ? INT64_MAX : until - now_ns();
        struct timespec64 out = {left > 0 ? left / NSEC_PER_SEC : 0, left > 0 ? left % NSEC_PER_SEC : 0};
        if (until != INT64_MAX && uaccess_copy((void *)f->r8, &out, sizeof out))
            r = -EFAULT;
    }
    return end(&c, r);
}

/* ---- writing ---- */

/* The wait of a send that would block. Where it waits for its receiver rather than for room of its own, epoll does not tell of
 * the end: netlink; datagrams to an address on a Unix socket; and an end by shutdown(2) of a Unix stream, on either side, perhaps in another
 * process. Nor does it tell why a Unix stream ended: who waits in the kernel gets the error before EPIPE, who tries anew after it. */
static cold long block_send(struct fdcall *c, enum fd_type t, bool addressed, uint32_t edges, int64_t deadline, int64_t *ns, long done)
{
    int domain = t == FD_TCP ? 2 : sockopt(c->fd, 39 /* SO_DOMAIN */);
    if (domain == 16 /* AF_NETLINK */ || (domain == 1 /* AF_UNIX */ && t == FD_DGRAM && addressed))
        return nap(c, ns, deadline, WAIT_WRITE, done);
    if (domain == 1) {
        int64_t again = now_ns() + *ns * 100; /* 10 ms, then up to 0.6 s */
        if (*ns < 6400000)
            *ns *= 2;
        long r = block_until(c, DIR_OUT, edges, deadline, again, WAIT_WRITE, done);
        int error = r == 0 && done == 0 && t == FD_STREAM ? sockopt(c->fd, 4 /* SO_ERROR */) : 0;
        return error > 0 ? -error : r;
    }
    return block(c, DIR_OUT, edges, deadline, WAIT_WRITE, done);
}

/* A send that connects first (MSG_FASTOPEN, TCP_FASTOPEN_CONNECT) has only begun to. It goes on as one that waits for room and does not
 * connect; out of time it is EINPROGRESS still, as connect(2) is. */
static inline bool only_begun(enum fd_type t, long r)
{
    return (r == -EINPROGRESS || r == -EALREADY) && t != FD_DGRAM;
}

/* Send all of buf, `total` bytes having gone before. */
struct tried {
    long r;         /* what it said */
    uint32_t edges; /* counted before it */
};
static long send_rest(struct frame *f, struct fdcall *c, enum fd_type t, uint64_t buf, uint64_t len, uint32_t flags,
                      uint64_t addr, uint64_t addrlen, int64_t *deadline, long total, const struct tried *tried)
{
    uint64_t done = 0;
    int64_t ns = FIRST_NAP_NS;
    bool connecting = false;
    for (;; tried = NULL) {
        uint32_t edges = tried ? tried->edges : fd_edges(c->rec, DIR_OUT);
        long before = total + (long)done;
        if (unlikely(before) && broken(c->fd))
            return before;
        long r = tried ? tried->r
                       : sys6(__NR_sendto, c->fd, (long)(buf + done), (long)(len - done),
                              flags | MSG_DONTWAIT | (before ? MSG_NOSIGNAL : 0), (long)addr, (long)addrlen);
        if (likely(r >= 0)) {
            done += (uint64_t)r;
            if (done >= len || t == FD_DGRAM)
                return total + (long)done;
            flags &= ~(uint32_t)MSG_FASTOPEN;
            continue;
        }
        long sofar = total + (long)done;
        if (r != -EAGAIN && !only_begun(t, r))
            return sofar ? sofar : broken_pipe(r);
        if (fdcall_nonblock(c))
            return sofar ? sofar : r;
        connecting = connecting || r != -EAGAIN;
        flags &= ~(uint32_t)MSG_FASTOPEN;
        if (*deadline == -1)
            *deadline = socket_deadline(c, FDF_SNDTIMEO, 21);
        r = block_send(c, t, addr != 0, edges, *deadline, &ns, sofar);
        if (unlikely(r == WAIT_NATIVE)) {
            struct frame g = *f;
            g.nr = __NR_sendto;
            g.rdi = (uint64_t)c->fd;
            g.rsi = buf + done;
            g.rdx = len - done;
            g.r10 = flags;
            g.r8 = addr;
            g.r9 = addrlen;
            r = native_block(&g);
            return r < 0 && sofar ? sofar : sofar + r;
        }
        if (r)
            return r == -EAGAIN && connecting ? -EINPROGRESS : r;
    }
}

/* What send_one has tried, and did not do whole: `tried` as there. */
static apart long send_on(struct frame *f, struct fdrec *rec, enum fd_type t, uint32_t gen, const struct tried *tried)
{
    bool to = f->nr == __NR_sendto;
    struct fdcall c;
    int64_t deadline = -1;
    fdcall_begin(&c, (int)f->rdi, rec);
    c.gen = gen;
    long r = send_rest(f, &c, t, f->rsi, f->rdx, to ? (uint32_t)f->r10 : 0, to ? f->r8 : 0, to ? f->r9 : 0, &deadline, 0, tried);
    fdcall_pass_on(&c, DIR_OUT);
    fdcall_end(&c);
    return unless_mistaken(f, rec, r);
}

/* write(2), sendto(2) of a socket */
static inline long send_one(struct frame *f, struct fdrec *rec, enum fd_type t, uint32_t flags, uint64_t addr, uint64_t addrlen)
{
    uint32_t gen = load_relaxed(&rec->gen), edges = fd_edges(rec, DIR_OUT);
    long r = sys6(__NR_sendto, (int)f->rdi, (long)f->rsi, (long)f->rdx, flags | MSG_DONTWAIT, (long)addr, (long)addrlen);
    if (likely(r >= 0 && ((uint64_t)r >= f->rdx || t == FD_DGRAM))) {
        fd_pass_on(rec, DIR_OUT);
        return r;
    }
    return send_on(f, rec, t, gen, &(struct tried){r, edges});
}

long emul_write(struct frame *f)
{
    int fd = (int)f->rdi;
    struct fdrec *rec = fd_rec(fd);
    if (!rec)
        return native_sys(f);
    if (unlikely(f->rdx > MAX_RW))
        return native_block(f);
    enum fd_type t = fd_type(rec, fd);
    switch (t) {
    case FD_TCP:
    case FD_STREAM:
    case FD_DGRAM:
        return send_one(f, rec, t, 0, 0, 0);
    case FD_PIPE:
    case FD_OTHER:
        return f->rdx ? stream_one(f, rec, DIR_OUT) : native_sys(f);
    case FD_COMM:
        return procfs_comm_write(f);
    default:
        return native_sys(f);
    }
}

/* A message sent in part: the rest of its iov, piece by piece. */
static long send_iov_rest(struct frame *f, struct fdcall *c, enum fd_type t, uint64_t iov, uint64_t n,
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
        long r = send_rest(f, c, t, v.base + skip, v.len - skip, flags, 0, 0, deadline, done, NULL);
        if (r < 0 || (uint64_t)(r - done) < v.len - skip)
            return r;
        done = r;
        skip = 0;
    }
    return done;
}

static long send_message(struct frame *f, struct fdcall *c, enum fd_type t, struct msghdr64 *m, uint64_t user_msg,
                         uint32_t flags)
{
    int64_t deadline = -1, ns = FIRST_NAP_NS;
    uint64_t total;
    bool connecting = false;
    if (iov_total(m->iov, m->iovlen, &total))
        return -EFAULT;
    for (;;) {
        uint32_t edges = fd_edges(c->rec, DIR_OUT);
        long r = sys3(__NR_sendmsg, c->fd, user_msg ? (long)user_msg : P(m), flags | MSG_DONTWAIT);
        if (r >= 0) {
            if ((uint64_t)r >= total || t == FD_DGRAM)
                return r;
            return send_iov_rest(f, c, t, m->iov, m->iovlen, flags & ~(uint32_t)MSG_FASTOPEN, &deadline, r);
        }
        if (r != -EAGAIN && !only_begun(t, r))
            return broken_pipe(r);
        if (fdcall_nonblock(c))
            return r;
        connecting = connecting || r != -EAGAIN;
        flags &= ~(uint32_t)MSG_FASTOPEN;
        if (deadline == -1)
            deadline = socket_deadline(c, FDF_SNDTIMEO, 21);
        r = block_send(c, t, m->name != 0, edges, deadline, &ns, 0);
        if (unlikely(r == WAIT_NATIVE)) {
            struct frame g = *f;
            g.nr = __NR_sendmsg;
            g.rdi = (uint64_t)c->fd;
            g.rsi = user_msg ? user_msg : (uint64_t)P(m);
            g.rdx = flags;
            return native_block(&g);
        }
        if (r)
            return r == -EAGAIN && connecting ? -EINPROGRESS : r;
    }
}

static long do_sendmsg(struct frame *f, struct fdrec *rec, enum fd_type t, struct msghdr64 *m, uint64_t user_msg,
                       uint32_t flags)
{
    struct fdcall c;
    fdcall_begin(&c, (int)f->rdi, rec);
    long r = send_message(f, &c, t, m, user_msg, flags);
    fdcall_pass_on(&c, DIR_OUT);
    return end(&c, r);
}

static long do_writev(struct frame *f)
{
    int fd = (int)f->rdi;
    struct fdrec *rec = fd_rec(fd);
    uint64_t total;
    if (!rec || f->rdx == 0 || f->rdx > 1024)
        return native_sys(f);
    enum fd_type t = fd_type(rec, fd);
    if (t == FD_PIPE || t == FD_OTHER)
        return iov_total(f->rsi, f->rdx, &total) || !total ? native_sys(f) : stream_io(f, rec, DIR_OUT, NULL, total);
    if (!fd_is_socket(t) || (!iov_total(f->rsi, f->rdx, &total) && !total)) /* nothing is no message */
        return native_sys(f);
    if (unlikely(total > MAX_RW))
        return native_block(f);
    struct msghdr64 m = {.iov = f->rsi, .iovlen = f->rdx};
    return unless_mistaken(f, rec, do_sendmsg(f, rec, t, &m, 0, 0));
}

long emul_writev(struct frame *f)
{
    return do_writev(f);
}

long emul_pwritev2(struct frame *f)
{
    if (!as_plain_iov(f))
        return native_sys(f);
    struct frame g = *f;
    g.nr = __NR_writev;
    return do_writev(&g);
}

long emul_sendto(struct frame *f)
{
    int fd = (int)f->rdi;
    uint32_t flags = (uint32_t)f->r10;
    struct fdrec *rec = fd_rec(fd);
    enum fd_type t = rec ? fd_type(rec, fd) : FD_FILE;
    if (!fd_is_socket(t) || (flags & (MSG_DONTWAIT | MSG_ZEROCOPY)))
        return native_sys(f);
    if (unlikely(f->rdx > MAX_RW))
        return native_block(f);
    return send_one(f, rec, t, flags, f->r8, f->r9);
}

/* Descriptors that a message carries are known to others from now on. */
static void share_passed(const struct msghdr64 *m)
{
    struct { uint64_t len; int32_t level, type; } h;
    uint64_t at = 0;
    while (at + sizeof h <= m->controllen && !uaccess_copy(&h, (void *)(m->control + at), sizeof h) && h.len >= sizeof h) {
        for (uint64_t i = sizeof h; h.level == 1 && h.type == 1 && i + 4 <= h.len && at + i + 4 <= m->controllen; i += 4) {
            int32_t fd;
            struct fdrec *rec = uaccess_copy(&fd, (void *)(m->control + at + i), 4) ? NULL : fd_rec(fd);
            if (rec)
                __atomic_fetch_or(&rec->flags, FDF_SHARED, __ATOMIC_RELAXED);
        }
        at += (h.len + 7) & ~7ull;
    }
}

/* Made in one call: each tells of itself on the error queue (MSG_ZEROCOPY), or all of it goes with what the message carries. */
static bool sent_whole(const struct msghdr64 *m, enum fd_type t, uint32_t flags)
{
    uint64_t total;
    return (flags & (MSG_DONTWAIT | MSG_ZEROCOPY)) || (m->controllen && t != FD_DGRAM) || (!iov_total(m->iov, m->iovlen, &total) && total > MAX_RW);
}

long emul_sendmsg(struct frame *f)
{
    int fd = (int)f->rdi;
    uint32_t flags = (uint32_t)f->rdx;
    struct msghdr64 m;
    struct fdrec *rec = fd_rec(fd);
    enum fd_type t = rec ? fd_type(rec, fd) : FD_FILE;
    if (!fd_is_socket(t) || uaccess_copy(&m, (void *)f->rsi, sizeof m) || m.iovlen > 1024)
        return native_sys(f);
    if (m.controllen)
        share_passed(&m);
    if (sent_whole(&m, t, flags))
        return native_sys(f);
    return do_sendmsg(f, rec, t, &m, f->rsi, flags);
}

/* sendmmsg(2): message by message; an error after the first ends it, and is forgotten (as in the kernel). */
long emul_sendmmsg(struct frame *f)
{
    uint32_t flags = (uint32_t)f->r10;
    struct fdrec *rec = fd_rec((int)f->rdi);
    enum fd_type t = rec ? fd_type(rec, (int)f->rdi) : FD_FILE;
    struct { struct msghdr64 m; uint32_t len, pad; } mm;
    if (!fd_is_socket(t))
        return native_sys(f);
    uint32_t vlen = (uint32_t)f->rdx < 1024 ? (uint32_t)f->rdx : 1024;
    if (flags & MSG_DONTWAIT) {
        for (uint32_t i = 0; i < vlen && !uaccess_copy(&mm, (void *)(f->rsi + i * sizeof mm), sizeof mm); i++)
            if (mm.m.controllen)
                share_passed(&mm.m);
        return native_sys(f);
    }
    for (uint32_t i = 0; i < vlen; i++) {
        uint64_t at = f->rsi + i * sizeof mm;
        if (uaccess_copy(&mm, (void *)at, sizeof mm))
            return i ? (long)i : -EFAULT;
        if (mm.m.iovlen > 1024)
            return i ? (long)i : -90 /* EMSGSIZE */;
        if (mm.m.controllen)
            share_passed(&mm.m);
        struct frame g = *f;
        g.nr = __NR_sendmsg;
        g.rsi = at;
        g.rdx = flags;
        long r = sent_whole(&mm.m, t, flags) ? native_sys(&g) : do_sendmsg(&g, rec, t, &mm.m, at, flags);
        if (r < 0)
            return i ? (long)i : r;
        mm.len = (uint32_t)r;
        uint64_t total;
        bool part = t != FD_DGRAM && !iov_total(mm.m.iov, mm.m.iovlen, &total) && (uint64_t)r < total;
        if (uaccess_copy((void *)(at + offsetof(__typeof__(mm), len)), &mm.len, 4))
            return i ? (long)i : -EFAULT;
        if (part) /* ended by a timeout, a signal, or not blocking: what follows must not come before its rest */
            return (long)i + 1;
    }
    return (long)vlen;
}

/* ---- connections ---- */

/* accept takes a number before it waits: EMFILE, ENFILE at once. Asked high up, where nobody looks for the next free number. */
static long no_number_left(int fd)
{
    uint64_t lim[2] = {0, 0};
    sys4(__NR_prlimit64, 0, 7 /* NOFILE */, 0, P(lim));
    long r = sys3(__NR_fcntl, fd, 1030 /* F_DUPFD_CLOEXEC */, (long)(lim[0] / 4 * 3));
    if (r < 0)
        r = sys3(__NR_fcntl, fd, 1030, 0);
    if (r >= 0)
        sys1(__NR_close, (int)r);
    return r;
}

/* accept has no MSG_DONTWAIT, and the listener's flags are not ours to change: look first, one user thread at
 * a time, then accept. If another process snatches the connection between, the call blocks natively. */
static long do_accept(struct frame *f)
{
    int fd = (int)f->rdi;
    struct fdrec *rec = fd_rec(fd);
    enum fd_type t = rec ? fd_type(rec, fd) : FD_FILE;
    if (!fd_is_socket(t))
        return native_sys(f);
    struct fdcall c;
    int64_t deadline = -1;
    long r;
    fdcall_begin(&c, fd, rec);
    bool asked = false;
    if (fd_nonblock(rec, fd) || (f->nr == __NR_accept4 && ((uint32_t)f->r10 & ~(uint32_t)(02000000 | 04000)))) {
        r = native_sys(f);
        fd_pass_on(rec, DIR_IN);
    } else
        for (;;) {
            enum wake w = fd_turn_take(&c, DIR_IN, deadline == -1 ? INT64_MAX : deadline, WAIT_ACCEPT);
            if (w == WAKE_NONE) {
                r = native_on(f, &c);
                break;
            }
            if (w != WAKE_EVENT)
                return end(&c, wait_result(w, deadline == -1 ? INT64_MAX : deadline, 0));
            uint32_t edges = fd_edges(c.rec, DIR_IN);
            if (ready(c.fd, DIR_IN)) {
                struct frame g = *f;
                g.rdi = (uint64_t)c.fd;
                fdcall_native(&c);
                r = native_sys(&g);
                fd_turn_end(&c, DIR_IN, true);
                break;
            }
            fd_turn_end(&c, DIR_IN, false);
            if (!(load_relaxed(&c.rec->flags) & FDF_LISTENS)) {
                if (!sockopt(c.fd, 30 /* SO_ACCEPTCONN */))
                    return end(&c, native_on(f, &c)); /* EINVAL, EOPNOTSUPP */
                __atomic_fetch_or(&c.rec->flags, FDF_LISTENS, __ATOMIC_RELAXED);
            }
            if (!asked && (r = no_number_left(c.fd)) < 0)
                return end(&c, r);
            asked = true;
            if (deadline == -1)
                deadline = socket_deadline(&c, FDF_RCVTIMEO, 20);
            r = block(&c, DIR_IN, edges, deadline, WAIT_ACCEPT, 0);
            if (r == WAIT_NATIVE) {
                r = native_on(f, &c);
                break;
            }
            if (r)
                return end(&c, r);
        }
    if (r >= 0) {
        bool nb = f->nr == __NR_accept4 && (f->r10 & 04000);
        uint16_t flags = load_relaxed(&rec->flags);
        fd_made((int)r, t == FD_TCP ? FD_TCP : FD_UNKNOWN,
                (uint16_t)((nb ? FDF_NONBLOCK : 0) | (flags & FDF_SHARED ? fd_timeos((int)r) : 0) |
                           (flags & (FDF_RCVTIMEO | FDF_SNDTIMEO | FDF_LOWAT | FDF_LINGER))));
    }
    return end(&c, r);
}

long emul_accept(struct frame *f)
{
    return do_accept(f);
}

long emul_accept4(struct frame *f)
{
    return do_accept(f);
}

/* The call in f with O_NONBLOCK set for its length, on a description that nobody else can know. */
static long nonblocking(struct frame *f, int fd)
{
    struct frame g = *f;
    g.rdi = (uint64_t)fd;
    long fl = sys3(__NR_fcntl, fd, 3 /* F_GETFL */, 0);
    if (fl < 0)
        return native_sys(&g);
    sys3(__NR_fcntl, fd, 4 /* F_SETFL */, fl | 04000);
    long r = native_sys(&g);
    sys3(__NR_fcntl, fd, 4, fl & ~04000l); /* not as found: another user thread may be in here too */
    return r;
}

/* connect(2). A stream socket that nobody else can know is made non-blocking for the length of each try. */
long emul_connect(struct frame *f)
{
    int fd = (int)f->rdi;
    struct fdrec *rec = fd_rec(fd);
    enum fd_type t = rec ? fd_type(rec, fd) : FD_FILE;
    if (!fd_is_socket(t) || t == FD_DGRAM)
        return native_sys(f);
    if (fd_nonblock(rec, fd))
        return native_sys(f);
    if (load_relaxed(&rec->flags) & FDF_SHARED)
        return native_block(f);
    struct fdcall c;
    fdcall_begin(&c, fd, rec);
    int64_t deadline = -1, ns = FIRST_NAP_NS;
    long first = 0;
    for (;;) {
        uint32_t edges = fd_edges(c.rec, DIR_OUT);
        long r = c.rec == rec ? nonblocking(f, c.fd) : native_on(f, &c);
        first = first ? first : r;
        if (r != -EINPROGRESS && r != -EALREADY && r != -EAGAIN) {
            fdcall_pass_on(&c, DIR_OUT); /* who waited for that to write */
            return end(&c, r); /* how the attempt ended; the kernel notes that it was told */
        }
        if (deadline == -1)
            deadline = socket_deadline(&c, FDF_SNDTIMEO, 21);
        if (r == -EAGAIN) { /* a Unix listener whose queue is full tells nobody when there is room: ask again */
            if (kernel_wait_enter()) {
                r = native_on(f, &c);
                kernel_wait_leave();
                return end(&c, r);
            }
            r = nap(&c, &ns, deadline, WAIT_CONNECT, 0);
            if (r)
                return end(&c, r);
            continue;
        }
        r = block(&c, DIR_OUT, edges, deadline, WAIT_CONNECT, 0);
        if (r == WAIT_NATIVE)
            return end(&c, native_on(f, &c)); /* waits for the attempt under way */
        if (r == -EAGAIN) /* SO_SNDTIMEO ended */
            r = first == -EALREADY ? -EALREADY : -EINPROGRESS;
        if (r)
            return end(&c, r);
    }
}

/* ---- from descriptor to descriptor ---- */

/* Wait until fd can be read, or written. 0: perhaps it can; else as block. */
static long block_on(int fd, uint8_t dir, int64_t *deadline)
{
    struct fdrec *rec = fd_rec(fd);
    if (!rec || fd_type(rec, fd) == FD_FILE)
        return WAIT_NATIVE;
    struct fdcall c;
    fdcall_begin(&c, fd, rec);
    uint32_t edges = fd_edges(rec, dir);
    if (ready(fd, dir))
        return 0;
    if (*deadline == -1)
        *deadline = fd_is_socket((enum fd_type)load_relaxed(&rec->type)) ? socket_deadline(&c, dir == DIR_IN ? FDF_RCVTIMEO : FDF_SNDTIMEO, dir == DIR_IN ? 20 : 21)
                                                                         : INT64_MAX;
    long r = block(&c, dir, edges, *deadline, dir == DIR_IN ? WAIT_READ : WAIT_WRITE, 0);
    return end(&c, r);
}

struct splice_end {
    int fd;
    struct fdrec *rec; /* NULL: no descriptor, or one we keep no record of */
    bool pipe, socket, waits; /* waits: not O_NONBLOCK, and of a kind that does */
};

static struct splice_end splice_end(int fd)
{
    struct fdrec *rec = fd_rec(fd);
    enum fd_type t = rec ? fd_type(rec, fd) : FD_FILE;
    return (struct splice_end){fd, rec, t == FD_PIPE, fd_is_socket(t), t != FD_FILE && !fd_nonblock(rec, fd)};
}

/* From a socket: what the kernel refuses before it waits for data. */
static bool splice_refused(const struct frame *f, const struct splice_end *in, const struct splice_end *out, uint64_t flags)
{
    enum { FLAGS = 15, ACCESS = 3 };
    long mode = sys3(__NR_fcntl, out->fd, 3 /* F_GETFL */, 0);
    return f->nr == __NR_tee || f->rsi /* an offset */ || (flags & ~(uint64_t)FLAGS) || mode < 0 || (mode & ACCESS) == 0 ||
           (poll_now(out->fd, 0) & POLLERR) || sockopt(in->fd, 30 /* SO_ACCEPTCONN */) > 0;
}

/* splice(2), tee(2), of n bytes. SPLICE_F_NONBLOCK speaks of pipes: with it the kernel is tried, and says EAGAIN where a pipe is to be
 * waited for. An end that is a socket follows its own O_NONBLOCK: one to read is waited for first; to write to one may wait in the kernel
 * (that it is not ready, POLLOUT, does not say that it would). Between two pipes either's O_NONBLOCK goes for both. */
static long do_splice(struct frame *f, int in_fd, int out_fd, uint64_t n, uint64_t *flags)
{
    enum { SPLICE_F_NONBLOCK = 2, TRIES = 16 };
    struct splice_end in = splice_end(in_fd), out = splice_end(out_fd);
    if ((*flags & SPLICE_F_NONBLOCK) || n == 0 || (!in.pipe && !out.pipe) || (in.pipe && out.pipe && (!in.waits || !out.waits)) ||
        (!in.waits && !out.waits))
        return native_sys(f);
    int64_t in_until = -1, out_until = -1;
    for (int tries = 0; tries < TRIES; tries++) {
        long r = 0;
        if (in.socket && in.waits && !ready(in.fd, DIR_IN)) { /* the pipe's room is looked at before */
            if (splice_refused(f, &in, &out, *flags))
                return native_sys(f);
            if (!ready(out.fd, DIR_OUT) && !out.waits)
                return -EAGAIN;
            r = block_on(in.fd, DIR_IN, &in_until);
        } else {
            bool full = out.socket && out.waits && !ready(out.fd, DIR_OUT);
            int64_t begun = now_ns();
            *flags |= SPLICE_F_NONBLOCK; /* f is the caller's copy */
            r = full ? native_block(f) : native_sys(f);
            *flags &= ~(uint64_t)SPLICE_F_NONBLOCK;
            if (r != -EAGAIN) {
                if (in.rec)
                    fd_pass_on(in.rec, DIR_IN);
                if (out.rec)
                    fd_pass_on(out.rec, DIR_OUT);
                return r;
            }
            if (in.pipe && in.waits && !ready(in.fd, DIR_IN))
                r = block_on(in.fd, DIR_IN, &in_until);
            else if (out.pipe && out.waits && !ready(out.fd, DIR_OUT))
                r = block_on(out.fd, DIR_OUT, &out_until);
            else if ((!in.waits && !ready(in.fd, DIR_IN)) || (!out.waits && !ready(out.fd, DIR_OUT)))
                return -EAGAIN; /* of an end that does not wait */
            else if (out.socket && now_ns() - begun >= socket_limit(out.fd, 21))
                return -EAGAIN; /* SO_SNDTIMEO */
            else
                r = 0; /* somebody was faster */
        }
        if (r == WAIT_NATIVE)
            break;
        if (r)
            return r;
    }
    return native_block(f);
}

long emul_splice(struct frame *f)
{
    struct frame g = *f;
    return do_splice(&g, (int)f->rdi, (int)f->rdx, f->r8, &g.r9);
}

long emul_tee(struct frame *f)
{
    struct frame g = *f;
    return do_splice(&g, (int)f->rdi, (int)f->rsi, f->rdx, &g.r10);
}

long emul_vmsplice(struct frame *f)
{
    int fd = (int)f->rdi;
    struct fdrec *rec = fd_rec(fd);
    enum { SPLICE_F_NONBLOCK = 2 };
    if (!rec || fd_type(rec, fd) != FD_PIPE || (f->r10 & SPLICE_F_NONBLOCK) || fd_nonblock(rec, fd))
        return native_sys(f);
    long acc = sys3(__NR_fcntl, fd, 3, 0);
    uint8_t dir = acc >= 0 && (acc & 3) == 0 ? DIR_IN : DIR_OUT;
    struct fdcall c;
    fdcall_begin(&c, fd, rec);
    for (;;) {
        uint32_t edges = fd_edges(c.rec, dir);
        struct frame g = *f;
        g.rdi = (uint64_t)c.fd;
        g.r10 |= SPLICE_F_NONBLOCK;
        long r = native_sys(&g);
        if (r != -EAGAIN) {
            fdcall_pass_on(&c, dir);
            return end(&c, r);
        }
        r = block(&c, dir, edges, INT64_MAX, dir == DIR_IN ? WAIT_READ : WAIT_WRITE, 0);
        if (r == WAIT_NATIVE)
            return end(&c, native_on(f, &c));
        if (r)
            return end(&c, r);
    }
}

/* sendfile(2) to a stream that is ours alone: O_NONBLOCK for the length of each try, and to a socket the rest when there is room. To others
 * natively: that there is no room (POLLOUT) does not say that it would wait. */
long emul_sendfile(struct frame *f)
{
    int out = (int)f->rdi;
    struct fdrec *rec = fd_rec(out);
    enum fd_type t = rec ? fd_type(rec, out) : FD_FILE;
    if ((!fd_is_socket(t) && t != FD_PIPE) || fd_nonblock(rec, out) || f->r10 == 0)
        return native_sys(f);
    struct fdcall c;
    struct frame g = *f;
    long done = 0;
    int64_t deadline = -1;
    fdcall_begin(&c, out, rec);
    if (g.r10 > MAX_RW)
        g.r10 = MAX_RW;
    for (;;) {
        uint32_t edges = fd_edges(c.rec, DIR_OUT);
        long r;
        if (load_relaxed(&c.rec->flags) & FDF_SHARED) {
            fdcall_native(&c);
            r = ready(c.fd, DIR_OUT) && c.fd == out ? native_sys(&g) : native_on(&g, &c);
            fdcall_pass_on(&c, DIR_OUT);
            return end(&c, r < 0 && done ? done : done + r);
        }
        g.rdi = (uint64_t)c.fd;
        r = nonblocking(&g, c.fd);
        if (r > 0) {
            done += r;
            g.r10 -= (uint64_t)r;
            if (g.r10 && t != FD_PIPE) /* to a pipe it ends with what there was, or was room for */
                continue;              /* short: no room, or the end of the file: which of them the next try tells */
        }
        if (r != -EAGAIN) {
            fdcall_pass_on(&c, DIR_OUT);
            return end(&c, done ? done : r);
        }
        if (deadline == -1)
            deadline = fd_is_socket(t) ? socket_deadline(&c, FDF_SNDTIMEO, 21) : INT64_MAX;
        r = block(&c, DIR_OUT, edges, deadline, WAIT_WRITE, done);
        if (r == WAIT_NATIVE)
            return end(&c, done ? done : native_on(f, &c));
        if (r)
            return end(&c, r);
    }
}
