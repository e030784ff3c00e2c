/*
 * io_model SEED OPERATIONS [SLOTS] - what was delivered is what was sent.
 *
 * Each slot plays one scenario after the other, drawn from the seed, until OPERATIONS calls have
 * been made in all:
 *
 *   stream    one or both directions of a TCP or unix stream, or a pipe: the receiver knows every
 * byte and the length messages  several senders and receivers on one unix datagram or packet
 * socket, or pipe: each record once, each sender's in order counts    several writers and readers
 * of an eventfd: the sums agree accepts   several connectors and acceptors: each connection to one
 * acceptor, its question answered pool      a pool of threads serves many connections from one
 * epoll, one-shot or edge triggered: each client gets its echo
 *
 * Within them every call is drawn too: read, readv, preadv2, recv, recvmsg, recvmmsg, with
 * MSG_PEEK, MSG_WAITALL, MSG_DONTWAIT, and the writing likewise; O_NONBLOCK switched on and off by
 * either user of a description, receive timeouts, and then waits in poll, ppoll, select, epoll
 * level, edge and one-shot; duplicates made and closed all the while, so that numbers are used
 * again at once.
 *
 * A call that blocks must do all of its work, and never answer EAGAIN, where nobody made the
 * description non-blocking. On a failure the seed and each thread's state are told; when nothing
 * moves for 15 s too, and then it stays so, to be looked at.
 */
#include "../conform/t.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>

enum kind { TCP, UNIX, PIPE, DGRAM, SEQPACKET };
static const char *const kind_names[] = {"tcp", "unix", "pipe", "dgram", "seqpacket"};

static uint64_t seed, wanted;
static _Atomic uint64_t operations;

/* ---- what each thread is doing ---- */

struct state {
    _Atomic(const char *) role; /* NULL: free */
    const char *op;
    int slot, fd, kind, round;
    uint64_t at, of;
};
#define STATES 1024
static struct state states[STATES];
static __thread struct state *me;

static void tell_states(void)
{
    for (int i = 0; i < STATES; i++) {
        struct state *s = &states[i];
        if (s->role)
            dprintf(2, "slot %2d round %3d %-16s %-9s fd %3d at %llu of %llu: %s\n", s->slot,
                    s->round, s->role, kind_names[s->kind], s->fd, (unsigned long long)s->at,
                    (unsigned long long)s->of, s->op ? s->op : "-");
    }
}

__attribute__((noreturn, format(printf, 2, 3))) static void fail(int line, const char *format, ...)
{
    static _Atomic int first;
    char text[400];
    int error = errno;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (first++)
        for (;;)
            pause();
    tell_states();
    dprintf(2, "in slot %d round %d %s (%s) fd %d at %llu of %llu, %s:\n", me ? me->slot : -1,
            me ? me->round : -1, me ? me->role : "?", me ? kind_names[me->kind] : "?",
            me ? me->fd : -1, me ? (unsigned long long)me->at : 0,
            me ? (unsigned long long)me->of : 0, me && me->op ? me->op : "-");
    dprintf(2, "io_model.c:%d: seed %llu: %s (errno %d %s)\n", line, (unsigned long long)seed, text,
            error, strerror(error));
    _exit(1);
}

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail(__LINE__, "%s: does not hold", #condition);                                       \
    } while (0)

static void enter(const char *role, int slot, int round, enum kind kind)
{
    for (int i = 0;; i = (i + 1) % STATES) {
        const char *free = NULL;
        if (atomic_compare_exchange_strong(&states[i].role, &free, role)) {
            me = &states[i];
            break;
        }
    }
    me->slot = slot;
    me->round = round;
    me->kind = (int)kind;
    me->fd = -1;
    me->at = me->of = 0;
    me->op = NULL;
}

static void leave(void)
{
    me->role = NULL;
    me = NULL;
}

static uint64_t draw(uint64_t *rng)
{
    *rng ^= *rng << 13;
    *rng ^= *rng >> 7;
    *rng ^= *rng << 17;
    return *rng * 0x2545f4914f6cdd1d >> 16;
}

static bool chance(uint64_t *rng, unsigned one_in)
{
    return draw(rng) % one_in == 0;
}

static void now(const char *op)
{
    me->op = op;
    atomic_fetch_add_explicit(&operations, 1, memory_order_relaxed);
}

/* ---- one user of one end ---- */

enum manner { BY_POLL, BY_PPOLL, BY_SELECT, BY_LEVEL, BY_EDGE, BY_ONESHOT, MANNERS };

struct user {
    int fd, ep;
    bool own;     /* fd is this user's: a duplicate */
    bool socket;  /* or a pipe */
    bool toggles; /* O_NONBLOCK may be on, or a timeout set: EAGAIN is an answer */
    enum manner manner;
    short events;
    uint64_t rng;
};

static void watch(struct user *u, int op)
{
    struct epoll_event event = {.events = (u->events == POLLIN ? EPOLLIN : EPOLLOUT) |
                                          (u->manner == BY_EDGE ? EPOLLET : 0) |
                                          (u->manner == BY_ONESHOT ? EPOLLONESHOT : 0)};
    MUST(epoll_ctl(u->ep, op, u->fd, &event) == 0);
}

