/* A finer tick for CPUs that are short. A user thread of the program that computes without a proc is to the kernel a thread like a
 * worker, but it never sleeps, and the kernel looks who is due only with its tick, each 4 ms or so, and when a thread wakes up
 * on that CPU. Natively one does with each packet. Here hardly any does, for workers find all they do in queues. So where workers meet
 * others on their CPU and threads of ours compute, a helper wakes up on that CPU each PERIOD_NS, and sleeps again: what the
 * kernel does at this moment is all that it is for. Who gets how much stays as it is.
 *
 * Not where only others compete (clients, other processes): there shorter turns cost more than they gain (docs/design/slices.md).
 *
 * A CPU's helper begins with the first need, and sleeps while there is none. Sysmon decides. */
#include "internal.h"

enum {
    PERIOD_NS = 1000000,
    CROWDED_NS = 200000000, /* after a worker met others */
    LAST_NS = 50000000,
    LOOK_NS = 5000000,
    RAN_NS = 500000,        /* from look to look, at least */
    OWN_SLICE_NS = 100000,
    CPUS = 64               /* those beyond do without */
};

static struct tick {
    uint64_t crowded; /* atomic, TSC: workers meet others here until then */
    uint64_t until;   /* atomic, TSC: tick until then. Sysmon stores it, then looks at asleep; the helper the other way round */
    uint32_t asleep;  /* atomic, futex word */
    enum { TICK_NONE, TICK_THERE, TICK_REFUSED } state; /* sysmon's own */
} cacheline ticks[CPUS];
static uint64_t any_crowded; /* atomic: the latest of ticks[].crowded */

static _Noreturn int ticks_main(void *arg)
{
    struct tick *t = arg;
    uint64_t cpus[16] = {0};
    cpus[(t - ticks) / 64] = 1ull << (t - ticks) % 64;
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } a = {.size = sizeof a, .runtime = OWN_SLICE_NS};
    int64_t period[2] = {0, PERIOD_NS};
    bool here = sys3(__NR_sched_setaffinity, 0, sizeof cpus, P(cpus)) == 0;
    sys3(__NR_sched_setattr, 0, P(&a), 0);
    sys2(__NR_prctl, 29 /* PR_SET_TIMERSLACK */, 1);
    for (;;) {
        if (here && (int64_t)(load_relaxed(&t->until) - tsc_now()) > 0) {
            sys4(__NR_clock_nanosleep, 1, 0, P(period), 0);
            COUNT_SHARED(cpu_ticks);
            continue;
        }
        store_seq(&t->asleep, 1u);
        if (!here || (int64_t)(load_relaxed(&t->until) - tsc_now()) <= 0)
            futex_wait_kernel(&t->asleep, 1, NULL);
        store_relaxed(&t->asleep, 0u);
    }
}

void ticks_crowded(uint64_t tsc)
{
    /* As the vDSO's getcpu(3): the limit of a segment that each CPU has its own of. */
    enum { CPU_NODE_SEGMENT = 15 << 3 | 3, CPU_BITS = 12 };
    uint32_t node_cpu = ~0u;
    __asm__ volatile("lsl %1, %0" : "+r"(node_cpu) : "r"(CPU_NODE_SEGMENT) : "cc");
    uint32_t cpu = node_cpu & ((1u << CPU_BITS) - 1);
    uint64_t until = tsc + (uint64_t)ns_to_tsc(CROWDED_NS);
    if (cpu < CPUS) {
        store_relaxed(&ticks[cpu].crowded, until);
        store_relaxed(&any_crowded, until);
    }
}

/* Without a proc, and since the last look it made no call (an event loop without one makes calls all the time) but ran (it does not only wait
 * for a CPU in the midst of something). */
static bool some_computes(void)
{
    bool some = false;
    for (uint32_t i = 0; i < load_relaxed(&sched.nworkers); i++) {
        struct worker *w = &sched.workers[i];
        uint32_t calls = load_relaxed(&w->systick) + load_relaxed(&w->emuls);
        if (load_relaxed(&w->stuck) && !load_relaxed(&w->sysno1) && load_relaxed(&w->cur) && calls == w->calls_seen) {
            int64_t cpu = thread_cpu_ns(w->ktid);
            some = some || (w->calls_cpu && cpu - w->calls_cpu > RAN_NS);
            w->calls_cpu = cpu;
        } else
            w->calls_cpu = 0;
        w->calls_seen = calls;
    }
    return some;
}

void ticks_look(int64_t tsc)
{
    static int64_t last;
    if (!load_relaxed(&sched.nstuck) || (int64_t)load_relaxed(&any_crowded) - tsc <= 0 || tsc - last < ns_to_tsc(LOOK_NS))
        return;
    last = tsc;
    if (!some_computes())
        return;
    for (struct tick *t = ticks; t < ticks + CPUS; t++) {
        if ((int64_t)load_relaxed(&t->crowded) - tsc <= 0 || t->state == TICK_REFUSED)
            continue;
        store_seq(&t->until, (uint64_t)(tsc + ns_to_tsc(LAST_NS)));
        if (t->state == TICK_NONE)
            t->state = helper_start(ticks_main, t, 16 * 1024) > 0 ? TICK_THERE : TICK_REFUSED;
        else if (load_relaxed(&t->asleep)) {
            store_relaxed(&t->asleep, 0u);
            futex_wake_kernel(&t->asleep, 1);
        }
    }
}

void ticks_reset(void)
{
    memset(ticks, 0, sizeof ticks);
    any_crowded = 0;
}
