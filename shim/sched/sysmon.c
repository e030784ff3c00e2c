/* sysmon: a kernel thread without a proc that keeps the others honest: retakes procs from system
 * calls, asks long runs to yield, takes procs from what computes or blocks where nobody intercepts,
 * rescues work that waits beside idle procs, timers and descriptors that nobody watches. It only
 * ever helps latency: no wake-up depends on it for correctness, but one (park.c's ready_local).
 */
#include "internal.h"

#include "../emul/emul.h"

enum {
    FIRST_DELAY_NS = 1000000, /* nobody has blocked yet, and its looks would disturb who makes the first threads */
    MIN_DELAY_NS = 20000, /* after a proc was taken: more may be due */
    MIN_LOOKS = 10,       /* so many times; then twice as long, and so on. Each look is a switch to us and back */
    HELP_DELAY_NS = 200000, /* after other help */
    MID_DELAY_NS = 1000000,
    MAX_DELAY_NS = 10000000,
    STALL_NS = 100000,
    COST_LOOKS = 16,      /* so many are measured at once */
    COST_SHARE = 8,       /* a look is that much rarer than what it takes of a CPU, */
    COST_MOST_NS = 500000, /* up to so rare */
    STILL_LOOKS = 16 /* without a dispatch: those that run compute */
};

int64_t thread_cpu_ns(int32_t ktid)
{
    int64_t ts[2];
    /* CLOCK of another thread: ~tid << 3 | CPUCLOCK_PERTHREAD | CPUCLOCK_SCHED */
    if (sys2(__NR_clock_gettime, (long)(int)((~(unsigned)ktid << 3) | 6), P(ts)) < 0)
        return -1;
    return ts[0] * NSEC_PER_SEC + ts[1];
}

static bool unwatched(int64_t now)
{
    if (timers_min() < now - 1000000) /* even with a poller: it should have */
        return true;
    if (load_relaxed(&sched.poller))
        return false;
    if (load_relaxed(&sched.npollwait) &&
        (int64_t)tsc_now() - load_relaxed(&sched.last_poll) > sched.preempt_tsc)
        return true;
    return timers_min() < now - 50000;
}

/* p's worker has been with the same user thread for a while, and others wait: does the kernel run it? If not, it blocks where nobody
 * intercepted, or other kernel threads (computing user threads that lost their procs, other programs) have its CPU. A thread
 * of its own would hardly wait for those behind it, and another worker, which slept, is due at once: it gets the proc. */
static bool stalled(struct proc *p, struct worker *w, int64_t tsc)
{
    if (tsc - p->seen_since < ns_to_tsc(STALL_NS))
        return false;
    int64_t since = w->stall_since, before = w->stall_cpu;
    if (since && tsc - since < ns_to_tsc(STALL_NS))
        return false;
    w->stall_cpu = thread_cpu_ns(w->ktid);
    w->stall_since = tsc;
    return since && (w->stall_cpu - before) * 4 < tsc_to_ns(tsc - since);
}

static void ask_to_yield(struct uthread *u)
{
    if (!(load_relaxed(&u->attn) & ATTN_YIELD))
        fetch_or(&u->attn, (uint32_t)ATTN_YIELD);
}

