#include "fd.h"
#include "kwait.h"

#include "../base/list.h"
#include "../sched/internal.h"

#include <linux/eventpoll.h>

#ifndef O_NONBLOCK
#define O_NONBLOCK 04000
#endif

struct fdrec *fd_recs;
uint32_t fd_doubt;
#define recs fd_recs

/* Descriptors that keep closed files open for calls in progress. Taken after the lock of the record that is being closed, before
 * that of the ghost: a ghost's waiters can end it as soon as they are linked there. */
static struct {
    struct lock lock;
    int32_t first;   /* + 1; chained by fdrec.ghost_next */
    uint32_t ranges; /* close_range(2) calls under way, which leave out those ghosts that there were when they began: none may be made meanwhile */
} ghosts;

int fd_activate(void)
{
    if (!recs)
        recs = sys_map(NULL, sizeof(struct fdrec) * FDS_MAX, 3, 0x4000);
    return recs ? netpoll_init() : -ENOMEM;
}

/* The kernel copies the table of descriptors, then memory: a ghost that came or ended in between would be in the one and not in the other, and its file would stay
 * open in the child. */
void fd_fork_begins(void)
{
    lock_take(&ghosts.lock);
}
void fd_fork_done(void)
{
    lock_drop(&ghosts.lock);
}

/* In a fork child: records start anew (their waiters are the parent's), and every description is shared with it. */
void fd_reset(void)
{
    for (int32_t at = ghosts.first; at; at = recs[at - 1].ghost_next)
        sys1(__NR_close, at - 1); /* kept open for calls of the parent's threads */
    ready_reset();
    uring_reset();
    ghosts.first = 0;
    ghosts.ranges = 0;
    ghosts.lock = (struct lock){0};
    if (recs)
        sys3(__NR_madvise, P(recs), sizeof(struct fdrec) * FDS_MAX, 4 /* MADV_DONTNEED: zero again */);
}

static bool has_timeo(int fd, int opt)
{
    int64_t tv[2] = {0, 0};
    uint32_t len = sizeof tv;
    return sys5(__NR_getsockopt, fd, 1, opt, P(tv), P(&len)) == 0 && (tv[0] || tv[1]);
}

uint16_t fd_timeos(int fd)
{
    return (uint16_t)((has_timeo(fd, 20 /* SO_RCVTIMEO */) ? FDF_RCVTIMEO : 0) | (has_timeo(fd, 21 /* SO_SNDTIMEO */) ? FDF_SNDTIMEO : 0));
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
    uint16_t flags = fd_timeos(fd);
    if (sockopt(fd, 18 /* SO_RCVLOWAT */) > 1)
        flags |= FDF_LOWAT;
    if (sockopt(fd, 13 /* SO_LINGER: on */) > 0)
        flags |= FDF_LINGER;
    __atomic_fetch_or(&rec->flags, flags, __ATOMIC_RELAXED);
    if (type == 1)
        return (domain == 2 || domain == 10) && sockopt(fd, 38 /* SO_PROTOCOL */) == 6 ? FD_TCP : FD_STREAM;
    return FD_DGRAM;
}

struct kstat {
    uint64_t dev, ino, nlink;
    uint32_t mode, uid, gid, pad;
    uint64_t rdev, rest[15];
};

/* One more than the highest number of which anything is known. */
static uint32_t high;
static void note_high(int fd)
{
    uint32_t was = load_relaxed(&high);
    while (was <= (uint32_t)fd && !cas(&high, was, (uint32_t)fd + 1))
        was = load_relaxed(&high);
}

void fd_made(int fd, enum fd_type type, uint16_t flags)
{
    struct fdrec *rec = fd_rec(fd);
    if (!rec)
        return;
    if (unlikely(load_relaxed(&fd_doubt))) { /* what it meant before is gone, by whatever way */
        uint8_t was = load_acquire(&rec->type);
        if (was != FD_UNKNOWN && was != FD_CLOSING)
            fd_mistaken(rec, fd);
    }
    note_high(fd);
    store_relaxed(&rec->flags, (uint16_t)(flags | FDF_SERVED));
    if (type != FD_UNKNOWN)
        store_release(&rec->type, (uint8_t)type);
}

