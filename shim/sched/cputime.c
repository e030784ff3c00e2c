/* CPU time of user threads.
 *
 * The kernel counts per worker. As long as nobody asks, a turn (from dispatch to park) is worth its TSC ticks, for which
 * the switch has its stamps anyway: one subtraction. The first question raises cputime_level, and from the next
 * dispatch on a turn is worth what the kernel's clock of the worker says. The asker's own turn is split at once, so that
 * what a thread measures of itself between two questions is exact, always.
 *
 * A turn's end hands its sample to the next turn on that worker unless the worker looked for work in between.
 *
 * Others read without a lock: `seq` is odd while the owner changes the numbers. A reader who is overtaken twice has
 * seen the whole of the turn that it first saw begun, so leaving the unfinished one out never makes time go back.
 */
#include "internal.h"

uint32_t cputime_level;

enum { SAME_SWITCH_NS = 2000 };

int64_t own_cpu_ns(void)
{
    int64_t ts[2] = {0, 0};
    sys2(__NR_clock_gettime, 3 /* CLOCK_THREAD_CPUTIME_ID */, P(ts));
    return ts[0] * NSEC_PER_SEC + ts[1];
}

struct rusage64 {
    int64_t utime[2], stime[2], maxrss, ixrss, idrss, isrss, minflt, majflt, nswap, inblock, oublock, msgsnd, msgrcv, nsignals, nvcsw,
        nivcsw;
};

static void get_usage(struct rusage64 *ru)
{
    if (sys2(__NR_getrusage, 1 /* RUSAGE_THREAD */, P(ru)) < 0)
        memset(ru, 0, sizeof *ru);
}

static uint32_t confined;

void cputime_confined(void)
{
    store_relaxed(&confined, 1u);
}

bool own_waits(uint64_t *n)
{
    struct rusage64 ru;
    if (load_relaxed(&confined))
        return false;
    get_usage(&ru);
    *n = (uint64_t)ru.nvcsw;
    return true;
}

static bool worker_clock(const struct worker *w, int64_t *ns)
{
    int64_t ts[2];
    if (!w->ktid)
        return false;
    /* Of another thread: ~tid << 3 | CPUCLOCK_PERTHREAD | CPUCLOCK_SCHED. */
    if (sys2(__NR_clock_gettime, (long)(int)((~(unsigned)w->ktid << 3) | 6), P(ts)) < 0)
        return false;
    *ns = ts[0] * NSEC_PER_SEC + ts[1];
    return true;
}

static void own_usage(int64_t out[8])
{
    struct rusage64 ru;
    get_usage(&ru);
    out[USAGE_STIME] = ru.stime[0] * NSEC_PER_SEC + ru.stime[1] * 1000;
    out[USAGE_MINFLT] = ru.minflt;
    out[USAGE_MAJFLT] = ru.majflt;
    out[USAGE_INBLOCK] = ru.inblock;
    out[USAGE_OUBLOCK] = ru.oublock;
    out[USAGE_NVCSW] = ru.nvcsw;
    out[USAGE_NIVCSW] = ru.nivcsw;
}

/* Adds what was used since the marks (usage_mark[0] < 0: there are none); sets them anew. */
static void usage_turn(struct uthread *u)
{
    int64_t now[8] = {0};
    bool marked = u->cpu.usage_mark[0] >= 0;
    own_usage(now);
    for (int i = 0; i < 8; i++) {
        if (marked)
            u->cpu.usage[i] += now[i] - u->cpu.usage_mark[i];
        u->cpu.usage_mark[i] = now[i];
    }
}

/* A turn by the TSC is no longer than what the worker used since its clock was last looked at; which bounds well where it
 * matters, in a long turn. */
static uint64_t ticks_of_turn(const struct worker *w, uint64_t now, int64_t clock)
{
    uint64_t ticks = now - load_relaxed(&w->now_tsc), most = (uint64_t)ns_to_tsc(clock - load_relaxed(&w->cpu_last));
    return ticks < most ? ticks : most;
}

static void change_begins(struct uthread *u)
{
    store_relaxed(&u->cpu.seq, u->cpu.seq + 1);
    __atomic_thread_fence(__ATOMIC_RELEASE); /* odd before the changes; pairs with the fence in cputime_of */
}
static void change_ends(struct uthread *u)
{
    store_release(&u->cpu.seq, u->cpu.seq + 1);
}

void cputime_end_turn(struct worker *w, struct uthread *u, uint64_t now)
{
    int64_t ns = own_cpu_ns();
    change_begins(u);
    if (u->cpu.mark >= 0)
        u->cpu.ns += ns - u->cpu.mark;
    else
        store_relaxed(&u->pub->ran, u->pub->ran + ticks_of_turn(w, now, ns));
    u->cpu.mark = -1;
    change_ends(u);
    w->cpu_last = ns;
    w->cpu_last_tsc = now;
    if (load_relaxed(&cputime_level) > 1) {
        usage_turn(u);
        u->cpu.usage_mark[0] = -1;
    }
}