/* One look at p. Returns true when something was done; *watch: look again soon. */
static bool look_at(struct proc *p, int64_t tsc, bool work, bool *watch)
{
    struct worker *w = load_relaxed(&p->worker);
    if (!w)
        return false;
    uint32_t tick = load_relaxed(&p->tick), sys = load_relaxed(&w->systick);
    bool in_sys = load_relaxed(&w->sysno1) != 0;
    work = work || work_waits(p) || load_relaxed(&sched.surplus) || chaos(64);
    struct uthread *u = load_relaxed(&w->cur);
    bool slice_over = work && u && tsc - (int64_t)p->slice_start >= sched.preempt_tsc;
    if (tick != p->seen_tick || (in_sys && sys != p->seen_sys) || in_sys != p->seen_in_sys) {
        p->seen_tick = tick;
        p->seen_sys = sys;
        p->seen_since = tsc;
        p->seen_in_sys = in_sys;
        w->cpu_seen = 0;
        w->stall_since = 0;
        /* Call after short call, and so never twice in the same place: to yield at the end of one is all that is asked. */
        if (slice_over)
            ask_to_yield(u);
        return false;
    }
    int64_t in_state = tsc - p->seen_since;
    if (in_sys) {
        if (in_state < sched.retake_tsc || !work)
            return false;
        if (proc_take(p)) {
            COUNT_SHARED(retake_syscall);
            proc_give(p);
            return true;
        }
        return false;
    }
    if (!work)
        return false;
    *watch = true;
    if (stalled(p, w, tsc) && proc_take(p)) {
        COUNT_SHARED(retake_unknown);
        proc_give(p);
        return true;
    }
    if (!slice_over)
        return false;
    if (!w->cpu_seen) { /* first: ask */
        ask_to_yield(u);
        int64_t cpu = thread_cpu_ns(w->ktid);
        w->cpu_seen = cpu > 0 ? (uint64_t)cpu : 1;
        p->seen_since = tsc;
        return true;
    }
    if (in_state < (sched.preempt_tsc < ns_to_tsc(200000) ? sched.preempt_tsc : ns_to_tsc(200000)))
        return false;
    if (proc_take(p)) {
        int64_t cpu = thread_cpu_ns(w->ktid) - (int64_t)w->cpu_seen;
        if (cpu * 4 < tsc_to_ns(in_state))
            COUNT_SHARED(retake_unknown);
        else
            COUNT_SHARED(retake_cpu);
        proc_give(p);
        return true;
    }
    return false;
}

static void poll_for_all(void)
{
    uint32_t n = 0;
    store_relaxed(&sched.last_poll, (int64_t)tsc_now());
    struct uthread *list = sched_up.poll(0, &n);
    __atomic_fetch_add(&stats_shared->netpoll_wakes, n, __ATOMIC_RELAXED);
    while (list) {
        struct uthread *u = list;
        list = u->next;
        sched_ready(u);
    }
}

static void schedtrace(int64_t now)
{
    char line[640];
    static int64_t start;
    if (!start)
        start = now;
    size_t n = format(line, sizeof line,
                      "SCHED %ldms: gomaxprocs=%u idleprocs=%u threads=%u spinningthreads=%u "
                      "needspinning=%u idlethreads=%u runqueue=%u [",
                      (now - start) / 1000000, sched.nprocs, sched.nidle_procs, sched.nworkers,
                      sched.nspinning, sched.need_worker, sched.nworkers_idle, sched.gq_len);
    for (uint32_t i = 0; i < load_acquire(&sched.nprocs_seen) && n < sizeof line - 16; i++)
        n += format(line + n, sizeof line - n, i ? " %u" : "%u", runq_len(&sched.procs[i]));
    report(LOG_ERROR, "%s]", line);
}

/* ---- work waits, and there is no worker for it ----
 *
 * All stand in the kernel or compute. Most such times pass by themselves, and then user threads queue, as MAX_WORKERS
 * wants it. Not so if what would end the calls is among the work that waits:
 *   - A worker in a wait that could be made otherwise (BLOCK_AGAIN; it was, when work was not yet waiting) is
 *     interrupted. Its call is made again, as after a signal nobody sees, is not admitted now, and parks.
 *   - There is none, and no user thread was put on a proc for a time: what holds the workers are calls that nobody can
 *     undo (an ioctl, a FIFO's open, calls we do not see), or loops that wait for a variable. Natively the program would go
 *     on; so the limit is raised by one. Much later while a worker reads, writes or syncs files: that ends by itself.
 */
enum { RECLAIM_NS = 1000000, STILL_KERNEL_NS = 100000000, STILL_COMPUTES_NS = 1000000000, STILL_FILES = 10, SAMPLE_NS = 4000000 };

/* Calls that end without the doing of another thread. */
static bool ends_itself(long nr)
{
    switch (nr) {
    case __NR_read: case __NR_write: case __NR_pread64: case __NR_pwrite64: case __NR_preadv: case __NR_pwritev:
    case __NR_preadv2: case __NR_pwritev2: case __NR_fsync: case __NR_fdatasync: case __NR_sync: case __NR_syncfs:
    case __NR_sync_file_range: case __NR_fallocate: case __NR_ftruncate: case __NR_truncate: case __NR_stat:
    case __NR_lstat: case __NR_newfstatat: case __NR_statx: case __NR_getdents64: case __NR_rename: case __NR_renameat2:
    case __NR_unlink: case __NR_unlinkat: case __NR_msync: case __NR_readahead: case __NR_copy_file_range:
    case __NR_munmap: case __NR_madvise: case __NR_mmap:
        return true;
    }
    return false;
}

