/* The kernel's time slices. A worker stands for many user threads and seldom sleeps, so where CPUs are short it runs all of its slice,
 * and then waits for as long as others run theirs: on a machine with ticks of 4 ms that is what a request waits for, among a handful of
 * kernel threads where natively there would be many, which sleep all the time. So workers ask for a short slice (Linux 6.12: the
 * runtime of sched_setattr(2) for SCHED_OTHER; the share of the CPU stays the same), and give way by themselves near its end, since the
 * kernel looks at its end only with a tick or a wake-up.
 *
 * sched_yield(2) in EEVDF gives up what is left of the slice, for good. So it is made when SLICE_NS is nearly used up, by the kernel's
 * own measure: a worker that was preempted meanwhile has more of it left than the clock says. A slice begins when the worker wakes
 * or has yielded.
 *
 * Where others do want the CPU, a handful of workers must not get less of it than all the threads would that they stand for.
 * Then a worker whose slice is over does not yield but gives its proc to one that has slept, and sleeps: two take turns, each with a share
 * of its own. (Only where user threads wait: natively those would be runnable, too.)
 *
 * The slice is asked for once, before the first worker is made: they inherit it. So do processes that the program starts. */
#include "internal.h"

enum {
    SLICE_NS = 500000,
    YIELD_NS = 470000,
    LONG_NS = 100000,      /* a yield that took so long let others run: it is crowded */
    CROWDED_NS = 30000000, /* for so long; then another yield tells */
};

static int64_t slice_ns, yield_ns;

struct sched_attr {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

static long get(struct sched_attr *a)
{
    return sys4(__NR_sched_getattr, 0, P(a), sizeof *a, 0);
}

void slices_init(void)
{
    enum { OTHER = 0, BATCH = 3, PR_GET_SECCOMP = 21 };
    struct sched_attr a = {.size = sizeof a};
    sched.slice_tsc = INT64_MAX;
    /* A filter may well kill who asks for anything of scheduling: systemd's ~@resources. */
    if (sys2(__NR_prctl, PR_GET_SECCOMP, 0) != 0)
        return;
    /* Kernels that know of no such slices say 0. */
    if (get(&a) < 0 || (a.policy != OTHER && a.policy != BATCH) || !a.runtime)
        return;
    a.size = sizeof a;
    if (a.runtime > SLICE_NS) {
        a.runtime = SLICE_NS;
        if (sys3(__NR_sched_setattr, 0, P(&a), 0) < 0 || get(&a) < 0 || a.runtime != SLICE_NS)
            return;
    }
    slice_ns = (int64_t)a.runtime;
    yield_ns = slice_ns * (YIELD_NS / 1000) / (SLICE_NS / 1000);
    sched.slice_tsc = (uint64_t)ns_to_tsc(yield_ns);
}

void slice_over(struct worker *w)
{
    int64_t cpu = own_cpu_ns();
    uint64_t now = tsc_now();
    if (w->slice_cpu) {
        int64_t used = cpu - w->slice_cpu;
        if (used >= slice_ns) { /* the kernel has begun another */
            used %= slice_ns;
            w->slice_cpu = cpu - used;
        }
        if (used < yield_ns) {
            w->slice_began = now - (uint64_t)ns_to_tsc(used);
            return;
        }
    }
    COUNT(cpu_yields);
    if ((int64_t)(load_relaxed(&sched.crowded_until) - now) > 0) {
        ticks_crowded(now);
        if (work_waits(w->proc) && proc_pass_on(w))
            return;
    }
    sys0(__NR_sched_yield);
    w->slice_cpu = cpu;
    w->slice_began = tsc_now();
    if (w->slice_began - now > (uint64_t)ns_to_tsc(LONG_NS))
        store_relaxed(&sched.crowded_until, w->slice_began + (uint64_t)ns_to_tsc(CROWDED_NS));
}