static void user_open(struct user *u, int fd, bool socket, bool toggles, short events, uint64_t rng)
{
    *u = (struct user){
        .fd = fd, .ep = -1, .socket = socket, .toggles = toggles, .events = events, .rng = rng | 1};
    for (int i = 0; i < 4; i++)
        draw(&u->rng);
    u->manner = draw(&u->rng) % MANNERS;
    if (u->manner >= BY_LEVEL) {
        MUST((u->ep = epoll_create1(EPOLL_CLOEXEC)) >= 0);
        watch(u, EPOLL_CTL_ADD);
    }
    me->fd = fd;
}

static void user_close(struct user *u)
{
    if (u->ep >= 0)
        MUST(close(u->ep) == 0);
    if (u->own)
        MUST(close(u->fd) == 0);
    u->ep = u->fd = -1;
}

/* Now and then: another number for the same description, or the other blocking mode. */
static void user_stir(struct user *u)
{
    if (chance(&u->rng, 40)) {
        now("dup");
        int fd = dup(u->fd);
        MUST(fd >= 0);
        if (u->ep >= 0)
            MUST(epoll_ctl(u->ep, EPOLL_CTL_DEL, u->fd, NULL) == 0);
        if (u->own) {
            now("close");
            MUST(close(u->fd) == 0);
        }
        u->fd = me->fd = fd;
        u->own = true;
        if (u->ep >= 0)
            watch(u, EPOLL_CTL_ADD);
    }
    if (u->toggles && chance(&u->rng, 15)) {
        now("fcntl");
        int flags = fcntl(u->fd, F_GETFL);
        MUST(fcntl(u->fd, F_SETFL, flags ^ O_NONBLOCK) == 0);
    }
}

/* Wait until the call is worth making again; it may be that it is not. */
static void user_wait(struct user *u)
{
    struct pollfd p = {u->fd, u->events, 0};
    struct epoll_event event;
    int timeout = chance(&u->rng, 8) ? (int)(draw(&u->rng) % 3) : -1, rc = 1;
    switch (u->manner) {
    case BY_POLL:
        now("poll");
        rc = poll(&p, 1, timeout);
        break;
    case BY_PPOLL: {
        struct timespec span = {0, timeout * 300000L};
        now("ppoll");
        rc = ppoll(&p, 1, timeout < 0 ? NULL : &span, NULL);
        break;
    }
    case BY_SELECT: {
        fd_set set;
        struct timeval span = {0, timeout * 300};
        if (u->fd >= FD_SETSIZE)
            fail(__LINE__, "descriptor %d", u->fd);
        FD_ZERO(&set);
        FD_SET(u->fd, &set);
        now("select");
        rc = select(u->fd + 1, u->events == POLLIN ? &set : NULL, u->events == POLLIN ? NULL : &set,
                    NULL, timeout < 0 ? NULL : &span);
        break;
    }
    default:
        if (u->manner == BY_ONESHOT)
            watch(u, EPOLL_CTL_MOD);
        now(u->manner == BY_LEVEL  ? "epoll_wait level"
            : u->manner == BY_EDGE ? "epoll_wait edge"
                                   : "epoll_wait one-shot");
        rc = epoll_wait(u->ep, &event, 1, u->manner == BY_EDGE ? -1 : timeout);
    }
    MUST(rc == 1 || (rc == 0 && timeout >= 0));
}

/* Wait before the first try: not by the edge, which may have been told before. */
static void look_first(struct user *u)
{
    enum manner manner = u->manner;
    if (manner == BY_EDGE)
        u->manner = BY_POLL;
    user_wait(u);
    u->manner = manner;
}

/* After a call that answered -1: it may be made again when this returns. */
static void user_failed(struct user *u, int flags, int line)
{
    if (errno != EAGAIN || !(u->toggles || flags & MSG_DONTWAIT))
        fail(line, "%s failed", me->op);
    user_wait(u);
}

static int split(struct iovec *v, unsigned char *data, size_t n, uint64_t *rng)
{
    int pieces = 1 + (int)(draw(rng) % 4);
    for (int i = 0; i < pieces; i++) {
        size_t piece = i == pieces - 1 ? n : draw(rng) % (n + 1);
        v[i] = (struct iovec){data, piece};
        data += piece;
        n -= piece;
    }
    return pieces;
}

