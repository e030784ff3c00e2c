/* As much of a scheduler as its data structures need: procs and user threads, no worker runs. */
#ifndef HANDOFF_TEST_SCHED_SETUP_H
#define HANDOFF_TEST_SCHED_SETUP_H

#include <criterion/criterion.h>
#include <stdlib.h>

#include "shim/options.h"
#include "shim/sched/internal.h"
#include "shim/stats/stats.h"

static struct uthread *threads;

static void sched_setup(uint32_t nprocs, uint32_t nthreads)
{
    char *none[] = {NULL};
    options_parse(none, NULL); /* the defaults */
    options.stats = false;
    clock_begin(); /* a tick is not a nanosecond */
    cr_assert_eq(stats_init(nprocs, 1, nthreads), 0);
    clock_init();
    sched.nprocs = sched.nprocs_seen = sched.nprocs_most = nprocs;
    sched.procs = aligned_alloc(64, nprocs * sizeof *sched.procs);
    threads = aligned_alloc(64, nthreads * sizeof *threads);
    cr_assert(sched.procs && threads);
    memset(sched.procs, 0, nprocs * sizeof *sched.procs);
    memset(threads, 0, nthreads * sizeof *threads);
    for (uint32_t i = 0; i < nprocs; i++) {
        struct proc *p = &sched.procs[i];
        p->index = i;
        p->st = stats_proc(i);
        p->events = stats_ring(i);
        p->timer_min = INT64_MAX;
        p->rand = i + 1;
    }
    for (uint32_t i = 0; i < nthreads; i++) {
        threads[i].index = i;
        threads[i].pub = stats_uthread(i);
        threads[i].timer.index = -1;
    }
}

#endif
