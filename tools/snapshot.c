#include "snapshot.h"

#include <stdlib.h>
#include <string.h>

const struct counter counters[COUNTERS] = {
#define COUNTER(name, group, label, help) {#name, #group, label, help},
#include "shim/counters.def"
#undef COUNTER
};

static void add_proc(struct snapshot *s, const struct stats_proc *p)
{
#define COUNTER(name, group, label, help) s->counts[COUNTER_##name] += p->name;
#include "shim/counters.def"
#undef COUNTER
    for (unsigned b = 0; b < STATS_HIST_BUCKETS; b++)
        s->latency[b] += p->latency[b];
}

static void take_procs(const struct page *page, struct snapshot *s)
{
    struct stats_proc block[16];
    unsigned total = page->h.nprocs_max + 1, n;

    s->procs = calloc(page->h.nprocs + 1u, sizeof *s->procs);
    for (unsigned first = 0; first < total; first += n) {
        n = page_procs(page, first, 16, block);
        if (!n)
            break;
        for (unsigned i = 0; i < n; i++) {
            add_proc(s, &block[i]);
            if (first + i < page->h.nprocs && s->procs)
                s->procs[s->nprocs++] = (struct proc_view){block[i].state, block[i].runq,
                                                           block[i].timers, block[i].worker};
        }
    }
}

static void take_workers(const struct page *page, struct snapshot *s)
{
    struct stats_worker block[256];
    unsigned n;

    for (unsigned first = 0; (n = page_workers(page, first, 256, block)); first += n)
        for (unsigned i = 0; i < n; i++)
            if (block[i].state < WORKER_STATES)
                s->workers[block[i].state]++;
}

static void take_uthreads(const struct page *page, struct snapshot *s)
{
    struct stats_uthread block[256];
    unsigned n;

    for (unsigned first = 0; (n = page_uthreads(page, first, 256, block)); first += n)
        for (unsigned i = 0; i < n; i++)
            if (block[i].tid && block[i].state < UTHREAD_STATES) {
                s->uthreads[block[i].state]++;
                s->wired += block[i].state != UTHREAD_FREE && block[i].wired;
            }
}

void snapshot_take(const struct page *page, struct snapshot *s)
{
    memset(s, 0, sizeof *s);
    s->h = page->h;
    s->taken_ns = now_ns();
    take_procs(page, s);
    take_workers(page, s);
    take_uthreads(page, s);
}

void snapshot_free(struct snapshot *s)
{
    free(s->procs);
    s->procs = NULL;
}

uint64_t latency_bound(unsigned bucket)
{
    return bucket + 1 < STATS_HIST_BUCKETS ? 64ull << bucket : UINT64_MAX;
}

uint64_t latency_total(const uint64_t *latency)
{
    uint64_t total = 0;

    for (unsigned b = 0; b < STATS_HIST_BUCKETS; b++)
        total += latency[b];
    return total;
}

uint64_t latency_quantile(const uint64_t *latency, double part)
{
    double wanted = (double)latency_total(latency) * part, seen = 0;
    unsigned b, last = 0;

    for (b = 0; b < STATS_HIST_BUCKETS; b++) {
        if (!latency[b])
            continue;
        last = b + 1;
        seen += (double)latency[b];
        if (seen >= wanted)
            break;
    }
    return last ? latency_bound(last - 1) : 0;
}