/* One sending call of n bytes: what it says. */
static ssize_t send_once(struct user *u, unsigned char *data, size_t n, int flags, bool whole)
{
    struct iovec v[4];
    struct msghdr m = {.msg_iov = v};
    m.msg_iovlen = (size_t)split(v, data, n, &u->rng);
    switch (draw(&u->rng) % (u->socket ? 7 : 3) + (u->socket && flags ? 3 : 0)) {
    case 0:
        now("write");
        return write(u->fd, data, n);
    case 1:
        now("writev");
        return writev(u->fd, v, (int)m.msg_iovlen);
    case 2:
        now("pwritev2");
        return pwritev2(u->fd, v, (int)m.msg_iovlen, -1, 0);
    case 3:
    case 7:
        now("send");
        return send(u->fd, data, n, flags);
    case 4:
    case 8:
        now("sendto");
        return sendto(u->fd, data, n, flags, NULL, 0);
    case 5:
    case 9:
        if (!whole && n >= 2) {
            struct iovec w[2] = {{data, n / 2}, {data + n / 2, n - n / 2}};
            struct mmsghdr mm[2] = {{.msg_hdr = {.msg_iov = &w[0], .msg_iovlen = 1}},
                                    {.msg_hdr = {.msg_iov = &w[1], .msg_iovlen = 1}}};
            now("sendmmsg");
            int k = sendmmsg(u->fd, mm, 2, flags);
            return k < 0    ? -1
                   : k == 1 ? (ssize_t)mm[0].msg_len
                            : (ssize_t)(mm[0].msg_len + mm[1].msg_len);
        } /* fall through */
    default:
        now("sendmsg");
        return sendmsg(u->fd, &m, flags);
    }
}

/* One receiving call. *peeked: the data stays where it is. */
static ssize_t receive_once(struct user *u, unsigned char *data, size_t n, int flags, bool *peeked,
                            bool *all)
{
    struct iovec v[4];
    struct msghdr m = {.msg_iov = v};
    m.msg_iovlen = (size_t)split(v, data, n, &u->rng);
    *peeked = *all = false;
    switch (draw(&u->rng) % (u->socket ? 9 : 3) + (u->socket && flags ? 3 : 0)) {
    case 0:
        now("read");
        return read(u->fd, data, n);
    case 1:
        now("readv");
        return readv(u->fd, v, (int)m.msg_iovlen);
    case 2:
        now("preadv2");
        return preadv2(u->fd, v, (int)m.msg_iovlen, -1, 0);
    case 3:
        now("recv peek");
        *peeked = true;
        return recv(u->fd, data, n, flags | MSG_PEEK);
    case 4:
        now("recv");
        return recv(u->fd, data, n, flags);
    case 5:
        now("recvfrom");
        return recvfrom(u->fd, data, n, flags, NULL, NULL);
    case 6: {
        struct iovec w = {data, n};
        struct mmsghdr mm = {.msg_hdr = {.msg_iov = &w, .msg_iovlen = 1}};
        now("recvmmsg");
        int k = recvmmsg(u->fd, &mm, 1, flags | MSG_WAITFORONE, NULL);
        return k < 0 ? -1 : (ssize_t)mm.msg_len;
    }
    case 7:
        if (n <= 5000) {
            now("recv all");
            *all = true;
            return recv(u->fd, data, n, flags | MSG_WAITALL);
        } /* fall through */
    default:
        now("recvmsg");
        return recvmsg(u->fd, &m, flags);
    }
}

static void make_pair(enum kind kind, int ends[2], uint64_t *rng)
{
    int types[] = {0, SOCK_STREAM, 0, SOCK_DGRAM, SOCK_SEQPACKET};
    if (kind == TCP)
        t_tcp(ends);
    else if (kind == PIPE)
        MUST(pipe(ends) == 0);
    else
        MUST(socketpair(AF_UNIX, types[kind], 0, ends) == 0);
    if (kind == PIPE && chance(rng, 3))
        fcntl(ends[1], F_SETPIPE_SZ, 4096);
    if (kind != PIPE && chance(rng, 3)) {
        int size = 4096 << draw(rng) % 4;
        for (int i = 0; i < 2; i++) {
            MUST(setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size) == 0);
            MUST(setsockopt(ends[i], SOL_SOCKET, SO_RCVBUF, &size, sizeof size) == 0);
        }
    }
}

static void timeouts(int fd, int option, uint64_t *rng)
{
    struct timeval tv = {0, 200 + (long)(draw(rng) % 2000)};
    MUST(setsockopt(fd, SOL_SOCKET, option, &tv, sizeof tv) == 0);
}

/* ---- streams ---- */

#define LARGEST 100000

struct flow {
    int slot, round;
    enum kind kind;
    int from, to;         /* descriptors, the slot's */
    bool toggles, closes; /* the sender closes rather than shuts down */
    uint64_t rng, pattern, total;
};

static unsigned char byte_at(const struct flow *f, uint64_t at)
{
    return (unsigned char)(((at + f->pattern) * 0x9e3779b97f4a7c15) >> 56);
}

static size_t some_size(uint64_t *rng)
{
    uint64_t d = draw(rng);
    return 1 + (d % 16 == 0 ? (d >> 8) % LARGEST : d % 16 < 4 ? (d >> 8) % 5000 : (d >> 8) % 200);
}