static void relieve(int64_t now)
{
    static uint64_t seen;
    static int64_t still_since, poked, sampled, raised;
    static bool told;
    uint64_t dispatches = 0;
    bool computes = false, ends = false;
    if (!load_relaxed(&sched.need_worker)) {
        still_since = 0;
        return;
    }
    for (uint32_t i = 0; i < load_acquire(&sched.nprocs_seen); i++)
        dispatches += load_relaxed(&sched.procs[i].st->dispatches);
    if (!still_since || dispatches != seen) {
        still_since = now;
        seen = dispatches;
        sampled = 0;
    }
    bool sample = !sampled && now - still_since > SAMPLE_NS;
    if (sample)
        sampled = now;
    uint32_t n = load_relaxed(&sched.nworkers);
    for (uint32_t i = 0; i < n; i++) {
        struct worker *w = &sched.workers[i];
        uint32_t in_block = load_relaxed(&w->in_block), sysno1 = load_relaxed(&w->sysno1);
        if (in_block == BLOCK_AGAIN) {
            if (now - still_since > RECLAIM_NS && now - poked > RECLAIM_NS) {
                worker_poke(w);
                COUNT_SHARED(reclaims);
                poked = now;
            }
            return; /* one after the other, until they suffice */
        }
        if (sysno1 == 0 && sampled) { /* in the program's code, or in a call we do not see */
            int64_t cpu = thread_cpu_ns(w->ktid);
            if (sample)
                w->cpu_still = cpu;
            computes = computes || cpu - w->cpu_still > (now - sampled) / 8;
        }
        ends = ends || (sysno1 && in_block == BLOCK_NOT && ends_itself((long)sysno1 - 1));
    }
    int64_t patience = computes ? STILL_COMPUTES_NS : STILL_KERNEL_NS;
    if (ends)
        patience = (int64_t)STILL_FILES * NSEC_PER_SEC;
    else if (now - raised < NSEC_PER_SEC) /* that did not suffice */
        patience /= 8;
    if (!sampled || now - sampled < SAMPLE_NS || now - still_since < patience ||
        load_relaxed(&sched.max_workers) >= (uint32_t)options.max_workers + 1 + WORKERS_BEYOND)
        return;
    if (!told)
        report(LOG_WARN, "all workers (HANDOFF_MAX_WORKERS=%d) stand in calls or loops that cannot be undone, while other "
                         "threads wait: starting more", options.max_workers);
    told = true;
    raised = now;
    COUNT_SHARED(worker_beyond);
    add_fetch(&sched.max_workers, 1u);
    sched_wake_one();
}

/* How long we sleep at least: a look takes a few microseconds of a CPU, and forty where a switch of kernel threads is dear (a guest of PVM);
 * and so does what it leads to, a proc that is taken. At 20 us' distance sysmon then took a sixth of a CPU from a database with 200 connections,
 * and a fifth of its throughput (docs/design/taking-a-proc.md). */
static int64_t rest_least(void)
{
    static int64_t least, before;
    static uint32_t looks;
    if (++looks % COST_LOOKS == 0) {
        int64_t cpu = own_cpu_ns(), each = (cpu - before) / COST_LOOKS * COST_SHARE;
        if (before && cpu > before) /* in a fork child they are another thread's */
            least += ((each < COST_MOST_NS ? each : COST_MOST_NS) - least) / 4;
        before = cpu;
    }
    return least;
}

