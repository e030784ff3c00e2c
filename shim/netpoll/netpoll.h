/* Waiting for descriptors: one contract, epoll behind it.
 *
 * Each descriptor that somebody waited for is registered once, edge triggered; its record
 * (emul/fd.h) counts the edges per direction. Who wants to wait samples the count, tries the call,
 * and waits only if the count is still the same under the record's lock: so an edge between the try and
 * the wait is seen, and edges that come while nobody waits need no flag that somebody must clear.
 */
#ifndef HANDOFF_NETPOLL_H
#define HANDOFF_NETPOLL_H

#include "../base/base.h"
#include "../sched/sched.h"

enum { DIR_IN = 1, DIR_OUT = 2 };

struct fdrec;
/* A user thread's interest in one descriptor, linked to its record. Under the record's lock unless said otherwise. */
struct fdwaiter {
    struct fdwaiter *next, *prev;
    struct fdrec *rec;   /* changed under its lock when the call moves to a ghost: see fd.c, lock_of */
    struct uthread *u;
    uint64_t seq;        /* of the wait (!poll) */
    uint64_t *call_seq;  /* atomic: of the current wait (poll) */
    uint32_t edges_in, edges_out; /* as sampled before the try (poll) */
    int32_t fd;
    uint8_t dir;
    uint8_t state;       /* enum fdwait_state */
    bool turn;           /* waits for its turn, not for an edge */
    bool poll;           /* only looks: every edge wakes it; the others take turns */
};

int netpoll_init(void);

/* Make sure that edges of `dir` of fd are reported. 0 or -errno (-EPERM: not pollable). rec's lock held. */
int netpoll_watch(struct fdrec *rec, int fd, uint8_t dir);
/* No more reports of fd, which is about to be closed while its file stays open. rec's lock held. */
void netpoll_unwatch(struct fdrec *rec, int fd);
/* A duplicate of fd out of the program's sight: high, close-on-exec. -errno. */
int netpoll_dup_high(int fd);

/* Is fd one of ours? The program must not close it, nor put another in its place. */
bool netpoll_owns(int fd);
/* The lowest of ours from a on; UINT32_MAX: none. */
unsigned netpoll_next_own(unsigned a);

/* sched_up's: see sched.h. */
struct uthread *netpoll_collect(int64_t delta_ns, uint32_t *n);
void netpoll_break(void);

#endif
