/* The statistics page from the inside (layout: page.h), and the dump.
 *
 * Without a page (HANDOFF_STATS=0, no directory, dormant) the same structures lie in anonymous memory, so
 * nobody who counts has to ask.
 */
#ifndef HANDOFF_STATS_H
#define HANDOFF_STATS_H

#include "page.h"

struct event;

extern struct stats_header *stats;
extern struct stats_proc *stats_shared;

struct stats_proc *stats_proc(uint32_t i);
struct stats_worker *stats_worker(uint32_t i);
struct stats_uthread *stats_uthread(uint32_t i);
struct event *stats_ring(uint32_t i);

/* Ordinary user code. 0 or -errno; never fails for want of a file. */
int stats_init(uint32_t nprocs, uint32_t nworkers, uint32_t nuthreads);
/* Bytes of such a page. */
uint64_t stats_size(uint32_t nprocs, uint32_t nworkers, uint32_t nuthreads);
/* Kernel threads of the process now, by /proc/self/stat; 0 if it cannot be read. What else the page wants from there is kept for
 * stats_init: to read it takes 50 us. */
int stats_threads(void);
/* In a fork child: let go of the parent's page. */
void stats_reset(void);
/* Bring the counters that workers keep for themselves up to date. Any kernel thread. */
void stats_fold(void);
/* Remove the file. Any context. */
void stats_remove(void);

/* Write procs, workers, user threads and the last events to the log. Any context; takes no lock. */
void stats_dump(void);

/* How long a tick of the TSC is: measured from clock_begin to clock_init, which waits only if that was too
 * short a time. clock_begin also finds the vDSO. */
void clock_begin(void);
void clock_init(void);

#endif
