/* What we know of each descriptor of the program. A record is found by number; close and dup2 reset it, and its
 * generation keeps late events of the descriptor's former self away.
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
    FD_PIPE,
    FD_FILE,    /* never blocks for long: regular files, /dev/null */
    FD_OTHER,   /* may block, made in system call state: ttys, eventfd, ... */
    FD_CLOSING, /* close(2) is under way */
};

enum {
    FDF_SHARED = 1,    /* its description may be known to others: ask the kernel for O_NONBLOCK */
    FDF_NONBLOCK = 2,  /* O_NONBLOCK, valid unless FDF_SHARED */
    FDF_RCVTIMEO = 4,
    FDF_SNDTIMEO = 8,
    FDF_URGENT = 16,   /* saw urgent data, an end or an error: short reads prove nothing */
    FDF_SERVED = 32,   /* accepted here */
};

struct fdrec {
    struct lock lock;
    uint32_t gen;
    uint8_t type;      /* enum fd_type; atomic */
    uint8_t flags;     /* FDF_*; atomic */
    uint8_t watched;   /* DIR_* that netpoll reports; under lock */
    uint8_t accepting; /* atomic: somebody is in accept */
    uint32_t edges_in, edges_out; /* atomic; changed under lock */
    uint32_t drained;             /* edges_in + 1 when a read last came short; 0: not known */
    struct fdwaiter *head, *tail; /* under lock */
} cacheline;
_Static_assert(sizeof(struct fdrec) == 64, "one cache line; entry.S shifts by 6");
_Static_assert(offsetof(struct fdrec, type) == FDREC_TYPE && FD_FILE == FD_FILE_TYPE, "entry.S");
extern struct fdrec *fd_recs; /* [FDS_MAX] */

/* NULL: a number we keep no record of. */
struct fdrec *fd_rec(int fd);
/* Its type, found out if need be. */
enum fd_type fd_type(struct fdrec *rec, int fd);
bool fd_nonblock(struct fdrec *rec, int fd);
/* fd is about to be closed or replaced: wake who waits, forget. fd_closed when that is done. */
void fd_closing(struct fdrec *rec);
void fd_closed(struct fdrec *rec);

/* Wait for an edge of `dir` after the count `edges`, until deadline. In hook state.
 * WAKE_EVENT: try again; WAKE_NONE: cannot be waited for here (make the call natively). */
enum wake fd_wait(struct fdrec *rec, int fd, uint8_t dir, uint32_t edges, int64_t deadline, enum stats_wait why);
/* Somebody took what an edge announced; another waiter may find more. */
void fd_pass_on(struct fdrec *rec, uint8_t dir);
/* An event for fd's generation gen. Appends readied user threads to *list. */
uint32_t fd_event(uint32_t fd, uint32_t gen, uint32_t events, struct uthread **list);

static inline uint32_t fd_edges(struct fdrec *rec, uint8_t dir)
{
    return dir == DIR_IN ? load_acquire(&rec->edges_in) : load_acquire(&rec->edges_out);
}

#endif