static void *stream_send(void *arg)
{
    struct flow *f = arg;
    struct user u;
    unsigned char *data = malloc(LARGEST);
    enter("stream sender", f->slot, f->round, f->kind);
    me->of = f->total;
    user_open(&u, f->from, f->kind != PIPE, f->toggles, POLLOUT, f->rng);
    uint64_t at = 0;
    while (at < f->total) {
        size_t n = some_size(&u.rng);
        if (n > f->total - at)
            n = f->total - at;
        for (size_t i = 0; i < n; i++)
            data[i] = byte_at(f, at + i);
        int flags = u.socket && chance(&u.rng, 4) ? MSG_DONTWAIT : 0;
        user_stir(&u);
        ssize_t r = send_once(&u, data, n, flags, false);
        if (r < 0) {
            user_failed(&u, flags, __LINE__);
            continue;
        }
        MUST(r > 0 && (size_t)r <= n);
        if (!u.toggles && !flags && (size_t)r != n)
            fail(__LINE__, "a blocking %s of %zu did %zd", me->op, n, r);
        me->at = at += (uint64_t)r;
        if (chance(&u.rng, 30))
            sched_yield();
    }
    int fd = u.fd;
    bool own = u.own;
    u.own = false;
    user_close(&u);
    if (!f->closes && f->kind != PIPE) {
        now("shutdown");
        MUST(shutdown(fd, SHUT_WR) == 0);
    }
    if (own)
        MUST(close(fd) == 0);
    if (f->closes || f->kind == PIPE) {
        now("close");
        MUST(close(f->from) == 0);
        f->from = -1;
    }
    free(data);
    leave();
    return NULL;
}

/* Tell from where in the stream they are, as far as they are enough to tell. */
__attribute__((noreturn)) static void wrong_bytes(const struct flow *f, uint64_t at,
                                                  const unsigned char *data, ssize_t got,
                                                  ssize_t first, size_t asked)
{
    for (int64_t shift = -300000; got - first >= 8 && shift < 300000; shift++) {
        ssize_t same = first;
        while (same < got && data[same] == byte_at(f, at + (uint64_t)(same + shift)))
            same++;
        if (same - first >= 8)
            dprintf(2, "%zd bytes from there on are those of %lld\n", same - first,
                    (long long)(at + (uint64_t)(first + shift)));
    }
    fail(__LINE__, "%s of %zu, %zd received: byte %llu is %u, not %u", me->op, asked, got,
         (unsigned long long)at + (uint64_t)first, data[first], byte_at(f, at + (uint64_t)first));
}

static void *stream_receive(void *arg)
{
    struct flow *f = arg;
    struct user u;
    unsigned char *data = malloc(LARGEST);
    enter("stream receiver", f->slot, f->round, f->kind);
    me->of = f->total;
    user_open(&u, f->to, f->kind != PIPE, f->toggles, POLLIN, f->rng * 31 + 7);
    uint64_t at = 0;
    for (;;) {
        size_t n = some_size(&u.rng);
        int flags = u.socket && chance(&u.rng, 4) ? MSG_DONTWAIT : 0;
        bool peeked, all;
        user_stir(&u);
        if (chance(&u.rng, 10))
            look_first(&u);
        ssize_t r = receive_once(&u, data, n, flags, &peeked, &all);
        if (r < 0) {
            user_failed(&u, flags, __LINE__);
            continue;
        }
        if (r == 0)
            break;
        MUST((size_t)r <= n);
        for (ssize_t i = 0; i < r; i++)
            if (data[i] != byte_at(f, at + (uint64_t)i))
                wrong_bytes(f, at, data, r, i, n);
        if (peeked)
            continue;
        me->at = at += (uint64_t)r;
        if (all && !flags && !u.toggles && (size_t)r < n && at != f->total)
            fail(__LINE__, "MSG_WAITALL of %zu took %zd", n, r);
        MUST(at <= f->total);
    }
    if (at != f->total)
        fail(__LINE__, "the end comes after %llu bytes of %llu", (unsigned long long)at,
             (unsigned long long)f->total);
    user_close(&u);
    free(data);
    leave();
    return NULL;
}

static void play_stream(int slot, int round, uint64_t *rng)
{
    static const enum kind kinds[] = {TCP, UNIX, PIPE};
    enum kind kind = kinds[draw(rng) % 3];
    bool both = kind != PIPE && chance(rng, 2), toggles = chance(rng, 2);
    int ends[2], n = 0;
    struct flow flows[2];
    pthread_t threads[4];
    make_pair(kind, ends, rng);
    if (toggles && kind != PIPE && chance(rng, 2))
        timeouts(ends[0], SO_RCVTIMEO, rng);
    if (toggles && kind != PIPE && chance(rng, 2))
        timeouts(ends[1], SO_SNDTIMEO, rng);
    for (int i = 0; i <= (int)both; i++) {
        flows[i] = (struct flow){.slot = slot,
                                 .round = round,
                                 .kind = kind,
                                 .from = ends[i ? 0 : 1],
                                 .to = ends[i ? 1 : 0],
                                 .toggles = toggles,
                                 .closes = !both && chance(rng, 2),
                                 .rng = draw(rng),
                                 .pattern = draw(rng),
                                 .total = chance(rng, 4) ? draw(rng) % 1000 : draw(rng) % 300000};
        bool first = chance(rng, 2);
        threads[n++] = t_go(first ? stream_send : stream_receive, &flows[i]);
        threads[n++] = t_go(first ? stream_receive : stream_send, &flows[i]);
    }
    for (int i = 0; i < n; i++)
        t_join(threads[i]);
    for (int i = 0; i < 2; i++)
        if (!(i == 1 && flows[0].from < 0))
            MUST(close(ends[i]) == 0);
}