void cputime_begin_turn(struct worker *w, struct uthread *u, uint64_t now)
{
    int64_t ns = w->cpu_last;
    if (now - w->cpu_last_tsc > (uint64_t)ns_to_tsc(SAME_SWITCH_NS))
        ns = own_cpu_ns();
    change_begins(u);
    u->cpu.mark = ns;
    change_ends(u);
    if (load_relaxed(&cputime_level) > 1) {
        u->cpu.usage_mark[0] = -1;
        usage_turn(u);
    }
}

/* The estimate of the time before anybody asked, besides what is known: together never more than what the process used. */
static int64_t estimate(uint64_t ticks, int64_t known)
{
    if (!ticks)
        return 0;
    int64_t ns = tsc_to_ns((int64_t)ticks), ts[2];
    if (sys2(__NR_clock_gettime, 2 /* CLOCK_PROCESS_CPUTIME_ID */, P(ts)) == 0 && ns > ts[0] * NSEC_PER_SEC + ts[1] - known)
        ns = ts[0] * NSEC_PER_SEC + ts[1] - known;
    return ns > 0 ? ns : 0;
}

static int64_t of_self(struct worker *w, struct uthread *u)
{
    int64_t ns = own_cpu_ns();
    if (u->cpu.mark < 0 || u->cpu.counted != u->pub->ran) {
        uint64_t now = tsc_now();
        change_begins(u);
        if (u->cpu.mark < 0) {
            store_relaxed(&u->pub->ran, u->pub->ran + ticks_of_turn(w, now, ns));
            w->now_tsc = now;
            u->cpu.mark = ns;
        }
        u->cpu.ns += estimate(u->pub->ran - u->cpu.counted, u->cpu.ns + (ns - u->cpu.mark));
        u->cpu.counted = u->pub->ran;
        change_ends(u);
    }
    return u->cpu.ns + (ns - u->cpu.mark);
}

static void raise_level(uint32_t level)
{
    if (load_relaxed(&cputime_level) < level)
        fetch_or(&cputime_level, level);
}

/* A reader may have counted a turn up to a moment after its last stamp: what was told is never taken back. */
static int64_t tell(struct uthread *u, int64_t ns)
{
    int64_t told = load_relaxed(&u->cpu.told);
    while (ns > told && !cas(&u->cpu.told, told, ns))
        told = load_relaxed(&u->cpu.told);
    return ns > told ? ns : told;
}

static int64_t of_other(struct uthread *u)
{
    for (int tries = 0;; tries++) {
        uint32_t seq = load_acquire(&u->cpu.seq);
        if (seq & 1) { /* for some instructions; but the kernel may have taken the CPU from them */
            sys0(__NR_sched_yield);
            tries--;
            continue;
        }
        int64_t mark = load_relaxed(&u->cpu.mark), ns = load_relaxed(&u->cpu.ns), now, turn = 0;
        uint64_t ran = load_relaxed(&u->pub->ran), ticks = ran - load_relaxed(&u->cpu.counted);
        struct worker *on = load_relaxed(&u->worker);
        if (mark >= 0) {
            if (on && worker_clock(on, &now) && now > mark)
                turn = now - mark;
        } else if (on && load_acquire(&on->cur) == u && worker_clock(on, &now))
            ticks += ticks_of_turn(on, tsc_now(), now);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        bool same = load_relaxed(&u->cpu.seq) == seq && load_relaxed(&u->pub->ran) == ran;
        if (same)
            return estimate(ticks, ns + turn) + ns + turn;
        if (tries >= 3)
            return estimate(ran - load_relaxed(&u->cpu.counted), ns) + ns;
    }
}

int64_t cputime_of(struct uthread *u)
{
    struct worker *w = worker_or_null();
    raise_level(1);
    return tell(u, w && w->cur == u ? of_self(w, u) : of_other(u));
}

void cputime_usage_self(int64_t out[8])
{
    struct uthread *u = uthread_self();
    raise_level(3);
    usage_turn(u);
    memcpy(out, u->cpu.usage, sizeof u->cpu.usage);
}

void cputime_activate(struct worker *w, struct uthread *u)
{
    store_relaxed(&confined, (uint32_t)(sys2(__NR_prctl, 21 /* PR_GET_SECCOMP */, 0) != 0));
    w->now_tsc = tsc_now();
    u->cpu.ns = w->cpu_last = own_cpu_ns();
}
