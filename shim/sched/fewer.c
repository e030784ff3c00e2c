/* Fewer procs where all get less done.
 *
 * Two things make several procs slower than fewer, and no look at a queue or a lock tells of either; so it is tried.
 *
 *   CONTENDED  User threads that run for less than a microsecond between two waits, and wait for each other (a queue under one mutex, with a thousand consumers),
 *              write to the same few lines: the mutex, the condition variable, our buckets, the run queues. On two CPUs each of these writes fetches its line from the other one.
 *              Suspected where none of the procs in use is idle and turns are shorter than TURN_NS on each.
 *   CROWDED    Other processes want the CPUs too, clients on the same machine for instance. What the second proc gets it takes from them, and both of our workers wait in the kernel's
 *              queue, with what they were doing: batches are small, threads are stolen from who does not run and find their memory in the other CPU's cache.
 *              Suspected where workers had to wait when they yielded (slice.c) and there are dispatches enough to count them.
 *
 * In a trial, windows with fewer and with all procs alternate, and each of the former is compared with the mean of the two of the latter around it. What it did more in
 * percent, less what is asked for (`least`), is added up: at `enough` it is fewer from here on; at -GIVE_UP, or at nothing after some patience, all, and no such trial for a pause,
 * which doubles with each that fails. The first window with far fewer dispatches ends a trial at once.
 *
 * Fewer is for HOLD_NS, or until it does no more than all did for a few windows. Then there is another trial, which begins with CREDIT: what was found lasts, as a rule.
 *
 * Yields do not count: who waits in a loop of them gets nothing done. Threads that compute go on without a proc, as ever.
 *
 * Context: sysmon only; procs_resize does the rest. */
#include "internal.h"

enum {
    TURN_NS = 3000,
    RATE = 20000, /* dispatches in a second: enough to compare windows of CROWDED by */
    CLIP = 30,    /* percent: no pair of windows counts for more, either way */
    GIVE_UP = 20,
    FAR_FEWER = 70, /* percent */
    PAIRS = 12,
    SLOW_WINDOWS = 3, /* one may be due to others on the machine */
    HOLD_NS = 500000000,
    HOLD_MOST_NS = 4000000000,
    CREDIT = 15,
    PAUSE_NS = 10000000, /* the window of a trial may have been another's on the machine */
    PAUSE_MOST_NS = 2000000000,
};

static const struct why {
    int64_t window;
    int64_t change; /* for so long after a change of the number nothing is counted */
    int least;      /* percent */
    int enough;     /* percent, added up */
    int patience;   /* pairs of windows, after which it is to be more than nothing */
    uint32_t slack; /* percent of what all did, not to be taken for slow */
} whys[] = {
    {1500000, 1500000, 10, 20, 2, 5},
    {20000000, 10000000, 5, 40, 5, 0}, /* the kernel's scheduler is slower than ours */
};
enum { CONTENDED, CROWDED, WHYS };

static struct {
    enum { STEADY, FEW, ALL } phase; /* FEW, ALL: in a trial, which are in use */
    uint32_t why;                    /* of the trial, or of those that are out of use */
    uint32_t wanted;                 /* by the CPUs and the options */
    uint32_t all, few;               /* of the trial */
    uint64_t rate_all, rate_few;     /* of the trial, dispatches in a second */
    uint64_t rate_wanted;            /* when what is wanted was last in use */
    int credit, score, pairs;
    int64_t since;                   /* the begin of the window */
    bool changed;                    /* the number, in this window, which so tells nothing */
    uint32_t slow;                   /* windows in a row, with fewer than wanted, that were no better */
    int64_t until, hold;             /* when another trial is due; how long that was */
    struct pause {
        int64_t next, pause; /* no trial before; how long none after one that fails */
    } of[WHYS];
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
    if (n == sched.nprocs)
        return;
    procs_resize(n);
    state.changed = true;
}

static void use_wanted(void)
{
    state.phase = STEADY;
    use(state.wanted);
}

void fewer_reset(void)
{
    memset(&state, 0, sizeof state);
    state.wanted = sched.nprocs;
    for (int i = 0; i < WHYS; i++)
        state.of[i].pause = PAUSE_NS;
}

void procs_wanted(uint32_t n)
{
    if (n == state.wanted || n < 1 || n > sched.nprocs_most)
        return;
    report(LOG_INFO, "%u procs in use, %u before", n, state.wanted);
    state.wanted = n;
    for (int i = 0; i < WHYS; i++)
        state.of[i].next = 0;
    use_wanted();
}

static bool better(uint64_t rate, uint64_t than, unsigned percent)
{
    return rate * 100 > than * percent;
}