/* ---- messages ---- */

#define SENDERS   3
#define RECEIVERS 3
#define RECORDS   400
#define RECORD    64 /* on pipes; below PIPE_BUF, so that they stay whole */

struct record {
    uint32_t sender, number, size, sum; /* sender == SENDERS: the end */
    unsigned char data[1000];
};

struct messages {
    int slot, round, from, to, receivers, records;
    enum kind kind;
    bool toggles;
    uint64_t rng;
    _Atomic int next_sender, next_receiver, sending;
    _Atomic unsigned char seen[SENDERS][RECORDS];
    _Atomic int got;
};

static void send_record(struct user *u, struct record *r)
{
    for (;;) {
        int flags = u->socket && chance(&u->rng, 4) ? MSG_DONTWAIT : 0;
        user_stir(u);
        ssize_t n = send_once(u, (unsigned char *)r, r->size, flags, true);
        if (n == (ssize_t)r->size)
            return;
        if (n >= 0)
            fail(__LINE__, "%s of a record of %u did %zd", me->op, r->size, n);
        user_failed(u, flags, __LINE__);
    }
}

static void *message_send(void *arg)
{
    struct messages *c = arg;
    struct user u;
    struct record r;
    uint32_t who = (uint32_t)c->next_sender++;
    enter("message sender", c->slot, c->round, c->kind);
    me->of = (uint64_t)c->records;
    user_open(&u, c->from, c->kind != PIPE, c->toggles, POLLOUT, c->rng + who * 977);
    for (int i = 0; i < c->records; i++) {
        r = (struct record){.sender = who, .number = (uint32_t)i};
        r.size = c->kind == PIPE ? RECORD : 16 + (uint32_t)(draw(&u.rng) % 1000);
        memset(r.data, (int)(who * 71 + (uint32_t)i), r.size - 16);
        r.sum = r.sender * 7 + r.number * 13 + r.size;
        me->at = (uint64_t)i;
        send_record(&u, &r);
    }
    if (--c->sending == 0)
        for (int i = 0; i < c->receivers; i++) {
            r = (struct record){.sender = SENDERS, .size = RECORD};
            send_record(&u, &r);
        }
    user_close(&u);
    leave();
    return NULL;
}

static void *message_receive(void *arg)
{
    struct messages *c = arg;
    struct user u;
    int who = c->next_receiver++, last[SENDERS] = {-1, -1, -1};
    enter("message receiver", c->slot, c->round, c->kind);
    user_open(&u, c->to, c->kind != PIPE, c->toggles, POLLIN, c->rng * 31 + (uint64_t)who * 1013);
    for (;;) {
        struct record r;
        bool peeked, all;
        int flags = u.socket && chance(&u.rng, 4) ? MSG_DONTWAIT : 0;
        user_stir(&u);
        ssize_t n = receive_once(&u, (unsigned char *)&r, c->kind == PIPE ? RECORD : sizeof r,
                                 flags, &peeked, &all);
        if (n < 0) {
            user_failed(&u, flags, __LINE__);
            continue;
        }
        if (n < 16 || n != (ssize_t)r.size)
            fail(__LINE__, "%s: a record of %zd says %u", me->op, n, n < 16 ? 0 : r.size);
        if (r.sender == SENDERS) {
            if (peeked)
                continue;
            break;
        }
        MUST(r.sender < SENDERS && r.number < RECORDS &&
             r.sum == r.sender * 7 + r.number * 13 + r.size);
        for (uint32_t i = 0; i < r.size - 16; i++)
            MUST(r.data[i] == (unsigned char)(r.sender * 71 + r.number));
        if (peeked)
            continue;
        if (c->seen[r.sender][r.number]++)
            fail(__LINE__, "%s: record %u of sender %u came twice", me->op, r.number, r.sender);
        if ((int)r.number <= last[r.sender])
            fail(__LINE__, "%s: record %u of sender %u came after %d", me->op, r.number, r.sender,
                 last[r.sender]);
        last[r.sender] = (int)r.number;
        me->at = (uint64_t)++c->got;
    }
    user_close(&u);
    leave();
    return NULL;
}

static void play_messages(int slot, int round, uint64_t *rng)
{
    static const enum kind kinds[] = {DGRAM, SEQPACKET, PIPE};
    struct messages *c = calloc(1, sizeof *c);
    int ends[2], senders = 1 + (int)(draw(rng) % SENDERS), n = 0;
    pthread_t threads[SENDERS + RECEIVERS];
    c->kind = kinds[draw(rng) % 3];
    make_pair(c->kind, ends, rng);
    c->slot = slot;
    c->round = round;
    c->to = ends[0];
    c->from = ends[1];
    c->receivers = 1 + (int)(draw(rng) % RECEIVERS);
    c->records = 1 + (int)(draw(rng) % RECORDS);
    c->toggles = chance(rng, 2);
    c->rng = draw(rng);
    c->sending = senders;
    if (c->toggles && c->kind != PIPE && chance(rng, 2))
        timeouts(ends[0], SO_RCVTIMEO, rng);
    for (int i = 0; i < c->receivers; i++)
        threads[n++] = t_go(message_receive, c);
    for (int i = 0; i < senders; i++)
        threads[n++] = t_go(message_send, c);
    for (int i = 0; i < n; i++)
        t_join(threads[i]);
    MUST(c->got == senders * c->records);
    MUST(close(ends[0]) == 0 && close(ends[1]) == 0);
    free(c);
}

