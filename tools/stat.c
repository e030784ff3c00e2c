/* handoff stat: what a process has done, once or every so often. */
#include "snapshot.h"

#include <errno.h>
#include <string.h>
#include <time.h>

enum format { FORMAT_TEXT, FORMAT_JSON, FORMAT_PROMETHEUS };

struct stat_arguments {
    pid_t pid;
    enum format format;
    uint64_t interval_ns; /* 0: once */
    unsigned long count;  /* 0: without end */
};

static const char *const formats[] = {"text", "json", "prom", NULL};

static int parse_format(const char *value, enum format *format)
{
    const char *nearest = nearest_word(value, formats);

    for (unsigned i = 0; formats[i]; i++)
        if (!strcmp(value, formats[i])) {
            *format = (enum format)i;
            return 0;
        }
    if (nearest)
        return usage_error(&command_stat, "--format=%s: unknown (did you mean %s?)", value,
                           nearest);
    return usage_error(&command_stat, "--format=%s: unknown; there are text, json and prom", value);
}

static int parse_count(const char *value, unsigned long *count)
{
    pid_t n;

    if (!parse_pid(value, &n))
        return usage_error(&command_stat, "--count=%s: not a number above 0", value);
    *count = (unsigned long)n;
    return 0;
}

/* 0, or ARG_STOP with the status to exit with. */
static int parse_arguments(int argc, char **argv, struct stat_arguments *s, int *status)
{
    static const struct flag flags[] = {{"interval", 'i', FLAG_NEEDS},
                                        {"format", 'f', FLAG_NEEDS},
                                        {"count", 'n', FLAG_NEEDS},
                                        {0}};
    struct args a;
    int arg;

    args_init(&a, &command_stat, flags, argc, argv);
    while ((arg = args_next(&a)) != ARG_END) {
        *status = 0;
        if (arg == ARG_STOP) {
            *status = a.status;
            return ARG_STOP;
        } else if (arg == ARG_WORD) {
            if (s->pid)
                *status = usage_error(&command_stat, "one process at a time, not also %s", a.value);
            else if (!parse_pid(a.value, &s->pid))
                *status = usage_error(&command_stat, "%s: not a process id", a.value);
        } else if (arg == 0) {
            if (!parse_interval(a.value, &s->interval_ns))
                *status = usage_error(
                    &command_stat, "--interval=%s: not seconds, such as 1, 0.5 or 200ms", a.value);
        } else if (arg == 1) {
            *status = parse_format(a.value, &s->format);
        } else {
            *status = parse_count(a.value, &s->count);
        }
        if (*status)
            return ARG_STOP;
    }
    if (!s->pid)
        *status = usage_error(&command_stat, "a process id is missing");
    else if (s->interval_ns && s->format == FORMAT_PROMETHEUS)
        *status = usage_error(&command_stat, "--format=prom is for one look at a time: no -i");
    return *status ? ARG_STOP : 0;
}

/* One look at the process; *alive is false when it has ended. */
static int look(const struct stat_arguments *a, struct snapshot *s, bool *alive)
{
    struct process p;
    struct page page;
    char why[1024];

    *alive = process_read(a->pid, &p) == 0 && !p.zombie;
    if (!*alive)
        return STATUS_NO;
    if (page_open(&page, &p, why, sizeof why)) {
        *alive = process_read(a->pid, &p) == 0 && !p.zombie;
        return *alive ? complain("%s", why) : STATUS_NO;
    }
    snapshot_take(&page, s);
    s->h.pid = a->pid; /* as it is called here, whatever its namespace says */
    page_close(&page);
    return STATUS_OK;
}

static void show(const struct stat_arguments *a, const struct snapshot *s,
                 const struct snapshot *before)
{
    if (a->format == FORMAT_JSON)
        snapshot_json(s, before, stdout);
    else if (a->format == FORMAT_PROMETHEUS)
        snapshot_prometheus(s, stdout);
    else
        snapshot_text(s, before, stdout);
}

static void wait_until(uint64_t ns)
{
    struct timespec t = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        ;
}

/* Shows the process every interval until it ends, or count times. */
static int repeat(const struct stat_arguments *a, struct snapshot *before)
{
    uint64_t next = now_ns();

    for (unsigned long i = 0; !a->count || i < a->count; i++) {
        struct snapshot s;
        bool alive;
        int status;

        next += a->interval_ns;
        wait_until(next);
        status = look(a, &s, &alive);
        if (status)
            return finish_output(alive ? status : STATUS_OK);
        if (i && a->format == FORMAT_TEXT)
            printf("\n");
        show(a, &s, before);
        snapshot_free(before);
        *before = s;
        if (finish_output(STATUS_OK))
            return STATUS_NO;
    }
    return STATUS_OK;
}

static int main_stat(int argc, char **argv)
{
    struct stat_arguments a = {0};
    struct snapshot s;
    bool alive;
    int status = 0;

    if (parse_arguments(argc, argv, &a, &status))
        return status;
    status = look(&a, &s, &alive);
    if (!alive)
        return complain("no process %d; `handoff ps` lists those under handoff", (int)a.pid);
    if (status)
        return status;
    if (a.interval_ns) {
        status = repeat(&a, &s);
    } else {
        show(&a, &s, NULL);
        status = finish_output(STATUS_OK);
    }
    snapshot_free(&s);
    return status;
}

const struct subcommand command_stat = {
    .name = "stat",
    .synopsis = "stat PID [-i SEC] [-n COUNT] [--format=text|json|prom]",
    .summary = "Counters, procs, workers, user threads and latencies of a process",
    .help = "  -i, --interval=SEC   repeat, with rates per second, until the process ends\n"
            "                       (1, 0.5, 200ms)\n"
            "  -n, --count=COUNT    repeat so many times\n"
            "  -f, --format=FORMAT  text; json: one object per line; prom: Prometheus text\n"
            "\n"
            "Exit status: 0; 1 there is no such process or it has no statistics; 2 usage.\n",
    .usage_status = STATUS_USAGE,
    .main = main_stat,
};
