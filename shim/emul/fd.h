/* What we know of each descriptor of the program, and waiting for descriptors.
 *
 * A record is found by number; close and dup2 reset it, and its generation keeps late events of the descriptor's
 * former self away.
 *
 * A call in progress (struct fdcall) that has waited once stays linked to the record until it ends. Linux holds
 * a reference to the open file meanwhile, so that a close by another thread does not touch it; we do the same when, and only when,
 * somebody closes a descriptor with calls in progress: the open file is kept under another, private number (a
 * "ghost", high and close-on-exec) and the calls are moved there. The last of them closes it.
 */
#ifndef HANDOFF_FD_H
#define HANDOFF_FD_H

#include "../netpoll/netpoll.h"
#include "emul.h"

enum fd_type {
    FD_UNKNOWN,
    FD_TCP,     /* a stream whose short read means: nothing left */
    FD_STREAM,  /* other stream sockets */
    FD_DGRAM,   /* message sockets */
    FD_PIPE,    /* pipes, FIFOs */
    FD_FILE,    /* never blocks for long: regular files, /dev/null */
    FD_OTHER,   /* may block, and can be polled: ttys, eventfd, timerfd, signalfd, inotify, epoll, ... */
    FD_COMM,    /* the name of a thread, open for writing (procfs.c) */
    FD_CLOSING, /* close(2) is under way: whose file the number means is not known; calls on it are made natively */
};

enum {
    FDF_SHARED = 1,    /* its description may be known to others: ask the kernel for O_NONBLOCK */
    FDF_NONBLOCK = 2,  /* O_NONBLOCK, valid unless FDF_SHARED */
    FDF_RCVTIMEO = 4,
    FDF_SNDTIMEO = 8,
    FDF_URGENT = 16,   /* saw urgent data, an end or an error: short reads prove nothing */
    FDF_SERVED = 32,   /* made here: nobody else knows it yet */
    FDF_LOWAT = 64,    /* SO_RCVLOWAT above 1 */
    FDF_LOOK_IN = 128, /* cannot be read with RWF_NOWAIT: look whether it is ready, then call */
    FDF_LOOK_OUT = 256,
    FDF_EVENTFD = 4096, /* writing to it all but never waits */
    FDF_LINGER = 1024, /* SO_LINGER: close(2) may take long */
    FDF_LISTENS = 2048, /* SO_ACCEPTCONN: stays so */
    FDF_GHOST = 512,   /* keeps a closed file open for calls in progress; not the program's */
};

struct fdrec {
    struct lock lock;
    uint32_t gen;      /* atomic; changed under lock */
    uint8_t type;      /* enum fd_type; atomic */
    uint8_t watched;   /* DIR_* that netpoll reports; under lock */
    uint8_t turn;      /* DIR_*: somebody looks and calls (fd_turn_take); under lock */
    uint8_t idle;      /* edges since somebody last waited; under lock */
    uint16_t flags;    /* FDF_*; atomic */
    uint16_t writers;  /* atomic: calls in eventfd_write */
    uint32_t edges_in, edges_out; /* atomic; changed under lock */
    uint32_t drained;             /* edges_in + 1 when a read last came short; 0: not known */
    uint32_t ghost_calls;         /* of a ghost: calls moved here that have not ended; under lock */
    int32_t ghost_next;           /* of a ghost: the next one's number + 1 */
    struct fdwaiter *head, *tail; /* atomic (NULL or not) / under lock: calls in progress that waited */
    struct uthread *waits;        /* who waited last: a hint for fd_prefetch, atomic */
} cacheline;
_Static_assert(sizeof(struct fdrec) == 64, "one cache line; entry.S shifts by 6");
_Static_assert(offsetof(struct fdrec, type) == FDREC_TYPE && FD_FILE == FD_FILE_TYPE, "entry.S");
extern struct fdrec *fd_recs; /* [FDS_MAX] */

/* The program has an io_uring close numbers (uring.c), without a call that we see. A record may be of what its number
 * meant before: whether it blocks is asked of the kernel, and whether epoll watches it at each wait. Atomic; never cleared. */
extern uint32_t fd_doubt;
/* A ring was made, with these parameters of the program's; a descriptor was mapped; n entries will be submitted. From hook == 0. */
void uring_made(int fd, uint64_t params);
void uring_mapped(int fd, uint64_t offset, uint64_t at);
void uring_submits(int fd, uint32_t n, uint64_t flags);
void uring_reset(void); /* in a fork child */
/* A call on fd told that it is not what its record says. From hook == 0; may yield. */
void fd_mistaken(struct fdrec *rec, int fd);

/* NULL: a number we keep no record of. */
static inline struct fdrec *fd_rec(int fd)
{
    return likely((unsigned)fd < FDS_MAX) ? &fd_recs[fd] : NULL;
}
/* Its type, found out if need be. */
enum fd_type fd_type(struct fdrec *rec, int fd);
bool fd_nonblock(struct fdrec *rec, int fd);
/* What /proc calls it, "anon_inode:[...]": for what cannot be told otherwise. False without /proc. */
bool fd_is_called(int fd, const char *name);
static inline bool fd_is_socket(enum fd_type t)
{
    return t == FD_TCP || t == FD_STREAM || t == FD_DGRAM;
}
/* One of handoff's own, which the program does not know. */
bool fd_is_ours(int fd);
/* fd was just made by a call of ours: nobody else knows its description (else FDF_SHARED). type may be FD_UNKNOWN. */
void fd_made(int fd, enum fd_type type, uint16_t flags);
/* FDF_RCVTIMEO, FDF_SNDTIMEO: the socket has such a limit. */
uint16_t fd_timeos(int fd);

