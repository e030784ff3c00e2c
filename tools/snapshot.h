/* One look at a page: everything that `stat`, and `run --stats` at the end, report. */
#ifndef HANDOFF_SNAPSHOT_H
#define HANDOFF_SNAPSHOT_H

#include "page_reader.h"

struct counter {
    const char *name, *group, *label, *help;
};

enum {
#define COUNTER(name, group, label, help) COUNTER_##name,
#include "shim/counters.def"
#undef COUNTER
    COUNTERS
};

/* As in counters.def, the members of a group next to each other. */
extern const struct counter counters[COUNTERS];

struct proc_view {
    unsigned state, runq, timers;
    int worker;
};

struct snapshot {
    struct stats_header h;
    uint64_t taken_ns;
    uint64_t counts[COUNTERS]; /* over all procs and the shared set */
    uint64_t latency[STATS_HIST_BUCKETS];
    unsigned workers[WORKER_STATES];
    unsigned uthreads[UTHREAD_STATES];
    unsigned wired;
    unsigned nprocs;
    struct proc_view *procs; /* nprocs of them; snapshot_free */
};

void snapshot_take(const struct page *page, struct snapshot *s);
void snapshot_free(struct snapshot *s);

/* Below which time, ns, the given part (0..1) of the latencies lies: a bucket's upper bound;
 * UINT64_MAX for the last bucket, 0 if there are none. */
uint64_t latency_quantile(const uint64_t *latency, double part);
uint64_t latency_bound(unsigned bucket);
uint64_t latency_total(const uint64_t *latency);

/* `before`: NULL, or what to take rates against. Prints to `to`. */
void snapshot_text(const struct snapshot *s, const struct snapshot *before, FILE *to);

/* One JSON object on one line. 0, or -1 when it could not be built. */
int snapshot_json(const struct snapshot *s, const struct snapshot *before, FILE *to);

/* Prometheus text format, version 0.0.4. */
void snapshot_prometheus(const struct snapshot *s, FILE *to);

#endif