/* ---- counts ---- */

struct counts {
    int slot, round, fd, adds;
    bool semaphore, toggles;
    uint64_t rng;
    _Atomic int next;
    _Atomic int64_t left; /* to be taken */
};

static void *count_add(void *arg)
{
    struct counts *c = arg;
    struct user u;
    enter("count writer", c->slot, c->round, PIPE);
    user_open(&u, c->fd, false, c->toggles, POLLOUT, c->rng + (uint64_t)c->next++ * 31);
    for (int i = 0; i < c->adds;) {
        uint64_t one = 1;
        user_stir(&u);
        me->at = (uint64_t)i;
        now("write");
        ssize_t n = write(u.fd, &one, 8);
        if (n < 0)
            user_failed(&u, 0, __LINE__);
        else
            i++;
    }
    user_close(&u);
    leave();
    return NULL;
}

/* Takes a ticket for one count before it reads; with plain eventfds the only reader takes all. */
static void *count_take(void *arg)
{
    struct counts *c = arg;
    struct user u;
    enter("count reader", c->slot, c->round, PIPE);
    user_open(&u, c->fd, false, c->toggles, POLLIN, c->rng + (uint64_t)c->next++ * 37);
    while (c->semaphore ? c->left-- > 0 : c->left > 0) {
        uint64_t value = 0;
        for (;;) {
            user_stir(&u);
            now("read");
            ssize_t n = read(u.fd, &value, 8);
            if (n == 8)
                break;
            user_failed(&u, 0, __LINE__);
        }
        if (c->semaphore)
            MUST(value == 1);
        else
            c->left -= (int64_t)value;
        MUST(c->semaphore || c->left >= 0);
    }
    user_close(&u);
    leave();
    return NULL;
}

static void play_counts(int slot, int round, uint64_t *rng)
{
    struct counts c = {
        .slot = slot, .round = round, .semaphore = chance(rng, 2), .toggles = chance(rng, 2)};
    int writers = 1 + (int)(draw(rng) % 4), readers = c.semaphore ? 1 + (int)(draw(rng) % 4) : 1,
        n = 0;
    pthread_t threads[8];
    uint64_t value;
    c.adds = 1 + (int)(draw(rng) % 500);
    c.left = writers * c.adds;
    c.rng = draw(rng);
    MUST((c.fd = eventfd(0, c.semaphore ? EFD_SEMAPHORE : 0)) >= 0);
    for (int i = 0; i < readers; i++)
        threads[n++] = t_go(count_take, &c);
    for (int i = 0; i < writers; i++)
        threads[n++] = t_go(count_add, &c);
    for (int i = 0; i < n; i++)
        t_join(threads[i]);
    MUST(fcntl(c.fd, F_SETFL, O_NONBLOCK) == 0);
    MUST(read(c.fd, &value, 8) == -1 && errno == EAGAIN);
    MUST(close(c.fd) == 0);
}

/* ---- accepts ---- */

struct accepts {
    int slot, round, listener, each;
    bool tcp, toggles;
    uint64_t rng;
    struct sockaddr_storage address;
    socklen_t length;
    _Atomic int next, tickets;
    _Atomic uint64_t asked, answered;
};

static void exactly(int fd, void *data, size_t size, bool out)
{
    for (size_t done = 0; done < size;) {
        now(out ? "write" : "read");
        ssize_t n = out ? write(fd, (char *)data + done, size - done)
                        : read(fd, (char *)data + done, size - done);
        if (n <= 0)
            fail(__LINE__, "%s of %zu: %zd", me->op, size - done, n);
        done += (size_t)n;
    }
}

static void *accepts_accept(void *arg)
{
    struct accepts *c = arg;
    struct user u;
    enter("acceptor", c->slot, c->round, c->tcp ? TCP : UNIX);
    user_open(&u, c->listener, true, c->toggles, POLLIN, c->rng + (uint64_t)c->next++ * 41);
    while (c->tickets-- > 0) {
        int fd;
        for (;;) {
            user_stir(&u);
            now("accept4");
            fd = accept4(u.fd, NULL, NULL, SOCK_CLOEXEC);
            if (fd >= 0)
                break;
            user_failed(&u, 0, __LINE__);
        }
        uint64_t question;
        exactly(fd, &question, 8, false);
        c->answered += question;
        question = ~question;
        exactly(fd, &question, 8, true);
        now("close");
        MUST(close(fd) == 0);
    }
    user_close(&u);
    leave();
    return NULL;
}

