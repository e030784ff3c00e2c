/* A snapshot in the Prometheus text format 0.0.4: each family in one block, HELP and TYPE first.
 * https://prometheus.io/docs/instrumenting/exposition_formats/ */
#include "snapshot.h"

#include <string.h>

struct out {
    FILE *to;
    char labels[1200]; /* of every sample: pid and program */
};

/* Label values: backslash, quote and newline are escaped; clean_text leaves no newline. */
static void escape(char *to, size_t size, const char *from)
{
    size_t used = 0;

    for (; *from && used + 2 < size; from++) {
        if (*from == '\\' || *from == '"')
            to[used++] = '\\';
        to[used++] = *from;
    }
    to[used] = 0;
}

static void family(struct out *o, const char *name, const char *type, const char *help)
{
    fprintf(o->to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void sample(struct out *o, const char *name, const char *label, const char *value,
                   uint64_t n)
{
    fprintf(o->to, "%s{%s", name, o->labels);
    if (label)
        fprintf(o->to, ",%s=\"%s\"", label, value);
    fprintf(o->to, "} %llu\n", (unsigned long long)n);
}

static void gauge(struct out *o, const char *name, const char *help, uint64_t n)
{
    family(o, name, "gauge", help);
    sample(o, name, NULL, NULL, n);
}

static void put_counters(struct out *o, const struct snapshot *s)
{
    char name[64], help[1024];

    for (unsigned i = 0; i < COUNTERS; i++) {
        snprintf(name, sizeof name, "handoff_%s_total", counters[i].group);
        if (!i || strcmp(counters[i].group, counters[i - 1].group)) {
            size_t used = 0;

            for (unsigned j = i; j < COUNTERS && !strcmp(counters[j].group, counters[i].group); j++)
                used += (size_t)snprintf(help + used, used < sizeof help ? sizeof help - used : 0,
                                         "%s%s: %s", j > i ? "; " : "", counters[j].label,
                                         counters[j].help);
            family(o, name, "counter", help);
        }
        sample(o, name, "kind", counters[i].label, s->counts[i]);
    }
}

static void put_states(struct out *o, const char *name, const char *help, const unsigned *counts,
                       unsigned n, const char *(*state)(unsigned))
{
    family(o, name, "gauge", help);
    for (unsigned i = 1; i < n; i++)
        sample(o, name, "state", state(i), counts[i]);
}

static void put_procs(struct out *o, const struct snapshot *s)
{
    static const struct {
        const char *name, *help;
        size_t offset;
    } fields[] = {
        {"handoff_proc_runq_length", "user threads on the proc's run queue",
         offsetof(struct proc_view, runq)},
        {"handoff_proc_timers_pending", "timers pending on the proc",
         offsetof(struct proc_view, timers)},
    };
    unsigned states[PROC_STATES] = {0};
    char id[16];

    for (unsigned f = 0; f < sizeof fields / sizeof fields[0]; f++) {
        family(o, fields[f].name, "gauge", fields[f].help);
        for (unsigned i = 0; i < s->nprocs; i++) {
            snprintf(id, sizeof id, "%u", i);
            sample(o, fields[f].name, "proc", id,
                   *(const unsigned *)((const char *)&s->procs[i] + fields[f].offset));
        }
    }
    for (unsigned i = 0; i < s->nprocs; i++)
        if (s->procs[i].state < PROC_STATES)
            states[s->procs[i].state]++;
    family(o, "handoff_live_procs", "gauge", "procs by state");
    for (unsigned i = 0; i < PROC_STATES; i++)
        sample(o, "handoff_live_procs", "state", proc_state_name(i), states[i]);
}

static void put_latency(struct out *o, const struct snapshot *s)
{
    static const char name[] = "handoff_ready_latency_seconds";
    uint64_t total = 0;
    double sum = 0;

    family(o, name, "histogram",
           "time from ready to running, 1 in 8 sampled; the sum is estimated from the buckets");
    for (unsigned i = 0; i < STATS_HIST_BUCKETS; i++) {
        double middle = 48e-9 * (double)(1ull << i); /* of 32 << i and 64 << i ns */

        total += s->latency[i];
        sum += middle * (double)s->latency[i];
        fprintf(o->to, "%s_bucket{%s,le=\"", name, o->labels);
        if (i + 1 < STATS_HIST_BUCKETS)
            fprintf(o->to, "%.10g", (double)latency_bound(i) / 1e9);
        else
            fprintf(o->to, "+Inf");
        fprintf(o->to, "\"} %llu\n", (unsigned long long)total);
    }
    fprintf(o->to, "%s_sum{%s} %.9g\n", name, o->labels, sum);
    fprintf(o->to, "%s_count{%s} %llu\n", name, o->labels, (unsigned long long)total);
}

void snapshot_prometheus(const struct snapshot *s, FILE *to)
{
    const struct stats_header *h = &s->h;
    const char *slash;
    char program[512], escaped[1024];
    struct out o = {.to = to};

    clean_text(program, sizeof program, h->exe, sizeof h->exe);
    slash = strrchr(program, '/');
    escape(escaped, sizeof escaped, slash ? slash + 1 : program);
    snprintf(o.labels, sizeof o.labels, "pid=\"%d\",program=\"%s\"", h->pid, escaped);

    gauge(&o, "handoff_active", "1 if the process runs under handoff", h->state == STATS_ACTIVE);
    family(&o, "handoff_activation_seconds", "gauge", "how long activation took");
    fprintf(to, "handoff_activation_seconds{%s} %.9f\n", o.labels, (double)h->activation_ns / 1e9);
    put_counters(&o, s);
    put_latency(&o, s);
    put_procs(&o, s);
    put_states(&o, "handoff_live_workers", "workers by state", s->workers, WORKER_STATES,
               worker_state_name);
    put_states(&o, "handoff_live_threads", "user threads by state", s->uthreads, UTHREAD_STATES,
               uthread_state_name);
    gauge(&o, "handoff_wired_threads", "user threads bound to their worker", s->wired);
    gauge(&o, "handoff_global_runq_length", "user threads on the global run queue", h->global_runq);
    gauge(&o, "handoff_sites", "syscall instructions found", h->sites_total);
    gauge(&o, "handoff_sites_patched", "syscall instructions handled", h->sites_patched);
    gauge(&o, "handoff_sites_native", "syscall instructions left as they are", h->sites_native);
    gauge(&o, "handoff_objects", "loaded objects looked at", h->objects);
}
