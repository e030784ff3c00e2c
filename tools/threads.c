/* handoff threads: every user thread of a process, and what it waits for. */
#include "descriptors.h"
#include "page_reader.h"

#include <jansson.h>
#include <string.h>

struct threads_arguments {
    pid_t pid;
    bool json;
    int state; /* -1: all */
};

/* What a user thread waits for, taken apart. */
struct wait {
    const char *kind; /* NULL: nothing */
    int64_t fd;       /* -1: none */
    char file[256];   /* what the descriptor is, or empty */
    char detail[64];  /* the rest, for a human */
};

static const char *const wait_names[WAIT_MAX] = {
    [WAIT_FUTEX] = "futex",   [WAIT_READ] = "read",       [WAIT_WRITE] = "write",
    [WAIT_ACCEPT] = "accept", [WAIT_CONNECT] = "connect", [WAIT_POLL] = "poll",
    [WAIT_SLEEP] = "sleep",   [WAIT_SIGNAL] = "signal",   [WAIT_SYSCALL] = "syscall",
    [WAIT_WORKER] = "proc",
};

static void describe_wait(const struct stats_uthread *t, struct descriptors *d, struct wait *w)
{
    char left[32];
    uint64_t now;
    const char *name;

    *w = (struct wait){.fd = -1};
    if (t->state == UTHREAD_RUNNING || t->state == UTHREAD_FREE || t->wait >= WAIT_MAX)
        return;
    w->kind = wait_names[t->wait];
    switch (t->wait) {
    case WAIT_FUTEX:
        snprintf(w->detail, sizeof w->detail, " 0x%llx", (unsigned long long)t->object);
        break;
    case WAIT_READ:
    case WAIT_WRITE:
    case WAIT_ACCEPT:
    case WAIT_CONNECT:
        w->fd = t->object <= INT32_MAX ? (int64_t)t->object : -1;
        if (w->fd >= 0) {
            snprintf(w->detail, sizeof w->detail, " fd %d", (int)w->fd);
            descriptor_text(d, w->fd, w->file, sizeof w->file);
        }
        break;
    case WAIT_POLL:
        snprintf(w->detail, sizeof w->detail, " %llu", (unsigned long long)t->object);
        break;
    case WAIT_SLEEP:
        now = now_ns();
        if (t->object > now && t->object <= INT64_MAX)
            snprintf(w->detail, sizeof w->detail, ", %s left",
                     format_duration(left, sizeof left, t->object - now));
        break;
    case WAIT_SYSCALL:
        name = syscall_name(t->object);
        if (name)
            snprintf(w->detail, sizeof w->detail, " %s", name);
        else
            snprintf(w->detail, sizeof w->detail, " %llu", (unsigned long long)t->object);
        break;
    default:
        break;
    }
}

static void print_text(const struct stats_uthread *t, const struct wait *w, uint64_t age)
{
    char name[32], since[32], worker[16];

    clean_text(name, sizeof name, t->name, sizeof t->name);
    snprintf(worker, sizeof worker, t->worker < 0 ? "-" : "%d%s", t->worker, t->wired ? "!" : "");
    printf("%10d  %-15s  %-8s  %8s  %6s  %s%s", t->tid, name, uthread_state_name(t->state),
           format_duration(since, sizeof since, age), worker, w->kind ? w->kind : "-", w->detail);
    if (*w->file)
        printf(" (%s)", w->file);
    putchar('\n');
}

static json_t *json_wait(const struct stats_uthread *t, const struct wait *w)
{
    json_t *o;

    if (!w->kind)
        return json_null();
    o = json_pack("{s:s}", "kind", w->kind);
    if (w->fd >= 0)
        json_object_set_new(o, "fd", json_integer(w->fd));
    if (*w->file)
        json_object_set_new(o, "file", json_string(w->file));
    if (t->wait == WAIT_FUTEX) {
        char address[24];

        snprintf(address, sizeof address, "0x%llx", (unsigned long long)t->object);
        json_object_set_new(o, "address", json_string(address));
    } else if (t->wait == WAIT_SYSCALL) {
        const char *name = syscall_name(t->object);

        json_object_set_new(o, "number", json_integer(t->object & INT64_MAX));
        json_object_set_new(o, "name", name ? json_string(name) : json_null());
    } else if (t->wait == WAIT_POLL || t->wait == WAIT_SLEEP) {
        json_object_set_new(o, t->wait == WAIT_POLL ? "object" : "deadline_ns",
                            json_integer(t->object & INT64_MAX));
    }
    return o;
}