static void *accepts_connect(void *arg)
{
    struct accepts *c = arg;
    uint64_t rng = (c->rng + (uint64_t)c->next++ * 43) | 1;
    enter("connector", c->slot, c->round, c->tcp ? TCP : UNIX);
    for (int i = 0; i < c->each; i++) {
        bool nonblocking = c->tcp && chance(&rng, 2);
        int fd = socket(c->address.ss_family,
                        SOCK_STREAM | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0), 0),
            error = -1;
        socklen_t length = sizeof error;
        MUST(fd >= 0);
        me->fd = fd;
        me->at = (uint64_t)i;
        now("connect");
        if (connect(fd, (struct sockaddr *)&c->address, c->length) != 0) {
            if (!nonblocking || errno != EINPROGRESS)
                fail(__LINE__, "connect failed");
            struct pollfd p = {fd, POLLOUT, 0};
            now("poll");
            MUST(poll(&p, 1, -1) == 1);
            MUST(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0);
        }
        if (nonblocking)
            MUST(fcntl(fd, F_SETFL, 0) == 0);
        uint64_t question = draw(&rng), answer, end;
        c->asked += question;
        exactly(fd, &question, 8, true);
        exactly(fd, &answer, 8, false);
        MUST(answer == ~question);
        now("read");
        MUST(read(fd, &end, 8) == 0);
        struct linger reset = {1, 0}; /* leaves no port behind in TIME_WAIT */
        MUST(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0);
        now("close");
        MUST(close(fd) == 0);
    }
    leave();
    return NULL;
}

static void play_accepts(int slot, int round, uint64_t *rng)
{
    struct accepts c = {.slot = slot,
                        .round = round,
                        .tcp = chance(rng, 3),
                        .toggles = chance(rng, 2),
                        .length = sizeof c.address};
    int connectors = 1 + (int)(draw(rng) % 4), acceptors = 1 + (int)(draw(rng) % 3), n = 0;
    pthread_t threads[8];
    c.address.ss_family = c.tcp ? AF_INET : AF_UNIX;
    if (c.tcp)
        ((struct sockaddr_in *)&c.address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    MUST((c.listener = socket(c.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0)) >= 0);
    MUST(bind(c.listener, (struct sockaddr *)&c.address,
              c.tcp ? sizeof(struct sockaddr_in) : sizeof(sa_family_t)) == 0);
    MUST(getsockname(c.listener, (struct sockaddr *)&c.address, &c.length) == 0);
    MUST(listen(c.listener, c.tcp ? 64 : 1 + (int)(draw(rng) % 4)) == 0);
    c.each = 1 + (int)(draw(rng) % 25);
    c.tickets = connectors * c.each;
    c.rng = draw(rng);
    for (int i = 0; i < acceptors; i++)
        threads[n++] = t_go(accepts_accept, &c);
    for (int i = 0; i < connectors; i++)
        threads[n++] = t_go(accepts_connect, &c);
    for (int i = 0; i < n; i++)
        t_join(threads[i]);
    MUST(c.asked == c.answered);
    MUST(close(c.listener) == 0);
}

/* ---- pool ---- */

#define CLIENTS 12
struct pool {
    int slot, round, ep, stop, depth, requests;
    uint32_t mode; /* EPOLLONESHOT, with or without EPOLLET; or EPOLLET for the one worker */
    enum kind kind;
    uint64_t rng;
    int served[CLIENTS], client[CLIENTS];
    _Atomic int next, next_client, live;
};

static void *pool_worker(void *arg)
{
    struct pool *c = arg;
    uint64_t rng = (c->rng + (uint64_t)c->next++ * 47) | 1;
    enter("pool worker", c->slot, c->round, c->kind);
    for (;;) {
        struct epoll_event events[5];
        now("epoll_wait");
        int n = epoll_wait(c->ep, events, 1 + (int)(draw(&rng) % 5), -1);
        MUST(n > 0);
        bool stop = false;
        for (int i = 0; i < n; i++) {
            if (events[i].data.u32 == CLIENTS) {
                stop = true;
                continue;
            }
            int fd = c->served[events[i].data.u32];
            bool closed = false;
            me->fd = fd;
            for (;;) {
                unsigned char data[500];
                now("recv");
                ssize_t got = recv(fd, data, 1 + draw(&rng) % sizeof data, MSG_DONTWAIT);
                if (got < 0) {
                    if (errno != EAGAIN)
                        fail(__LINE__, "recv failed");
                    break;
                }
                if (got == 0) {
                    closed = true;
                    break;
                }
                exactly(fd, data, (size_t)got, true);
            }
            if (closed) {
                now("close");
                MUST(close(fd) == 0);
                if (--c->live == 0)
                    MUST(eventfd_write(c->stop, 1) == 0);
            } else if (c->mode & EPOLLONESHOT) {
                struct epoll_event again = {.events = EPOLLIN | c->mode,
                                            .data.u32 = events[i].data.u32};
                now("epoll_ctl");
                MUST(epoll_ctl(c->ep, EPOLL_CTL_MOD, fd, &again) == 0);
            }
        }
        if (stop)
            break;
    }
    leave();
    return NULL;
}

static void *pool_client(void *arg)
{
    struct pool *c = arg;
    int who = c->next_client++, fd = c->client[who];
    uint64_t rng = (c->rng + (uint64_t)who * 53) | 1;
    enter("pool client", c->slot, c->round, c->kind);
    me->fd = fd;
    me->of = (uint64_t)c->requests;
    for (int i = 0; i < c->requests; i++) {
        unsigned char data[4][300], back[1200];
        size_t all = 0;
        int depth = 1 + (int)(draw(&rng) % 4);
        me->at = (uint64_t)i;
        for (int k = 0; k < depth; k++) {
            size_t size = 1 + draw(&rng) % 300;
            t_fill(data[k], size, (uint32_t)draw(&rng));
            exactly(fd, data[k], size, true);
            memcpy(back + all, data[k], size);
            all += size;
        }
        unsigned char echo[1200];
        exactly(fd, echo, all, false);
        if (memcmp(echo, back, all) != 0)
            fail(__LINE__, "another echo than what was sent");
    }
    unsigned char byte;
    if (chance(&rng, 2)) {
        now("shutdown");
        MUST(shutdown(fd, SHUT_WR) == 0);
        now("read");
        MUST(read(fd, &byte, 1) == 0);
    }
    now("close");
    MUST(close(fd) == 0);
    leave();
    return NULL;
}

static void play_pool(int slot, int round, uint64_t *rng)
{
    struct pool c = {.slot = slot, .round = round, .kind = chance(rng, 3) ? TCP : UNIX};
    static const uint32_t modes[] = {EPOLLONESHOT, EPOLLONESHOT | EPOLLET, EPOLLET};
    c.mode = modes[draw(rng) % 3];
    int workers = c.mode == EPOLLET ? 1 : 1 + (int)(draw(rng) % 4),
        clients = 1 + (int)(draw(rng) % CLIENTS), n = 0;
    pthread_t threads[4 + CLIENTS];
    c.requests = 1 + (int)(draw(rng) % 60);
    c.rng = draw(rng);
    c.live = clients;
    MUST((c.ep = epoll_create1(EPOLL_CLOEXEC)) >= 0 && (c.stop = eventfd(0, 0)) >= 0);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = CLIENTS};
    MUST(epoll_ctl(c.ep, EPOLL_CTL_ADD, c.stop, &event) == 0);
    for (int i = 0; i < clients; i++) {
        int ends[2];
        if (c.kind == TCP)
            t_tcp(ends);
        else
            t_pair(ends);
        c.client[i] = ends[0];
        c.served[i] = ends[1];
        event = (struct epoll_event){.events = EPOLLIN | c.mode, .data.u32 = (uint32_t)i};
        MUST(epoll_ctl(c.ep, EPOLL_CTL_ADD, ends[1], &event) == 0);
    }
    for (int i = 0; i < clients; i++)
        threads[n++] = t_go(pool_client, &c);
    for (int i = 0; i < workers; i++)
        threads[n++] = t_go(pool_worker, &c);
    for (int i = 0; i < n; i++)
        t_join(threads[i]);
    MUST(c.live == 0);
    MUST(close(c.ep) == 0 && close(c.stop) == 0);
}

