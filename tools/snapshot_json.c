/* A snapshot as one JSON object. */
#include "snapshot.h"

#include <jansson.h>
#include <string.h>

/* JSON integers of jansson are signed; a counter that big is a damaged page's. */
static json_t *integer(uint64_t n)
{
    return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

static json_t *text(const char *from, size_t length)
{
    char clean[1024];

    return json_string(clean_text(clean, sizeof clean, from, length));
}

static json_t *groups(const struct snapshot *s, const struct snapshot *before)
{
    double seconds = before ? (double)(s->taken_ns - before->taken_ns) / 1e9 : 0;
    json_t *all = json_object(), *group = NULL;

    for (unsigned i = 0; i < COUNTERS; i++) {
        if (!i || strcmp(counters[i].group, counters[i - 1].group)) {
            group = json_object();
            json_object_set_new(all, counters[i].group, group);
        }
        json_object_set_new(
            group, counters[i].label,
            before
                ? json_real(seconds > 0 ? (double)(s->counts[i] - before->counts[i]) / seconds : 0)
                : integer(s->counts[i]));
    }
    return all;
}

static json_t *procs(const struct snapshot *s)
{
    json_t *all = json_array();

    for (unsigned i = 0; i < s->nprocs; i++) {
        const struct proc_view *p = &s->procs[i];

        json_array_append_new(all,
                              json_pack("{s:i, s:s, s:I, s:I, s:o}", "id", (int)i, "state",
                                        proc_state_name(p->state), "runq", (json_int_t)p->runq,
                                        "timers", (json_int_t)p->timers, "worker",
                                        p->worker < 0 ? json_null() : json_integer(p->worker)));
    }
    return all;
}

static json_t *bound(uint64_t ns)
{
    return ns == UINT64_MAX ? json_null() : integer(ns); /* null: above the last bound */
}

static json_t *latency(const struct snapshot *s)
{
    json_t *buckets = json_array();

    for (unsigned i = 0; i < STATS_HIST_BUCKETS; i++)
        json_array_append_new(buckets, json_pack("{s:o, s:o}", "below_ns", bound(latency_bound(i)),
                                                 "count", integer(s->latency[i])));
    return json_pack("{s:i, s:o, s:o, s:o, s:o, s:o, s:o}", "sampled_one_in", 8, "count",
                     integer(latency_total(s->latency)), "p50_below_ns",
                     bound(latency_quantile(s->latency, 0.5)), "p90_below_ns",
                     bound(latency_quantile(s->latency, 0.9)), "p99_below_ns",
                     bound(latency_quantile(s->latency, 0.99)), "max_below_ns",
                     bound(latency_quantile(s->latency, 1)), "buckets", buckets);
}

static json_t *states(const unsigned *counts, unsigned n, const char *(*name)(unsigned))
{
    json_t *all = json_object();

    for (unsigned i = 1; i < n; i++) /* 0 is a free slot */
        json_object_set_new(all, name(i), integer(counts[i]));
    return all;
}

static json_t *options(const struct stats_header *h)
{
    json_t *all = json_object();
    char line[1024];

    for (const char *p = h->options; *p;) {
        size_t n = strcspn(p, "\n"), name;

        clean_text(line, sizeof line, p, n);
        name = strcspn(line, "=");
        if (line[name]) {
            line[name] = 0;
            json_object_set_new(all, line, json_string(line + name + 1));
        }
        p += n + (p[n] == '\n');
    }
    return all;
}

int snapshot_json(const struct snapshot *s, const struct snapshot *before, FILE *to)
{
    const struct stats_header *h = &s->h;
    json_t *root = json_pack("{s:i, s:o, s:o, s:s, s:o, s:o, s:o, s:o}", "pid", h->pid, "exe",
                             text(h->exe, sizeof h->exe), "version",
                             text(h->version_text, sizeof h->version_text), "state",
                             page_state_name(h->state), "reason", text(h->reason, sizeof h->reason),
                             "taken_ns", integer(s->taken_ns), "activated_ns",
                             integer(h->activated_ns), "activation_ns", integer(h->activation_ns));
    int error;

    if (!root)
        return -1;
    json_object_set_new(root, "sites",
                        json_pack("{s:I, s:I, s:I, s:I}", "total", (json_int_t)h->sites_total,
                                  "patched", (json_int_t)h->sites_patched, "native",
                                  (json_int_t)h->sites_native, "objects", (json_int_t)h->objects));
    json_object_set_new(root, "workers_live", integer(h->workers_live));
    json_object_set_new(root, "workers", states(s->workers, WORKER_STATES, worker_state_name));
    json_object_set_new(root, "uthreads_live", integer(h->uthreads_live));
    json_object_set_new(root, "uthreads", states(s->uthreads, UTHREAD_STATES, uthread_state_name));
    json_object_set_new(root, "uthreads_wired", integer(s->wired));
    json_object_set_new(root, "global_runq", integer(h->global_runq));
    json_object_set_new(root, "procs", procs(s));
    json_object_set_new(root, "latency", latency(s));
    json_object_set_new(root, "counters", groups(s, NULL));
    if (before)
        json_object_set_new(root, "rates", groups(s, before));
    json_object_set_new(root, "options", options(h));
    error = json_dumpf(root, to, JSON_COMPACT);
    json_decref(root);
    fputc('\n', to);
    return error;
}