static void print_json(const struct stats_uthread *t, const struct wait *w, uint64_t age,
                       bool first)
{
    char name[32];
    json_t *o = json_pack("{s:i, s:s, s:s, s:I, s:o, s:b, s:I, s:o}", "tid", t->tid, "name",
                          clean_text(name, sizeof name, t->name, sizeof t->name), "state",
                          uthread_state_name(t->state), "since_ns", (json_int_t)age, "worker",
                          t->worker < 0 ? json_null() : json_integer(t->worker), "wired",
                          (int)(t->wired != 0), "dispatches",
                          (json_int_t)(t->dispatches & INT64_MAX), "wait", json_wait(t, w));

    fputs(first ? "\n" : ",\n", stdout);
    json_dumpf(o, stdout, JSON_COMPACT);
    json_decref(o);
}

static int print_all(const struct threads_arguments *a, const struct page *page)
{
    struct stats_uthread block[256];
    struct descriptors d;
    uint64_t now = page_now();
    bool first = true;
    unsigned n;

    descriptors_init(&d, a->pid);
    if (a->json)
        putchar('[');
    else
        printf("%10s  %-15s  %-8s  %8s  %6s  %s\n", "TID", "NAME", "STATE", "SINCE", "WORKER",
               "WAITS FOR");
    for (unsigned from = 0; (n = page_uthreads(page, from, 256, block)) && !ferror(stdout);
         from += n)
        for (unsigned i = 0; i < n; i++) {
            const struct stats_uthread *t = &block[i];
            struct wait w;

            if (!t->tid || t->state == UTHREAD_FREE || t->state >= UTHREAD_STATES ||
                (a->state >= 0 && t->state != a->state))
                continue;
            describe_wait(t, &d, &w);
            if (a->json)
                print_json(t, &w, page_age(page, t->since, now), first);
            else
                print_text(t, &w, page_age(page, t->since, now));
            first = false;
        }
    if (a->json)
        puts("\n]");
    descriptors_free(&d);
    return finish_output(STATUS_OK);
}

static int parse_state(const char *value, int *state)
{
    const char *names[UTHREAD_STATES];
    const char *nearest;

    for (unsigned i = UTHREAD_FREE + 1; i < UTHREAD_STATES; i++) {
        names[i - 1] = uthread_state_name(i);
        if (!strcmp(value, names[i - 1])) {
            *state = (int)i;
            return 0;
        }
    }
    names[UTHREAD_STATES - 1] = NULL;
    nearest = nearest_word(value, names);
    if (nearest)
        return usage_error(&command_threads, "--state=%s: unknown (did you mean %s?)", value,
                           nearest);
    return usage_error(&command_threads,
                       "--state=%s: unknown; there are runnable, running, syscall, parked, exiting",
                       value);
}

static int parse_arguments(int argc, char **argv, struct threads_arguments *t, int *status)
{
    static const struct flag flags[] = {{"json", 0, FLAG_ALONE}, {"state", 's', FLAG_NEEDS}, {0}};
    struct args a;
    int arg;

    args_init(&a, &command_threads, flags, argc, argv);
    while ((arg = args_next(&a)) != ARG_END) {
        *status = 0;
        if (arg == ARG_STOP) {
            *status = a.status;
            return ARG_STOP;
        } else if (arg == ARG_WORD) {
            if (t->pid)
                *status =
                    usage_error(&command_threads, "one process at a time, not also %s", a.value);
            else if (!parse_pid(a.value, &t->pid))
                *status = usage_error(&command_threads, "%s: not a process id", a.value);
        } else if (arg == 0) {
            t->json = true;
        } else {
            *status = parse_state(a.value, &t->state);
        }
        if (*status)
            return ARG_STOP;
    }
    if (!t->pid)
        *status = usage_error(&command_threads, "a process id is missing");
    return *status ? ARG_STOP : 0;
}

static int main_threads(int argc, char **argv)
{
    struct threads_arguments a = {.state = -1};
    struct process p;
    struct page page;
    char why[1024];
    int status = 0;

    if (parse_arguments(argc, argv, &a, &status))
        return status;
    if (process_read(a.pid, &p) || p.zombie)
        return complain("no process %d; `handoff ps` lists those under handoff", (int)a.pid);
    if (page_open(&page, &p, why, sizeof why))
        return complain("%s", why);
    status = print_all(&a, &page);
    page_close(&page);
    return status;
}

const struct subcommand command_threads = {
    .name = "threads",
    .synopsis = "threads PID [--state=STATE] [--json]",
    .summary = "Every user thread of a process, what it waits for and since when",
    .help = "  -s, --state=STATE  only these: runnable, running, syscall, parked, exiting\n"
            "      --json         an array of objects\n"
            "\n"
            "SINCE is the time in the present state; a ! behind the worker marks a user thread\n"
            "that is bound to it.\n"
            "Exit status: 0; 1 there is no such process or it has no statistics; 2 usage.\n",
    .usage_status = STATUS_USAGE,
    .main = main_threads,
};
