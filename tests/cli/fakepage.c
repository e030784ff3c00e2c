/* A process with a made-up statistics page, for the tests of the command.
 *
 *   fakepage [NAME=VALUE]...
 *
 * Makes the page of its own pid where the library would ($XDG_RUNTIME_DIR/handoff/PID), prints
 * "ready", and then obeys stdin: "tick" adds 100 to every counter and prints "ok"; "abort" ends it
 * with the page left behind; end of file removes the page and ends it.
 *
 *   threads=N    user threads (default 8: one for each wait)    state=N   enum stats_state
 *   damage=WHAT  short empty magic version stride offset count wild strings
 *   start=N      a false start_time      pid=N  a false pid      exe=TEXT  reason=TEXT
 */
#define _GNU_SOURCE
#include "shim/stats/page.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PROCS = 4, WORKERS = 64, COUNTERS = offsetof(struct stats_proc, latency) / 8 };

struct settings {
    unsigned threads, state;
    const char *damage, *exe, *reason;
    unsigned long long start;
    int pid;
};

static char *base;
static size_t length;

static struct stats_header *header(void)
{
    return (struct stats_header *)base;
}

static struct stats_proc *procs(void)
{
    return (struct stats_proc *)(base + header()->procs_off);
}

static struct stats_uthread *uthreads(void)
{
    return (struct stats_uthread *)(base + header()->uthreads_off);
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static unsigned long long start_time(void)
{
    static char buf[4096];
    FILE *f = fopen("/proc/self/stat", "r");
    char *p;

    if (!f || !fgets(buf, sizeof buf, f))
        abort();
    fclose(f);
    p = strrchr(buf, ')');
    for (int field = 2; field < 22; field++)
        p = strchr(p + 1, ' ');
    return strtoull(p, NULL, 10);
}

/* Ticks per ns, by waiting a moment. */
static void set_clock(struct stats_header *h)
{
    uint64_t t0 = __builtin_ia32_rdtsc(), n0 = now_ns(), t1, n1;

    do
        n1 = now_ns();
    while (n1 - n0 < 20000000);
    t1 = __builtin_ia32_rdtsc();
    h->tsc_base = t0;
    h->ns_base = n0;
    h->tsc_mult = (uint64_t)(((unsigned __int128)(n1 - n0) << 32) / (t1 - t0));
}

static void fill_header(const struct settings *s)
{
    struct stats_header *h = header();

    h->magic = STATS_MAGIC;
    h->version = STATS_VERSION;
    h->size = sizeof *h;
    h->pid = s->pid ? s->pid : getpid();
    h->start_time = s->start ? s->start : start_time();
    h->state = s->state;
    h->activated_ns = now_ns();
    h->activation_ns = 1234567;
    set_clock(h);
    h->procs_off = 4096;
    h->proc_stride = sizeof(struct stats_proc);
    h->nprocs = 2;
    h->nprocs_max = PROCS;
    h->workers_off = h->procs_off + (PROCS + 1) * sizeof(struct stats_proc);
    h->worker_stride = sizeof(struct stats_worker);
    h->nworkers_max = WORKERS;
    h->workers_hwm = 6;
    h->workers_live = 5;
    h->uthreads_off = h->workers_off + WORKERS * sizeof(struct stats_worker);
    h->uthread_stride = sizeof(struct stats_uthread);
    h->nuthreads_max = s->threads;
    h->uthreads_hwm = s->threads;
    h->uthreads_live = s->threads;
    h->global_runq = 3;
    h->sites_total = 571;
    h->sites_patched = 560;
    h->sites_native = 11;
    h->objects = 2;
    strcpy(h->version_text, "0.1-fake");
    snprintf(h->exe, sizeof h->exe, "%s", s->exe);
    snprintf(h->reason, sizeof h->reason, "%s", s->reason);
    strcpy(h->options, "ENABLE=1\nPROCS=2\nRETAKE=20us\nLOG=warn\n");
}

/* Counter i holds 1000 i in proc 0, 1 in proc 1 and 2 in the shared set. */
static void fill_procs(void)
{
    for (unsigned i = 0; i <= PROCS; i++)
        procs()[i].worker = -1;
    for (unsigned c = 0; c < COUNTERS; c++) {
        ((uint64_t *)&procs()[0])[c] = 1000 * c;
        ((uint64_t *)&procs()[1])[c] = 1;
        ((uint64_t *)&procs()[PROCS])[c] = 2;
    }
    procs()[0].state = PROC_RUNNING;
    procs()[0].runq = 7;
    procs()[0].timers = 9;
    procs()[0].worker = 1;
    procs()[0].latency[0] = 50; /* p50: 64 ns */
    procs()[1].latency[4] = 45; /* p90: 1024 ns */
    procs()[1].latency[STATS_HIST_BUCKETS - 1] = 5;
}

static void fill_workers(void)
{
    struct stats_worker *w = (struct stats_worker *)(base + header()->workers_off);

    for (unsigned i = 0; i < WORKERS; i++)
        w[i] = (struct stats_worker){.state = i < 6 ? i : 0, .proc = -1, .sysno = -1};
}

/* A listening socket, a connection to it and its other end. */
static void make_sockets(int fd[3])
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;

    fd[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(fd[0], (struct sockaddr *)&a, n) || listen(fd[0], 5) ||
        getsockname(fd[0], (struct sockaddr *)&a, &n))
        abort();
    fd[1] = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd[1], (struct sockaddr *)&a, n))
        abort();
    fd[2] = accept(fd[0], NULL, NULL);
}