/* ---- slots ---- */

static _Atomic int rounds_played, slots_done;

static void *play(void *arg)
{
    int slot = (int)(intptr_t)arg;
    uint64_t rng = ((seed + 1) * 0x9e3779b97f4a7c15 + (uint64_t)slot * 0xbf58476d1ce4e5b9) | 1;
    for (int i = 0; i < 8; i++)
        draw(&rng);
    for (int round = 0; operations < wanted; round++) {
        uint64_t d = draw(&rng) % 100;
        (d < 45   ? play_stream
         : d < 65 ? play_messages
         : d < 75 ? play_counts
         : d < 85 ? play_accepts
                  : play_pool)(slot, round, &rng);
        rounds_played++;
    }
    slots_done++;
    return NULL;
}

int main(int argc, char **argv)
{
    seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    wanted = argc > 2 ? strtoull(argv[2], NULL, 10) : 100000;
    int slots = argc > 3 ? atoi(argv[3]) : 12;
    static pthread_t threads[256];
    alarm(0);
    MUST(slots > 0 && slots <= 256);
    signal(SIGPIPE, SIG_IGN);
    for (intptr_t i = 0; i < slots; i++)
        threads[i] = t_go(play, (void *)i);
    uint64_t last = 0;
    for (int still = 0; slots_done < slots;) {
        struct timespec pause = {0, 50 * MSEC};
        nanosleep(&pause, NULL);
        still = operations == last ? still + 1 : 0;
        last = operations;
        if (still == 300) { /* told once; it stays as it is, to be looked at */
            dprintf(2, "seed %llu: nothing has moved for 15 s\n", (unsigned long long)seed);
            tell_states();
        }
    }
    for (int i = 0; i < slots; i++)
        t_join(threads[i]);
    fprintf(stderr, "%llu operations in %d rounds\n", (unsigned long long)operations,
            (int)rounds_played);
    return 0;
}
