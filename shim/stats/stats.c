#include "stats.h"

#include "../base/arena.h"
#include "../base/sys.h"
#include "../options.h"
#include "../sched/internal.h"

struct stats_header *stats;
struct stats_proc *stats_shared;
static uint64_t size_total;
static struct event *rings;
static char path[300];
static bool keep; /* `handoff run --stats` reads the page after our end, and removes it */

struct stats_proc *stats_proc(uint32_t i)
{
    return (struct stats_proc *)((char *)stats + stats->procs_off) + i;
}
struct stats_worker *stats_worker(uint32_t i)
{
    return (struct stats_worker *)((char *)stats + stats->workers_off) + i;
}
struct stats_uthread *stats_uthread(uint32_t i)
{
    return (struct stats_uthread *)((char *)stats + stats->uthreads_off) + i;
}
struct event *stats_ring(uint32_t i)
{
    return rings + (uint64_t)i * EVENT_RING;
}

/* Workers count calls in their own struct; the page has the sums. */
static uint64_t emuls, natives; /* up to the last time; under fold_lock */
static struct lock fold_lock;

struct kstat { /* struct stat of x86_64, what is needed */
    uint64_t dev, ino, nlink;
    uint32_t mode, uid, gid, pad;
    uint64_t rest[16];
};

/* DIR of mode 0700 and ours, or 0. A symbolic link there is refused. */
static bool dir_good(const char *dir)
{
    struct kstat st;
    if (sys2(__NR_lstat, P(dir), P(&st)) < 0) {
        long r = sys2(__NR_mkdir, P(dir), 0700);
        if ((r < 0 && r != -17 /* EEXIST: another process was faster */) || sys2(__NR_lstat, P(dir), P(&st)) < 0)
            return false;
    }
    return (st.mode & 0170000) == 0040000 && st.uid == (uint32_t)sys0(__NR_geteuid) &&
           (st.mode & 077) == 0;
}

static const char *env(const char *name)
{
    extern char **environ;
    size_t n = 0;
    while (name[n])
        n++;
    for (char **e = environ; e && *e; e++)
        if (!memcmp(*e, name, n) && (*e)[n] == '=')
            return *e + n + 1;
    return NULL;
}

static int page_file(void)
{
    char dir[200];
    const char *run = env("XDG_RUNTIME_DIR");
    int pid = (int)sys0(__NR_getpid);
    bool good = false;
    if (run && run[0] == '/') {
        format(dir, sizeof dir, "%s/handoff", run);
        good = dir_good(dir);
    }
    /* Memory before disk: the first touch of a file's page costs milliseconds on some file systems. */
    static const char *const places[] = {"/dev/shm", "/tmp"};
    for (int i = 0; !good && i < 2; i++) {
        format(dir, sizeof dir, "%s/handoff-%u", places[i], (unsigned)sys0(__NR_geteuid));
        good = dir_good(dir);
    }
    if (!good)
        return -1;
    format(path, sizeof path, "%s/%d", dir, pid);
    const char *k = env("HANDOFF_KEEP_PAGE");
    int kept = 0;
    for (; k && *k >= '0' && *k <= '9'; k++)
        kept = kept * 10 + (*k - '0');
    keep = kept == pid;
    const long flags = 2 | 0100 | 0200 | 02000000 | 0400000; /* O_RDWR CREAT EXCL CLOEXEC NOFOLLOW */
    int fd = (int)sys4(__NR_openat, -100, P(path), flags, 0600);
    if (fd < 0) { /* a stale one of an earlier process of this number? */
        sys1(__NR_unlink, P(path));
        fd = (int)sys4(__NR_openat, -100, P(path), flags, 0600);
    }
    if (fd < 0)
        path[0] = 0;
    return fd;
}

static uint64_t start_time; /* field 22 of /proc/self/stat, once stats_threads was here */