static void fill_uthreads(unsigned count)
{
    struct stats_uthread *u = uthreads();
    int fd[3];

    make_sockets(fd);
    for (unsigned i = 0; i < count; i++) {
        u[i] = (struct stats_uthread){.tid = i ? (1 << 22) + (int)i : getpid(),
                                      .state = UTHREAD_PARKED,
                                      .since = __builtin_ia32_rdtsc(),
                                      .worker = -1,
                                      .dispatches = i};
        snprintf(u[i].name, sizeof u[i].name, "thread-%u", i % 100000);
        switch (i % 8) {
        case 0:
            u[i].state = UTHREAD_RUNNING;
            u[i].worker = 1;
            u[i].wired = 1;
            break;
        case 1:
            u[i].wait = WAIT_FUTEX;
            u[i].object = 0x7f0012345678;
            break;
        case 2:
            u[i].wait = WAIT_READ;
            u[i].object = (unsigned)fd[2];
            break;
        case 3:
            u[i].wait = WAIT_ACCEPT;
            u[i].object = (unsigned)fd[0];
            break;
        case 4:
            u[i].wait = WAIT_SLEEP;
            u[i].object = now_ns() + 3600000000000;
            break;
        case 5:
            u[i].state = UTHREAD_SYSCALL;
            u[i].wait = WAIT_SYSCALL;
            u[i].object = 74; /* fsync */
            break;
        case 6:
            u[i].wait = WAIT_READ;
            u[i].object = 0; /* stdin, a pipe */
            break;
        case 7:
            u[i].state = UTHREAD_RUNNABLE;
        }
    }
}

static void damage(const char *what, int fd)
{
    struct stats_header *h = header();

    if (!strcmp(what, "magic"))
        h->magic++;
    else if (!strcmp(what, "version"))
        h->version = 77;
    else if (!strcmp(what, "stride"))
        h->uthread_stride = 1;
    else if (!strcmp(what, "offset"))
        h->workers_off = UINT64_MAX - 8;
    else if (!strcmp(what, "count"))
        h->nuthreads_max = h->uthreads_hwm = UINT32_MAX;
    else if (!strcmp(what, "short") && ftruncate(fd, 300))
        abort();
    else if (!strcmp(what, "empty") && ftruncate(fd, 0))
        abort();
    else if (!strcmp(what, "wild")) {
        h->nprocs = h->workers_hwm = UINT32_MAX;
        h->tsc_mult = UINT64_MAX;
        h->state = 12345;
        memset(procs(), 0xff, (PROCS + 1) * sizeof(struct stats_proc));
        memset(base + h->workers_off, 0xff, WORKERS * sizeof(struct stats_worker));
        for (unsigned i = 0; i < h->nuthreads_max; i++) {
            memset(&uthreads()[i], 0xff, sizeof(struct stats_uthread));
            uthreads()[i].state = i % 7;
            uthreads()[i].wait = (uint8_t)(i % 13);
        }
    } else if (!strcmp(what, "strings")) {
        memset(h->exe, 0x1b, sizeof h->exe);
        memset(h->reason, '\n', sizeof h->reason);
        memset(h->version_text, 0xff, sizeof h->version_text);
        memset(h->options, '=', sizeof h->options);
        memset(uthreads()[0].name, 0x9b, 16);
    }
}

static void parse(struct settings *s, const char *arg)
{
    const char *value = strchr(arg, '=') + 1;

    switch (*arg == 's' ? arg[2] : *arg) {
    case 't':
        s->threads = (unsigned)atoi(value);
        break;
    case 'a': /* both state= and start= */
        if (arg[3] == 't')
            s->state = (unsigned)atoi(value);
        else
            s->start = strtoull(value, NULL, 10);
        break;
    case 'd':
        s->damage = value;
        break;
    case 'p':
        s->pid = atoi(value);
        break;
    case 'e':
        s->exe = value;
        break;
    case 'r':
        s->reason = value;
        break;
    }
}

static void tick(void)
{
    for (unsigned c = 0; c < COUNTERS; c++)
        ((uint64_t *)&procs()[1])[c] += 100;
}

/* As the library: `handoff run --stats` asks its own child to leave the page. */
static bool kept(void)
{
    const char *pid = getenv("HANDOFF_KEEP_PAGE");

    return pid && atoi(pid) == getpid();
}

int main(int argc, char **argv)
{
    struct settings s = {
        .threads = 8, .state = STATS_ACTIVE, .damage = "", .exe = "/opt/a \"b\\c", .reason = ""};
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    char path[4200], line[32];
    int fd;

    for (int i = 1; i < argc; i++)
        parse(&s, argv[i]);
    if (!runtime)
        return 2;
    snprintf(path, sizeof path, "%s/handoff", runtime);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/handoff/%d", runtime, (int)getpid());
    length = 65536 + s.threads * sizeof(struct stats_uthread);
    fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)length))
        return 2;
    base = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    fill_header(&s);
    fill_procs();
    fill_workers();
    fill_uthreads(s.threads);
    damage(s.damage, fd);
    close(fd);
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        if (!strcmp(line, "abort\n"))
            return 0;
        if (!strcmp(line, "tick\n"))
            tick();
        puts("ok");
        fflush(stdout);
    }
    if (!kept())
        unlink(path);
    return 0;
}