int sysmon_main(void *arg)
{
    (void)arg;
    int64_t delay = FIRST_DELAY_NS, trace_next = 0, second_next = now_ns() + NSEC_PER_SEC;
    uint64_t ticks_seen = 0;
    uint32_t idle = 0, still = 0;
    int64_t idle_since = 0;
    sys2(__NR_prctl, 29 /* PR_SET_TIMERSLACK */, 1);
    for (;;) {
        int64_t ts[2] = {delay / NSEC_PER_SEC, delay % NSEC_PER_SEC};
        futex_wait_kernel(&sched.sysmon_asleep, load_relaxed(&sched.sysmon_asleep), ts);
        int64_t now = now_ns(), tsc = (int64_t)tsc_now();
        bool did = false, helped = false, watch = false;
        uint64_t ticks = 0;

        if (options.debug.schedtrace > 0 && now >= trace_next) {
            schedtrace(now);
            trace_next = now + options.debug.schedtrace * 1000000;
        }
        if (now >= second_next) {
            second_next = now + NSEC_PER_SEC;
            if (sched_up.tick)
                sched_up.tick();
        }
        bool quiet = load_relaxed(&sched.nidle_procs) == sched.nprocs;
        bool work = load_relaxed(&sched.gq_len) || unwatched(now);
        for (uint32_t i = 0; i < load_acquire(&sched.nprocs_seen); i++)
            work = work || runq_len(&sched.procs[i]);
        if (unwatched(now)) {
            /* Timers or descriptors that nobody looks at: all procs are busy, or in the kernel. */
            for (uint32_t i = 0; i < load_acquire(&sched.nprocs_seen); i++)
                timers_run(&sched.procs[i], now);
            if (load_relaxed(&sched.npollwait))
                poll_for_all();
            helped = true;
        }
        if (work && load_relaxed(&sched.nidle_procs)) {
            sched_wake_one();
            helped = !load_relaxed(&sched.need_worker);
        }
        relieve(now);
        if (chaos(16))
            procs_resize(1 + (uint32_t)(tsc >> 4) % sched.nprocs_most);
        for (uint32_t i = 0; i < load_acquire(&sched.nprocs_seen); i++) {
            did |= look_at(&sched.procs[i], tsc, work, &watch);
            ticks += load_relaxed(&sched.procs[i].tick);
        }
        still = ticks == ticks_seen ? still + 1 : 0;
        ticks_seen = ticks;
        ticks_look(tsc);
        const int64_t fewer_in = chaos_on ? INT64_MAX : fewer_look(now); /* chaos has its own idea of how many, above */

        if (quiet && !work) {
            /* All idle: after a second sleep until a proc is taken into use. */
            if (!idle_since)
                idle_since = now;
            if (now - idle_since > NSEC_PER_SEC && !options.debug.schedtrace) {
                if (sched_up.tick)
                    sched_up.tick();
                store_seq(&sched.sysmon_asleep, 1u);
                if (load_relaxed(&sched.nidle_procs) == sched.nprocs) {
                    int64_t nap[2] = {60, 0};
                    if (timers_min() == INT64_MAX && !load_relaxed(&sched.npollwait))
                        futex_wait_kernel(&sched.sysmon_asleep, 1, nap);
                    else if (load_relaxed(&sched.poller))
                        futex_wait_kernel(&sched.sysmon_asleep, 1, nap);
                }
                store_relaxed(&sched.sysmon_asleep, 0u);
                idle_since = 0;
            }
        } else
            idle_since = 0;

        if (did) {
            delay = MIN_DELAY_NS;
            idle = 0;
        } else if (helped && delay > HELP_DELAY_NS) {
            delay = HELP_DELAY_NS;
        } else if (++idle > MIN_LOOKS) {
            delay *= 2;
            /* Beside idle procs what was just put in a next slot may need us; not of those who compute for long (ready_local). */
            int64_t max = load_relaxed(&sched.nidle_procs) && !quiet && still < STILL_LOOKS ? MID_DELAY_NS : MAX_DELAY_NS;
            if (delay > max)
                delay = max;
        }
        if (watch && delay > STALL_NS)
            delay = STALL_NS;
        const int64_t least = rest_least();
        if (delay > fewer_in)
            delay = fewer_in;
        if (delay < least)
            delay = least;
        if (!quiet && !load_relaxed(&sched.poller)) {
            int64_t min = timers_min();
            if (min != INT64_MAX && min - now < delay)
                delay = min - now < MIN_DELAY_NS ? MIN_DELAY_NS : min - now;
        }
    }
}