int stats_threads(void)
{
    char buf[512];
    long fd = sys4(__NR_openat, -100, P("/proc/self/stat"), 02000000, 0);
    if (fd < 0)
        return 0;
    long n = sys3(__NR_read, fd, P(buf), sizeof buf - 1);
    sys1(__NR_close, fd);
    if (n <= 0)
        return 0;
    buf[n] = 0;
    char *s = buf + n;
    while (s > buf && *s != ')')
        s--;
    uint64_t fields[23] = {0};
    int field = 2; /* the name; it may have blanks itself */
    for (; *s && field < 22; s++)
        if (*s == ' ')
            for (const char *c = (++field, s + 1); *c >= '0' && *c <= '9'; c++)
                fields[field] = fields[field] * 10 + (uint64_t)(*c - '0');
    start_time = fields[22];
    return (int)fields[20];
}

struct layout {
    uint64_t procs, workers, uthreads, size;
};
static struct layout layout_of(uint32_t nprocs, uint32_t nworkers, uint32_t nuthreads)
{
    struct layout l;
    l.procs = ALIGN_UP(sizeof(struct stats_header), 64);
    l.workers = l.procs + sizeof(struct stats_proc) * (nprocs + 1);
    l.uthreads = ALIGN_UP(l.workers + sizeof(struct stats_worker) * nworkers, 4096);
    l.size = ALIGN_UP(l.uthreads + sizeof(struct stats_uthread) * nuthreads, 4096);
    return l;
}

uint64_t stats_size(uint32_t nprocs, uint32_t nworkers, uint32_t nuthreads)
{
    return layout_of(nprocs, nworkers, nuthreads).size;
}

int stats_init(uint32_t nprocs, uint32_t nworkers, uint32_t nuthreads)
{
    const struct layout layout = layout_of(nprocs, nworkers, nuthreads);
    size_total = layout.size;
    int fd = options.stats ? page_file() : -1;
    if (fd >= 0 && sys2(__NR_ftruncate, fd, (long)size_total) < 0) {
        sys1(__NR_close, fd);
        sys1(__NR_unlink, P(path));
        path[0] = 0;
        fd = -1;
    }
    size_t room;
    char *there = arena_above(&room);
    long r = fd < 0 ? 0 : sys6(__NR_mmap, P(there), (long)size_total, 3, there && room >= size_total ? 0x11 /* SHARED | FIXED */ : 0x1, fd, 0);
    if (!r)
        r = there && room >= size_total ? P(there) : P(sys_map(NULL, size_total, 3, 0x4000));
    if (fd >= 0)
        sys1(__NR_close, fd);
    if (r <= 0 && r > -4096)
        return r ? (int)r : -12;
    populate((void *)r, sizeof(struct stats_header));
    populate((char *)r + layout.uthreads, sizeof(struct stats_uthread));
    stats = (struct stats_header *)r;
    sys3(__NR_madvise, r, (long)size_total, 16 /* MADV_DONTDUMP: unlinked by then, it would be in the core file, holes and all */);
    rings = arena_take(sizeof(struct event) * EVENT_RING * (nprocs + 1), 1);
    if (!rings)
        return -12;
    stats->version = STATS_VERSION;
    stats->size = sizeof *stats;
    stats->pid = (int32_t)sys0(__NR_getpid);
    if (path[0] && !start_time)
        stats_threads();
    stats->start_time = path[0] ? start_time : 0;
    stats->procs_off = layout.procs;
    stats->workers_off = layout.workers;
    stats->uthreads_off = layout.uthreads;
    stats->proc_stride = sizeof(struct stats_proc);
    stats->worker_stride = sizeof(struct stats_worker);
    stats->uthread_stride = sizeof(struct stats_uthread);
    stats->nprocs = stats->nprocs_max = nprocs;
    stats->nworkers_max = nworkers;
    stats->nuthreads_max = nuthreads;
    format(stats->version_text, sizeof stats->version_text, "%s", HANDOFF_VERSION);
    long n = sys3(__NR_readlink, P("/proc/self/exe"), P(stats->exe), sizeof stats->exe - 1);
    stats->exe[n > 0 ? n : 0] = 0;
    options_format(&options, stats->options, sizeof stats->options);
    stats_shared = stats_proc(nprocs);
    stats_shared->worker = -1;
    store_release(&stats->magic, STATS_MAGIC);
    return 0;
}