static void try(uint32_t why, uint32_t all, uint32_t few, uint64_t rate, int credit)
{
    state.why = why;
    state.all = all;
    state.few = few;
    state.credit = state.score = credit;
    state.pairs = 0;
    state.slow = 0;
    /* With what the rate was already, where it was counted over such a window. */
    state.phase = rate ? FEW : ALL;
    state.rate_all = rate;
    use(state.phase == FEW ? few : all);
}

static void fail(int64_t now)
{
    struct pause *of = &state.of[state.why];
    of->next = now + of->pause;
    of->pause = of->pause * 2 < PAUSE_MOST_NS ? of->pause * 2 : PAUSE_MOST_NS;
    state.phase = STEADY;
    use(state.all);
}

static void settle(int64_t now)
{
    COUNT_SHARED(proc_cuts);
    if (state.all == state.wanted)
        state.rate_wanted = state.rate_all;
    state.hold = !state.credit ? HOLD_NS : state.hold * 2 < HOLD_MOST_NS ? state.hold * 2 : HOLD_MOST_NS;
    state.until = now + state.hold;
    state.of[state.why].pause = PAUSE_NS;
    for (int i = 0; i < WHYS; i++)
        state.of[i].next = now;
    state.phase = STEADY;
    use(state.few);
}

static int difference(uint64_t rate, uint64_t than)
{
    if (!than)
        return rate ? CLIP : 0;
    int64_t percent = ((int64_t)rate - (int64_t)than) * 100 / (int64_t)than;
    return percent > CLIP ? CLIP : percent < -CLIP ? -CLIP : (int)percent;
}

/* A window of a trial has passed. */
static void judge(int64_t now, uint64_t rate)
{
    const struct why *why = &whys[state.why];
    if (state.phase == FEW) {
        state.rate_few = rate;
        if (state.pairs == 0 && !state.credit && !better(rate, state.rate_all, FAR_FEWER)) {
            fail(now);
            return;
        }
        state.phase = ALL;
        use(state.all);
        return;
    }
    if (!state.rate_all)
        state.rate_all = rate; /* the first */
    else {
        state.score += difference(state.rate_few, (state.rate_all + rate) / 2) - why->least;
        state.pairs++;
        state.rate_all = (state.rate_all + rate) / 2;
    }
    if (state.score >= why->enough)
        settle(now);
    else if (state.score <= -GIVE_UP || (state.pairs >= why->patience && state.score <= 0) || state.pairs == PAIRS)
        fail(now);
    else {
        state.phase = FEW;
        use(state.few);
    }
}

static void steady(int64_t now, uint64_t rate, bool short_turns)
{
    const uint32_t n = sched.nprocs;
    if (n < state.wanted) {
        state.slow = !better(rate, state.rate_wanted, 100 + whys[state.why].slack) ? state.slow + 1 : 0;
        if (state.slow == SLOW_WINDOWS) {
            state.of[state.why].next = now + PAUSE_NS;
            use_wanted();
            return;
        }
        if (now >= state.until) {
            try(state.why, state.wanted, n, 0, CREDIT);
            return;
        }
    }
    if (n == 1)
        return;
    if (short_turns && now >= state.of[CONTENDED].next && !load_relaxed(&sched.nidle_procs))
        try(CONTENDED, n, n / 2, rate, 0);
    else if (rate >= RATE && now >= state.of[CROWDED].next && (int64_t)(load_relaxed(&sched.crowded_until) - tsc_now()) > 0)
        try(CROWDED, n, n - (n + 3) / 4, 0, 0);
}

/* Nothing is under way: no hurry to look. */
static bool settled(void)
{
    return state.phase == STEADY && !state.changed && sched.nprocs == state.wanted;
}

static int64_t window(void)
{
    const struct why *why = &whys[state.phase == STEADY && sched.nprocs == state.wanted ? CONTENDED : state.why];
    return state.changed ? why->change : why->window;
}

int64_t fewer_look(int64_t now)
{
    const int64_t elapsed = now - state.since;
    if (elapsed < window())
        return settled() ? INT64_MAX : window() - elapsed;
    uint64_t least;
    const uint64_t rate = dispatches(&least) * NSEC_PER_SEC / (uint64_t)elapsed;
    const bool changed = state.changed;
    state.since = now;
    state.changed = false;
    if (!changed && state.phase != STEADY)
        judge(now, rate);
    else if (!changed)
        steady(now, rate, least > (uint64_t)elapsed / TURN_NS);
    if (settled())
        return INT64_MAX;
    return state.phase == STEADY && !state.changed ? 2 * window() : window();
}
