/* Fewer procs where they are in each other's way.
 *
 * User threads that run for less than a microsecond between two waits, and wait for each other (a queue under one mutex, with a thousand consumers), write
 * to the same few lines: the mutex, the condition variable, our buckets, the run queues. On two CPUs each of these writes fetches its line from the other one, and
 * both together get less done than one would alone. No look at a queue or a lock tells (all are busy, and work waits): so it is tried.
 *
 *   STEADY  For as long as nothing suggests another number. When none of the procs in use is idle and turns are shorter than TURN_NS on each, half of them go
 *           out of use:
 *   TRIAL   for a window. If GAIN more user threads are dispatched in it than before:
 *   AGAIN   for a window all of before are in use once more, since the load may have changed. If that is as much less as before the TRIAL, it is
 *           half of them from here on, and STEADY; where those may be halved in their turn. Else it is all of before, and no TRIAL for a pause, which doubles with each that
 *           fails.
 *
 * What is in use is less than wanted for HOLD_NS, or until what all did would be as good for a few windows; then all are in use, and it may be tried anew.
 *
 * Yields do not count: who waits in a loop of them gets nothing done. Threads that compute go on without a proc, as ever.
 * A TRIAL that fails costs two windows of half the throughput, 0.1 % once the pause is the longest.
 *
 * Context: sysmon only; procs_resize does the rest. */
#include "internal.h"

enum {
    WINDOW_NS = 1500000,
    TURN_NS = 3000,
    GAIN = 115, /* percent */
    KEEP = 105,
    SLOW_WINDOWS = 3, /* one may be due to others on the machine */
    HOLD_NS = 500000000,
    PAUSE_NS = 10000000, /* the window of a TRIAL may have been another's on the machine */
    PAUSE_MOST_NS = 2000000000,
};

static struct {
    enum { STEADY, TRIAL, AGAIN } phase;
    uint32_t wanted;         /* by the CPUs and the options */
    uint32_t before;         /* in use before the TRIAL */
    uint64_t rate_before, rate_trial, rate_all; /* dispatches in a second; all: when what is wanted was last in use */
    int64_t since;           /* the begin of the window */
    bool changed;            /* the number, in this window, which so tells nothing */
    uint32_t slow;           /* windows in a row, with fewer than wanted, that were no better */
    int64_t until;           /* when all are to be in use again */
    int64_t next, pause;     /* no TRIAL before; how long none after one that fails */
} state;

/* Dispatches since the last look. *least: of the proc in use that had the fewest. */
static uint64_t dispatches(uint64_t *least)
{
    uint64_t all = 0;
    *least = UINT64_MAX;
    for (uint32_t i = 0; i < load_acquire(&sched.nprocs_seen); i++) {
        struct proc *p = &sched.procs[i];
        uint64_t now = load_relaxed(&p->st->dispatches) - load_relaxed(&p->st->yields), n = now - p->seen_dispatches;
        p->seen_dispatches = now;
        all += n;
        if (!load_relaxed(&p->unused) && n < *least)
            *least = n;
    }
    return all;
}

static void use(uint32_t n)
{
    procs_resize(n);
    state.changed = true;
}

static void use_wanted(int64_t next)
{
    state.phase = STEADY;
    state.next = next;
    use(state.wanted);
}

void fewer_reset(void)
{
    memset(&state, 0, sizeof state);
    state.wanted = sched.nprocs;
    state.pause = PAUSE_NS;
}

void procs_wanted(uint32_t n)
{
    if (n == state.wanted || n < 1 || n > sched.nprocs_most)
        return;
    report(LOG_INFO, "%u procs in use, %u before", n, state.wanted);
    state.wanted = n;
    use_wanted(0);
}

static bool better(uint64_t rate, uint64_t than, unsigned percent)
{
    return rate * 100 > than * percent;
}

static void steady(int64_t now, uint32_t n, uint64_t rate, bool fine)
{
    state.slow = n < state.wanted && !better(rate, state.rate_all, KEEP) ? state.slow + 1 : 0;
    if (n < state.wanted && (now >= state.until || state.slow == SLOW_WINDOWS))
        use_wanted(now >= state.until ? now : now + PAUSE_NS);
    else if (n > 1 && fine && now >= state.next && !load_relaxed(&sched.nidle_procs)) {
        state.before = n;
        state.rate_before = rate;
        state.phase = TRIAL;
        use(n / 2);
    }
}

/* A whole window with n procs has passed. */
static void judge(int64_t now, uint32_t n, uint64_t rate, bool fine)
{
    switch (state.phase) {
    case STEADY:
        steady(now, n, rate, fine);
        return;
    case TRIAL:
        state.rate_trial = rate;
        use(state.before);
        state.phase = AGAIN;
        if (better(rate, state.rate_before, GAIN))
            return;
        break;
    case AGAIN:
        if (better(state.rate_trial, rate, GAIN)) {
            COUNT_SHARED(proc_cuts);
            if (n == state.wanted) {
                state.rate_all = rate;
                state.until = now + HOLD_NS;
            }
            state.pause = PAUSE_NS;
            state.next = now;
            state.phase = STEADY;
            use(n / 2);
            return;
        }
    }
    state.phase = STEADY;
    state.next = now + state.pause;
    state.pause = state.pause * 2 < PAUSE_MOST_NS ? state.pause * 2 : PAUSE_MOST_NS;
}

/* Nothing is under way: no hurry to look. */
static bool settled(void)
{
    return state.phase == STEADY && !state.changed && sched.nprocs == state.wanted;
}

int64_t fewer_look(int64_t now)
{
    const int64_t elapsed = now - state.since;
    if (elapsed < WINDOW_NS)
        return settled() ? INT64_MAX : WINDOW_NS - elapsed;
    uint64_t least;
    const uint64_t rate = dispatches(&least) * NSEC_PER_SEC / (uint64_t)elapsed;
    const bool changed = state.changed;
    state.since = now;
    state.changed = false;
    if (!changed)
        judge(now, sched.nprocs, rate, least > (uint64_t)elapsed / TURN_NS);
    if (settled())
        return INT64_MAX;
    return state.phase == STEADY && !state.changed ? 2 * WINDOW_NS : WINDOW_NS;
}
