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
struct fdwaiter {
    struct fdwaiter *next, *prev;
    struct fdrec *rec; /* NULL once out of the list; under rec's lock */
    struct uthread *u;
    uint64_t seq;
    uint8_t dir;
    bool poll;         /* only looks: every edge wakes it; the others take turns */
};

int netpoll_init(void);

/* Make sure that edges of `dir` of fd are reported. 0 or -errno (-EPERM: not pollable). rec's lock held. */
int netpoll_watch(struct fdrec *rec, int fd, uint8_t dir);

/* Is fd one of ours? The program must not close it, nor put another in its place. */
bool netpoll_owns(int fd);
/* run(lo, hi, flags) for the parts of [a, b] that are not ours; stops at the first error. */
long netpoll_except(unsigned a, unsigned b, long (*run)(unsigned lo, unsigned hi, unsigned flags), unsigned flags);

/* sched_up's: see sched.h. */
struct uthread *netpoll_collect(int64_t delta_ns, uint32_t *n);
void netpoll_break(void);

#endif
