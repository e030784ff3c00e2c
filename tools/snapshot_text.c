/* A snapshot for a human. */
#include "snapshot.h"

#include <string.h>

static const char *number(char *to, size_t size, uint64_t n)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n);
    size_t used = 0;

    for (int i = 0; i < length && used + 2 < size; i++) { /* 12 345 678: thin groups of three */
        if (i && (length - i) % 3 == 0)
            to[used++] = ' ';
        to[used++] = digits[i];
    }
    to[used] = 0;
    return to;
}

static void print_head(const struct snapshot *s, FILE *to)
{
    char exe[512], version[64], reason[512], a[32];
    const struct stats_header *h = &s->h;

    clean_text(exe, sizeof exe, h->exe, sizeof h->exe);
    clean_text(version, sizeof version, h->version_text, sizeof h->version_text);
    fprintf(to, "process %d  %s  handoff %s  %s\n", h->pid, exe, version,
            page_state_name(h->state));
    if (*h->reason)
        fprintf(to, "reason: %s\n", clean_text(reason, sizeof reason, h->reason, sizeof h->reason));
    if (h->activated_ns) {
        uint64_t up = s->taken_ns > h->activated_ns ? s->taken_ns - h->activated_ns : 0;

        fprintf(to, "active for %s", format_duration(a, sizeof a, up));
        fprintf(to, "; activation took %s\n", format_duration(a, sizeof a, h->activation_ns));
    }
    fprintf(to, "sites: %u in %u objects, %u patched, %u left native\n", h->sites_total, h->objects,
            h->sites_patched, h->sites_native);
}

static void print_states(const struct snapshot *s, FILE *to)
{
    fprintf(to, "\nworkers: %u live", s->h.workers_live);
    for (unsigned i = WORKER_FREE + 1; i < WORKER_STATES; i++)
        fprintf(to, ", %u %s", s->workers[i], worker_state_name(i));
    fprintf(to, "\nuser threads: %u live", s->h.uthreads_live);
    for (unsigned i = UTHREAD_FREE + 1; i < UTHREAD_STATES; i++)
        fprintf(to, ", %u %s", s->uthreads[i], uthread_state_name(i));
    fprintf(to, "; %u wired\n", s->wired);
    fprintf(to, "global run queue: %u\n", s->h.global_runq);
}

static void print_procs(const struct snapshot *s, FILE *to)
{
    char worker[16];

    fprintf(to, "\n%-5s %-8s %6s %7s %7s\n", "proc", "state", "runq", "timers", "worker");
    for (unsigned i = 0; i < s->nprocs; i++) {
        const struct proc_view *p = &s->procs[i];

        snprintf(worker, sizeof worker, p->worker < 0 ? "-" : "%d", p->worker);
        fprintf(to, "%-5u %-8s %6u %7u %7s\n", i, proc_state_name(p->state), p->runq, p->timers,
                worker);
    }
}

static void print_counters(const struct snapshot *s, const struct snapshot *before, FILE *to)
{
    double seconds = before ? (double)(s->taken_ns - before->taken_ns) / 1e9 : 0;
    char n[40];

    for (unsigned i = 0; i < COUNTERS; i++) {
        if (!i || strcmp(counters[i].group, counters[i - 1].group))
            fprintf(to, "\n%s%s\n", counters[i].group, before && !i ? "  (total, per second)" : "");
        fprintf(to, "  %-14s %16s", counters[i].label, number(n, sizeof n, s->counts[i]));
        if (before)
            fprintf(to, " %13.0f/s",
                    seconds > 0 ? (double)(s->counts[i] - before->counts[i]) / seconds : 0.0);
        fprintf(to, "  %s\n", counters[i].help);
    }
}

static const char *bound_text(char *to, size_t size, uint64_t bound)
{
    char d[32];

    if (bound == UINT64_MAX)
        snprintf(to, size, ">= %s",
                 format_duration(d, sizeof d, latency_bound(STATS_HIST_BUCKETS - 2)));
    else
        snprintf(to, size, "< %s", format_duration(d, sizeof d, bound));
    return to;
}

static void print_latency(const uint64_t *latency, FILE *to)
{
    static const struct {
        const char *name;
        double part;
    } quantiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"max", 1}};
    uint64_t total = latency_total(latency), most = 1;
    char b[48];

    fprintf(to, "\nready to running, %llu sampled (1 in 8)", (unsigned long long)total);
    for (unsigned i = 0; total && i < sizeof quantiles / sizeof quantiles[0]; i++)
        fprintf(to, "%s %s %s", i ? "," : ":", quantiles[i].name,
                bound_text(b, sizeof b, latency_quantile(latency, quantiles[i].part)));
    fputc('\n', to);
    for (unsigned i = 0; i < STATS_HIST_BUCKETS; i++)
        if (latency[i] > most)
            most = latency[i];
    for (unsigned i = 0; i < STATS_HIST_BUCKETS; i++)
        if (latency[i]) {
            unsigned width = (unsigned)((double)latency[i] / (double)most * 40 + 0.5);

            fprintf(to, "  %10s %12llu %.*s\n", bound_text(b, sizeof b, latency_bound(i)),
                    (unsigned long long)latency[i], (int)(width ? width : 1),
                    "########################################");
        }
}

void snapshot_text(const struct snapshot *s, const struct snapshot *before, FILE *to)
{
    uint64_t latency[STATS_HIST_BUCKETS];

    for (unsigned i = 0; i < STATS_HIST_BUCKETS; i++)
        latency[i] = s->latency[i] - (before ? before->latency[i] : 0);
    print_head(s, to);
    print_states(s, to);
    print_procs(s, to);
    print_latency(latency, to);
    print_counters(s, before, to);
}