void stats_reset(void)
{
    if (stats)
        sys_unmap(stats, size_total);
    stats = NULL;
    stats_shared = NULL;
    path[0] = 0;
    start_time = 0;
    emuls = natives = 0;
    fold_lock = (struct lock){0};
}

void stats_fold(void)
{
    uint32_t n = load_relaxed(&sched.nworkers);
    if (!stats || !sched.workers || !lock_try(&fold_lock))
        return;
    uint32_t e = 0, s = 0;
    for (uint32_t i = 0; i < n; i++) {
        e += load_relaxed(&sched.workers[i].emuls);
        s += load_relaxed(&sched.workers[i].systick);
    }
    /* 32-bit sums wrap; their differences do not, within a second. */
    emuls += (uint32_t)(e - (uint32_t)emuls);
    natives += (uint32_t)(s - (uint32_t)natives);
    store_relaxed(&stats_shared->sys_emul, emuls);
    store_relaxed(&stats_shared->sys_native, natives);
    lock_drop(&fold_lock);
}

void stats_remove(void)
{
    stats_fold();
    if (stats)
        store_relaxed(&stats->state, STATS_ENDED);
    if (path[0] && !keep)
        sys1(__NR_unlink, P(path));
}

void stats_dump(void)
{
    static const char *const states[] = {"free", "runnable", "running", "syscall", "parked", "exiting"};
    static const char *const waits[] = {"-",    "futex", "read",  "write",  "accept", "connect",
                                        "poll", "sleep", "signal", "syscall", "worker"};
    if (!stats || !sched.procs)
        return;
    uint64_t now = tsc_now();
    report(LOG_ERROR, "dump: pid %d procs %u idle %u spinning %u workers %u gq %u pollwait %u poller %u",
           stats->pid, sched.nprocs, sched.nidle_procs, sched.nspinning, sched.nworkers, sched.gq_len,
           sched.npollwait, sched.poller);
    for (uint32_t i = 0; i < sched.nworkers; i++) {
        struct worker *w = &sched.workers[i];
        struct uthread *u = load_relaxed(&w->cur);
        report(LOG_ERROR, "dump: worker %u ktid %d proc %d utid %d hook %u claim %u sys %d wake %u state %u", i,
               w->ktid, w->proc ? (int)w->proc->index : -1, u ? u->tid : 0, w->hook, w->claim,
               (int)w->sysno1 - 1, w->wake, w->pub ? w->pub->state : 0);
    }
    for (uint32_t i = 0; i < stats->uthreads_hwm; i++) {
        struct uthread *u = uthread_at(i);
        if (!u->tid)
            continue;
        report(LOG_ERROR, "dump: uthread %d %s wait %s 0x%lx attn %x for %ldus waitw %lx mask %lx", u->tid,
               states[u->pub->state % 6], waits[u->pub->wait % 11], u->pub->object, u->attn,
               tsc_to_ns((int64_t)(now - u->pub->since)) / 1000, u->waitw, u->sigmask);
    }
    for (uint32_t i = 0; i < load_acquire(&sched.nprocs_seen); i++) {
        struct proc *p = &sched.procs[i];
        report(LOG_ERROR, "dump: proc %u worker %d runq %u next %d timers %u min in %ldus", i,
               p->worker ? (int)p->worker->index : -1, runq_len(p), p->next ? p->next->tid : 0, p->ntimers,
               p->timer_min == INT64_MAX ? -1 : (p->timer_min - now_ns()) / 1000);
        const uint32_t end = load_relaxed(&p->event_at), n = end > 48 ? 48 : end; /* it may run on meanwhile */
        for (uint32_t k = end - n; k != end; k++) {
            struct event *e = &p->events[k % EVENT_RING];
            report(LOG_ERROR, "dump:   -%ldus worker %u %s %d", tsc_to_ns((int64_t)(now - e->tsc)) / 1000,
                   e->worker, event_names[e->kind % 16], e->tid);
        }
    }
}