/* Others may know its description from now on. Who waits to write to a Unix stream must look from time to time then (io.c, block_send). */
static void share(struct fdrec *rec)
{
    uint16_t was = __atomic_fetch_or(&rec->flags, FDF_SHARED, __ATOMIC_RELAXED);
    if (!(was & FDF_SHARED) && load_relaxed(&rec->type) == FD_STREAM)
        fd_stir(rec);
}

void fd_share_all(void)
{
    uint32_t n = load_relaxed(&high);
    for (uint32_t i = 0; i < n; i++)
        if (load_relaxed(&recs[i].type) != FD_UNKNOWN || load_relaxed(&recs[i].flags))
            share(&recs[i]);
}

cold bool fd_is_called(int fd, const char *name)
{
    char path[40], link[64];
    format(path, sizeof path, "/proc/self/fd/%d", fd);
    long n = sys3(__NR_readlink, P(path), P(link), sizeof link), i = 0;
    while (i < n && link[i] == name[i])
        i++;
    return n > 0 && i == n && !name[i];
}

static cold enum fd_type classify(struct fdrec *rec, int fd)
{
    struct kstat st;
    uint32_t gen = load_acquire(&rec->gen); /* before the look */
    if (sys2(__NR_fstat, fd, P(&st)) < 0)
        return FD_FILE; /* let the call itself say EBADF */
    enum fd_type t;
    if (!(load_relaxed(&rec->flags) & FDF_SERVED))
        __atomic_fetch_or(&rec->flags, FDF_SHARED, __ATOMIC_RELAXED);
    note_high(fd);
    switch (st.mode & 0170000) {
    case 0140000: t = classify_socket(rec, fd); break;
    case 0010000: t = FD_PIPE; break;
    case 0100000: case 0040000: case 0060000: t = FD_FILE; break;
    case 0020000: t = (st.rdev >> 8 & 0xfff) == 1 && (st.rdev & 0xff) != 11 ? FD_FILE : FD_OTHER; break; /* /dev/null and its kin; /dev/kmsg blocks */
    /* A read of a perf event tells the count and never waits; poll tells of its ring. */
    default: t = fd_is_called(fd, "anon_inode:[perf_event]") ? FD_FILE : FD_OTHER;
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
    if ((load_relaxed(&rec->flags) & FDF_SHARED) || unlikely(load_relaxed(&fd_doubt))) {
        long fl = sys3(__NR_fcntl, fd, 3 /* F_GETFL */, 0);
        return fl >= 0 && (fl & O_NONBLOCK);
    }
    return rec->flags & FDF_NONBLOCK;
}

/* ---- waiters and their lists ----
 *
 * Life of a call that waits (w->state), each step under the lock of w->rec:
 *
 *   NONE --fd_wait--> ARMED --edge--> WOKEN --runs--> TRYING --fd_wait--> ARMED ... --fdcall_end--> NONE
 *                        `--timer, signal--> runs: TRYING      `--fdcall_native--> CALLING (in the kernel, which holds the file)
 *
 * fd_closing moves the ARMED and the WOKEN to a ghost, drops the CALLING, and waits for the TRYING: they make a call that does
 * not block, and its number must not mean another file before it was made.
 */
/* Who only looks (poll) comes before the calls: an edge is for all of those, and then for one call (wake_waiters). */
static void link_waiter(struct fdrec *rec, struct fdwaiter *w)
{
    if (w->poll)
        list_prepend(rec, w);
    else
        list_append(rec, w);
    rec->idle = 0;
    store_relaxed(&rec->waits, w->u);
    store_release(&w->rec, rec);
}
static void unlink_waiter(struct fdrec *rec, struct fdwaiter *w)
{
    list_remove(rec, w);
    store_release(&w->rec, NULL);
}

/* Lock the record that w is linked to, wherever it was moved. NULL: to none. */
static struct fdrec *lock_of(struct fdwaiter *w)
{
    for (;;) {
        struct fdrec *rec = load_acquire(&w->rec);
        if (!rec)
            return NULL;
        lock_take(&rec->lock);
        if (w->rec == rec)
            return rec;
        lock_drop(&rec->lock);
    }
}

static void commit_unlock(struct uthread *u, void *arg)
{
    (void)u;
    lock_drop_plain(&((struct fdrec *)arg)->lock);
}

static void count_park(enum stats_wait why)
{
    switch (why) {
    case WAIT_WRITE: COUNT(park_write); break;
    case WAIT_ACCEPT: COUNT(park_accept); break;
    case WAIT_CONNECT: COUNT(park_connect); break;
    case WAIT_POLL: COUNT(park_poll); break;
    default: COUNT(park_read);
    }
}

/* In hook state, rec locked; returns unlocked and TRYING. */
static always_inline enum wake wait_armed(struct fdcall *c, struct fdrec *rec, uint8_t dir, int64_t deadline, enum stats_wait why,
                            bool turn)
{
    struct uthread *u = uthread_self();
    struct fdwaiter *w = &c->w;
    count_park(why);
    w->u = u;
    w->dir = dir;
    w->seq = wait_open(u);
    if (w->state == FDW_NONE) {
        w->fd = c->fd;
        link_waiter(rec, w);
    }
    w->state = FDW_ARMED;
    w->turn = turn;
    store_relaxed(&u->ahead, (const void *)rec);
    __atomic_fetch_add(&sched.npollwait, 1, __ATOMIC_RELAXED);
    enum wake r = park(why, (uint64_t)c->fd, deadline, commit_unlock, rec);
    __atomic_fetch_sub(&sched.npollwait, 1, __ATOMIC_RELAXED);
    rec = lock_of(w);
    if (!rec) { /* its file could not be kept open */
        w->state = FDW_NONE;
        return WAKE_CLOSED;
    }
    w->state = FDW_TRYING;
    c->rec = rec;
    c->fd = w->fd;
    c->gen = rec->gen;
    lock_drop_plain(&rec->lock);
    return r;
}

/* A call that did not wait yet finds the descriptor as it knew it? rec locked. WAKE_EVENT: yes. The number may be new, given to
 * us by the kernel while its former owner is still on the way out of close(2): then natively (WAKE_NONE). */
static enum wake still_there(struct fdcall *c, struct fdrec *rec)
{
    if (c->w.state != FDW_NONE)
        return WAKE_EVENT;
    if (rec->gen != c->gen)
        return WAKE_CLOSED;
    /* UNKNOWN: the call began while it was being closed, or replaced by dup2. */
    return rec->type == FD_CLOSING || rec->type == FD_UNKNOWN ? WAKE_NONE : WAKE_EVENT;
}

enum wake fd_wait(struct fdcall *c, uint8_t dir, uint32_t edges, int64_t deadline, enum stats_wait why)
{
    struct fdrec *rec = c->rec;
    lock_take(&rec->lock);
    enum wake there = still_there(c, rec);
    if (there != WAKE_EVENT) {
        lock_drop(&rec->lock);
        return there;
    }
    uint8_t watched = rec->watched;
    if (!(watched & dir) || unlikely(load_relaxed(&fd_doubt))) {
        if (netpoll_watch(rec, c->fd, dir) < 0) {
            lock_drop(&rec->lock);
            return WAKE_NONE;
        }
        if (!(watched & dir))
            COUNT(netpoll_adds);
    }
    if (fd_edges(rec, dir) != edges) {
        lock_drop(&rec->lock);
        return WAKE_EVENT;
    }
    return wait_armed(c, rec, dir, deadline, why, false);
}

void fdcall_native(struct fdcall *c)
{
    if (c->w.state == FDW_NONE)
        return;
    struct fdrec *rec = lock_of(&c->w);
    if (rec) {
        c->w.state = FDW_CALLING;
        lock_drop(&rec->lock);
    }
}

static cold void ghost_end(struct fdrec *rec)
{
    int fd = (int)(rec - recs);
    lock_take(&ghosts.lock);
    int32_t *at = &ghosts.first;
    while (*at != fd + 1)
        at = &recs[*at - 1].ghost_next;
    *at = rec->ghost_next;
    lock_take(&rec->lock);
    netpoll_unwatch(rec, fd);
    rec->gen++;
    store_relaxed(&rec->flags, (uint16_t)0);
    rec->drained = 0;
    store_release(&rec->type, (uint8_t)FD_UNKNOWN); /* before the kernel may give the number away */
    lock_drop(&rec->lock);
    sys1(__NR_close, fd);
    lock_drop(&ghosts.lock); /* after it: fd_next_own keeps the program from closing what is no longer ours */
}

/* w out of its record's list; the last one out of a ghost ends it. */
static void leave(struct fdwaiter *w)
{
    struct fdrec *rec = lock_of(w);
    w->state = FDW_NONE;
    if (!rec)
        return;
    unlink_waiter(rec, w);
    bool last = unlikely(load_relaxed(&rec->flags) & FDF_GHOST) && --rec->ghost_calls == 0;
    lock_drop_plain(&rec->lock);
    if (last)
        ghost_end(rec);
}

void fdcall_unlink(struct fdcall *c)
{
    leave(&c->w);
}

void fd_unlink(struct fdwaiter *w)
{
    leave(w);
}

enum fd_link fd_link(struct fdwaiter *w)
{
    struct fdrec *rec = fd_rec(w->fd);
    if (!rec)
        return FDL_REFUSED;
    fd_type(rec, w->fd); /* files too: some can be polled (mqueues, /proc/mounts) */
    lock_take(&rec->lock);
    if (rec->type == FD_CLOSING || rec->type == FD_UNKNOWN) { /* or closed since its type was found */
        enum fd_link r = rec->type == FD_CLOSING ? FDL_REFUSED : FDL_CHANGED;
        lock_drop(&rec->lock);
        return r;
    }
    long r = netpoll_watch(rec, w->fd, w->dir);
    if (r < 0) {
        lock_drop(&rec->lock);
        return r == -EPERM ? FDL_NEVER : FDL_REFUSED;
    }
    link_waiter(rec, w);
    w->state = FDW_ARMED;
    bool same = (!(w->dir & DIR_IN) || rec->edges_in == w->edges_in) && (!(w->dir & DIR_OUT) || rec->edges_out == w->edges_out);
    lock_drop(&rec->lock);
    return same ? FDL_LINKED : FDL_CHANGED;
}

/* Under rec's lock: wake waiters of dir: those that only look all, the others one or all, or one that waits for its turn. None if one is
 * awake already and has not run yet: its call comes after this, finds what is there, and passes on. (With thousands that read one pipe each
 * byte leads here, twice: nobody behind the one is looked at.) */
enum whom { WAKE_ONE, WAKE_ALL, WAKE_TURN };
static uint32_t wake_waiters(struct fdrec *rec, uint8_t dir, enum whom whom, enum wake why, struct uthread **list)
{
    uint32_t n = 0;
    bool taken = false, all = whom == WAKE_ALL;
    for (struct fdwaiter *w = rec->head; w && (all || !taken); w = w->next) {
        if (whom == WAKE_TURN && (w->poll || !w->turn))
            continue;
        if (!(w->dir & dir))
            continue;
        taken = taken || w->state == FDW_WOKEN;
        if (w->state != FDW_ARMED)
            continue;
        struct uthread *u = w->u;
        if (w->poll) {
            if (wait_claim_or_mark(u, load_acquire(w->call_seq), why) != CLAIM_YES)
                continue;
        } else {
            if (!wait_claim(u, w->seq, why)) /* out of time, say: it makes no further call */
                continue;
            w->state = FDW_WOKEN;
            taken = true;
        }
        u->next = *list;
        *list = u;
        n++;
    }
    return n;
}

/* An edge for nobody, under rec's lock. Each costs whoever polls: an epoll instance whose owner waits in the kernel, a socket that went to an
 * event loop, would wake the poller for everything they get. So after some the descriptor is let go; who waits next
 * registers it anew, which reports what is there. */
static void edge_in_vain(struct fdrec *rec, int fd)
{
    enum { IN_VAIN = 8, IN_VAIN_OTHER = 2 };
    if (++rec->idle < (rec->type == FD_OTHER ? IN_VAIN_OTHER : IN_VAIN))
        return;
    rec->idle = 0;
    rec->drained = 0; /* no edge will tell of more */
    netpoll_unwatch(rec, fd);
    COUNT_SHARED(netpoll_drops);
}

void fd_prefetch(uint32_t fd, uint32_t step)
{
    if (fd >= FDS_MAX)
        return;
    struct fdrec *rec = &recs[fd];
    if (step == 0) {
        __builtin_prefetch(rec, 1);
        return;
    }
    struct uthread *u = load_relaxed(&rec->waits); /* a stale one harms nobody: structs stay mapped */
    if (!u)
        return;
    if (step == 1) {
        __builtin_prefetch(u, 1);
        __builtin_prefetch(&u->waitw, 1);
    } else {
        uthread_prefetch(u);
        __builtin_prefetch((char *)&load_relaxed(&rec->head)->dir, 1);
    }
}

uint32_t fd_event(uint32_t fd, uint32_t gen, uint32_t ev, struct uthread **list)
{
    if (fd >= FDS_MAX)
        return 0;
    struct fdrec *rec = &recs[fd];
    enum whom whom = ev & (EPOLLHUP | EPOLLERR | EPOLLRDHUP) ? WAKE_ALL : WAKE_ONE;
    uint32_t n = 0;
    lock_take(&rec->lock);
    if (rec->gen == gen) {
        if (ev & (EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) /* what was announced is more than data */
            __atomic_fetch_or(&rec->flags, FDF_URGENT, __ATOMIC_RELAXED);
        if (ev & (EPOLLIN | EPOLLPRI | EPOLLHUP | EPOLLERR | EPOLLRDHUP)) {
            store_release(&rec->edges_in, rec->edges_in + 1);
            n += wake_waiters(rec, DIR_IN, whom, WAKE_EVENT, list);
        }
        if (ev & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
            store_release(&rec->edges_out, rec->edges_out + 1);
            n += wake_waiters(rec, DIR_OUT, whom, WAKE_EVENT, list);
        }
        if (!rec->head && rec->watched)
            edge_in_vain(rec, (int)fd);
    }
    lock_drop_plain(&rec->lock);
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

static cold void wake_some(struct fdrec *rec, uint8_t dir, enum whom whom)
{
    struct uthread *list = NULL;
    hook_enter();
    lock_take(&rec->lock);
    wake_waiters(rec, dir, whom, WAKE_EVENT, &list);
    lock_drop(&rec->lock);
    ready_all(list);
    hook_exit();
}

void fd_pass_on_slow(struct fdrec *rec, uint8_t dir)
{
    wake_some(rec, dir, WAKE_ONE);
}

void fd_stir(struct fdrec *rec)
{
    if (load_relaxed(&rec->head))
        wake_some(rec, DIR_IN | DIR_OUT, WAKE_ALL);
}

/* ---- turns ---- */

enum wake fd_turn_take(struct fdcall *c, uint8_t dir, int64_t deadline, enum stats_wait why)
{
    for (;;) {
        struct fdrec *rec = c->rec;
        lock_take(&rec->lock);
        enum wake r = still_there(c, rec);
        if (r != WAKE_EVENT) {
            lock_drop(&rec->lock);
            return r;
        }
        if (!(rec->turn & dir)) {
            rec->turn |= dir;
            lock_drop(&rec->lock);
            return WAKE_EVENT;
        }
        lock_drop(&rec->lock);
        hook_enter();
        lock_take(&rec->lock);
        if ((rec->turn & dir) && (r = still_there(c, rec)) == WAKE_EVENT)
            r = wait_armed(c, rec, dir, deadline, why, true); /* fd_turn_end, or an edge, wakes us */
        else
            lock_drop(&rec->lock);
        hook_exit();
        if (r != WAKE_EVENT)
            return r;
    }
}

/* Who looked in vain wakes only one that waits for the turn, and so on: each of them looks, and then waits for an edge. */
void fd_turn_end(struct fdcall *c, uint8_t dir, bool took)
{
    struct fdrec *rec = c->rec;
    lock_take(&rec->lock);
    if (rec->gen == c->gen) /* else its number was closed meanwhile, and with it the turn */
        rec->turn &= (uint8_t)~dir;
    lock_drop(&rec->lock);
    if (load_relaxed(&rec->head))
        wake_some(rec, dir, took ? WAKE_ONE : WAKE_TURN);
}

/* ---- closing ---- */

/* Under rec's lock. Keep the file open for the calls in progress. GHOST_LATER: cannot be now. */
enum ghost { GHOST_MADE, GHOST_NONE, GHOST_LATER };
static cold enum ghost make_ghost(struct fdrec *rec, int fd, uint8_t type)
{
    lock_take(&ghosts.lock);
    int gfd = ghosts.ranges ? -1 : netpoll_dup_high(fd);
    struct fdrec *g = gfd >= 0 ? fd_rec(gfd) : NULL;
    if (!g) {
        enum ghost r = ghosts.ranges ? GHOST_LATER : GHOST_NONE;
        if (gfd >= 0)
            sys1(__NR_close, gfd);
        lock_drop(&ghosts.lock);
        return r;
    }
    uint8_t dirs = 0;
    netpoll_unwatch(rec, fd);
    lock_take(&g->lock);
    g->gen++;
    g->watched = g->turn = 0;
    g->drained = 0;
    g->ghost_calls = 0;
    store_relaxed(&g->flags,
                  (uint16_t)((rec->flags & (FDF_RCVTIMEO | FDF_SNDTIMEO | FDF_LOWAT | FDF_LOOK_IN | FDF_LOOK_OUT | FDF_URGENT)) | FDF_SHARED | FDF_GHOST));
    store_release(&g->type, type);
    for (struct fdwaiter *w = rec->head, *next; w; w = next) {
        next = w->next;
        unlink_waiter(rec, w);
        w->fd = gfd;
        if (w->state == FDW_ARMED)
            dirs |= w->dir;
        g->ghost_calls++;
        link_waiter(g, w);
    }
    netpoll_watch(g, gfd, dirs ? dirs : DIR_IN); /* says at once what is there already */
    g->ghost_next = ghosts.first;
    ghosts.first = gfd + 1;
    lock_drop(&g->lock);
    lock_drop(&ghosts.lock);
    return GHOST_MADE;
}

static bool settled(struct fdrec *rec)
{
    for (struct fdwaiter *w = rec->head, *next; w; w = next) {
        next = w->next;
        if (w->state == FDW_TRYING)
            return false;
        if (w->state == FDW_CALLING) /* it sees that it is linked nowhere */
            unlink_waiter(rec, w);
    }
    return true;
}

void fd_closing(struct fdrec *rec, int fd)
{
    struct uthread *list = NULL;
    lock_take(&rec->lock);
    uint8_t type = rec->type;
    store_release(&rec->gen, rec->gen + 1);
    store_release(&rec->type, (uint8_t)FD_CLOSING);
    enum ghost ghost = GHOST_MADE;
    while (unlikely(!settled(rec) /* they make their calls now, and are done in no time */
                    || (rec->head && (ghost = make_ghost(rec, fd, type)) == GHOST_LATER))) {
        lock_drop(&rec->lock);
        hook_enter();
        sched_yield_now();
        hook_exit();
        cpu_relax();
        lock_take(&rec->lock);
    }
    if (unlikely(ghost == GHOST_NONE)) {
        wake_waiters(rec, DIR_IN | DIR_OUT, WAKE_ALL, WAKE_CLOSED, &list);
        while (rec->head)
            unlink_waiter(rec, rec->head);
    }
    if (rec->watched && (load_relaxed(&rec->flags) & FDF_SHARED))
        netpoll_unwatch(rec, fd); /* the file may live on elsewhere */
    rec->watched = rec->turn = 0;
    store_relaxed(&rec->flags, (uint16_t)0);
    rec->drained = 0;
    lock_drop(&rec->lock);
    ready_all(list);
}

void fd_closed(struct fdrec *rec)
{
    cas(&rec->type, (uint8_t)FD_CLOSING, (uint8_t)FD_UNKNOWN); /* unless the number was given anew already (fd_made) */
}
cold void fd_mistaken(struct fdrec *rec, int fd)
{
    fd_closing(rec, fd);
    fd_closed(rec);
}

/* ---- the calls that change descriptors ---- */

bool fd_is_ours(int fd)
{
    struct fdrec *rec = fd_rec(fd);
    return netpoll_owns(fd) || (rec && (load_relaxed(&rec->flags) & FDF_GHOST));
}

long emul_close(struct frame *f)
{
    int fd = (int)f->rdi;
    struct fdrec *rec = fd_rec(fd);
    if (unlikely(fd_is_ours(fd)))
        return -EBADF;
    if (!rec)
        return native_sys(f);
    /* A socket that lingers: the number is free at once, the close of the file takes its time. */
    struct frame g = *f;
    if (unlikely(load_relaxed(&rec->flags) & FDF_LINGER) && (g.rdi = (uint64_t)(int64_t)netpoll_dup_high(fd), (int)g.rdi >= 0)) {
        fd_closing(rec, fd);
        sys1(__NR_close, fd);
        fd_closed(rec);
        long r = native_sys(&g);
        return r == -EBADF ? 0 : r; /* a close_range(2) of another thread had it */
    }
    fd_closing(rec, fd);
    long r = native_sys(f); /* may take long: a file that is flushed */
    fd_closed(rec);
    return r;
}

/* epoll does not tell of every end that shutdown(2) brings: a writer to a full Unix stream that cannot send any more. Nor does a
 * datagram socket that is asked without waiting (io.c, ended). */
long emul_shutdown(struct frame *f)
{
    long r = sys_intr(f);
    struct fdrec *rec = fd_rec((int)f->rdi);
    if (r == 0 && rec) {
        __atomic_fetch_or(&rec->flags, FDF_URGENT, __ATOMIC_RELAXED);
        fd_stir(rec);
    }
    return r;
}

/* The lowest descriptor of ours from a on; UINT32_MAX: none. */
static unsigned next_own(unsigned a)
{
    unsigned own = netpoll_next_own(a);
    lock_take(&ghosts.lock);
    for (int32_t at = ghosts.first; at; at = recs[at - 1].ghost_next)
        if ((unsigned)at - 1 >= a && (unsigned)at - 1 < own)
            own = (unsigned)at - 1;
    lock_drop(&ghosts.lock);
    return own;
}

/* What lies between ours; stops at the first error. */
static long close_all_but_ours(unsigned a, unsigned b, unsigned flags)
{
    for (;;) {
        unsigned own = next_own(a);
        long r = 0;
        if (own > b)
            return sys3(__NR_close_range, a, b, flags);
        if (own > a)
            r = sys3(__NR_close_range, a, own - 1, flags);
        if (r < 0 || own == b)
            return r;
        a = own + 1;
    }
}

static void count_range(uint32_t n)
{
    lock_take(&ghosts.lock);
    ghosts.ranges += n;
    lock_drop(&ghosts.lock);
}

long emul_close_range(struct frame *f)
{
    unsigned a = (unsigned)f->rdi, b = (unsigned)f->rsi, flags = (unsigned)f->rdx;
    if (a > b || (flags & ~6u))
        return sys_intr(f);
    if (flags & 2) /* CLOSE_RANGE_UNSHARE: a table of the worker's own, whoever runs there next; as unshare(CLONE_FILES) */
        return -EINVAL;
    if (flags & 4) /* CLOEXEC only */
        return sys_intr(f);
    unsigned top = load_relaxed(&high);
    for (unsigned i = a; i < top && i <= b; i++)
        if (!(load_relaxed(&recs[i].flags) & FDF_GHOST))
            fd_closing(&recs[i], (int)i);
    count_range(1);
    long r = close_all_but_ours(a, b, flags);
    count_range(UINT32_MAX);
    for (unsigned i = a; i < top && i <= b; i++)
        if (load_relaxed(&recs[i].type) == FD_CLOSING)
            fd_closed(&recs[i]);
    return r;
}

static void mark_shared(int fd)
{
    struct fdrec *rec = fd_rec(fd);
    if (rec)
        share(rec);
}

/* pidfd_getfd(2): a description that somebody has; it may be one of ours. */
long emul_pidfd_getfd(struct frame *f)
{
    mark_shared((int)f->rsi);
    long r = sys_intr(f);
    if (r >= 0)
        fd_made((int)r, FD_UNKNOWN, FDF_SHARED);
    return r;
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
    if (fd_is_ours(old) || fd_is_ours(new))
        return -EBADF;
    if (old == new || !rec)
        return native_sys(f);
    if (sys2(__NR_fcntl, old, 1 /* F_GETFD */) < 0)
        return -EBADF;
    fd_closing(rec, new);
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
        __atomic_fetch_and(&rec->flags, (uint16_t)~FDF_NONBLOCK, __ATOMIC_RELAXED);
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
        else if (opt == 13 /* SO_LINGER */)
            __atomic_fetch_or(&rec->flags, FDF_LINGER, __ATOMIC_RELAXED);
        else if (opt == 18 /* SO_RCVLOWAT */)
            __atomic_fetch_or(&rec->flags, FDF_LOWAT, __ATOMIC_RELAXED);
    } else if (r == 0 && rec && (int)f->rsi == 6 && (int)f->rdx == 31 /* TCP_ULP */)
        __atomic_fetch_or(&rec->flags, FDF_URGENT, __ATOMIC_RELAXED);
    return r;
}

long emul_socket(struct frame *f)
{
    long fd = sys_intr(f);
    if (fd >= 0)
        fd_made((int)fd, FD_UNKNOWN, (uint32_t)f->rsi & O_NONBLOCK ? FDF_NONBLOCK : 0);
    return fd;
}

/* socketpair(2), pipe(2), pipe2(2): two at once, which the kernel wrote to memory of the program's. */
static long made_two(long r, uint64_t where, bool nonblock)
{
    int32_t fds[2];
    if (r == 0 && !uaccess_copy(fds, (const void *)where, sizeof fds))
        for (int i = 0; i < 2; i++)
            fd_made(fds[i], FD_UNKNOWN, nonblock ? FDF_NONBLOCK : 0);
    return r;
}

long emul_socketpair(struct frame *f)
{
    return made_two(sys_intr(f), f->r10, (uint32_t)f->rsi & O_NONBLOCK);
}

long emul_pipe(struct frame *f)
{
    return made_two(sys_intr(f), f->rdi, f->nr == __NR_pipe2 && ((uint32_t)f->rsi & O_NONBLOCK));
}