/* fd is about to be closed or replaced: move the calls in progress to a ghost, forget the rest; the file stays
 * as it is. From now until fd_closed, when it is closed, calls on the number are made natively and nothing is learnt about it.
 * From hook == 0; may yield. */
void fd_closing(struct fdrec *rec, int fd);
void fd_closed(struct fdrec *rec);

/* ---- a call in progress on one descriptor ---- */

/* Of a waiter, under its record's lock. */
enum fdwait_state {
    FDW_NONE,   /* not linked */
    FDW_TRYING, /* linked; its user thread makes the call now: its number must not be taken away */
    FDW_ARMED,  /* waits */
    FDW_WOKEN,  /* claimed by an edge, has not run yet */
    FDW_CALLING, /* linked; in the kernel, which holds the file */
};

struct fdcall {
    int fd;             /* what to make the call on: the program's number, or the ghost's */
    uint32_t gen;
    struct fdrec *rec;
    int8_t nonblock;    /* O_NONBLOCK as it was when it first mattered; -1: has not yet */
    struct fdwaiter w;
};

static inline void fdcall_begin(struct fdcall *c, int fd, struct fdrec *rec)
{
    c->fd = fd;
    c->rec = rec;
    c->gen = load_relaxed(&rec->gen);
    c->nonblock = -1;
    c->w.state = FDW_NONE;
    c->w.poll = false;
}
/* Is it not to wait? What another thread sets meanwhile is for later calls. */
static inline bool fdcall_nonblock(struct fdcall *c)
{
    if (c->nonblock < 0)
        c->nonblock = fd_nonblock(c->rec, c->fd);
    return c->nonblock;
}
void fdcall_unlink(struct fdcall *c);
/* The call will be made natively now, and may block: the kernel holds the file. */
void fdcall_native(struct fdcall *c);
static inline void fdcall_end(struct fdcall *c)
{
    if (unlikely(c->w.state != FDW_NONE))
        fdcall_unlink(c);
}

/* Let everybody who waits for fd try again (shutdown(2), of which epoll does not tell all). From hook == 0. */
void fd_stir(struct fdrec *rec);

/* Wait for an edge of `dir` after the count `edges`, until deadline. In hook state.
 * WAKE_EVENT: try again on c->fd, c->rec (they may be others than before); WAKE_NONE: cannot be waited for here
 * (make the call natively); WAKE_CLOSED: the number was closed before the call waited. */
enum wake fd_wait(struct fdcall *c, uint8_t dir, uint32_t edges, int64_t deadline, enum stats_wait why);

/* For calls that cannot be told not to block: one user thread at a time looks whether the descriptor is ready, then calls.
 * WAKE_EVENT: it is your turn. End it before any wait; `took`: the call was made. From hook == 0. */
enum wake fd_turn_take(struct fdcall *c, uint8_t dir, int64_t deadline, enum stats_wait why);
void fd_turn_end(struct fdcall *c, uint8_t dir, bool took);

/* Somebody took what an edge announced; another waiter may find more. From hook == 0. */
void fd_pass_on_slow(struct fdrec *rec, uint8_t dir);
static inline void fd_pass_on(struct fdrec *rec, uint8_t dir)
{
    if (unlikely(load_relaxed(&rec->head) != NULL))
        fd_pass_on_slow(rec, dir);
}

/* Likewise, by a call in progress on it: linked itself, it asks only for others. Who was linked before the edge that woke it is seen. */
static inline void fdcall_pass_on(struct fdcall *c, uint8_t dir)
{
    if (likely(c->w.state == FDW_NONE))
        fd_pass_on(c->rec, dir);
    else if (unlikely(load_relaxed(&c->w.next) || load_relaxed(&c->w.prev)))
        fd_pass_on_slow(c->rec, dir);
}

static inline uint32_t fd_edges(struct fdrec *rec, uint8_t dir)
{
    return dir == DIR_IN ? load_acquire(&rec->edges_in) : load_acquire(&rec->edges_out);
}

/* ---- waiting for many descriptors (ready.c) ---- */

/* Make w, whose u, poll, dir, fd, edges_* and call_seq are set, known to fd's record. */
enum fd_link { FDL_LINKED, FDL_CHANGED /* an edge came since w->edges_*, or not linked: look, then link what is not */, FDL_NEVER /* no waits on such */, FDL_REFUSED };
enum fd_link fd_link(struct fdwaiter *w);
void fd_unlink(struct fdwaiter *w);

/* May a user thread wait in the kernel, on its worker? Few may at a time, while there is nothing else to run here: it costs
 * less than the poller. The others park. From hook == 0. */
bool kernel_wait_enter(void);
void kernel_wait_leave(void);
void ready_reset(void); /* in a fork child */

/* An event for fd's generation gen. Appends readied user threads to *list. */
uint32_t fd_event(uint32_t fd, uint32_t gen, uint32_t events, struct uthread **list);
/* Have come what fd_event will touch: to be called for each of a batch with step 0, then with 1, then with 2. */
void fd_prefetch(uint32_t fd, uint32_t step);

#endif
