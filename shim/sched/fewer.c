/* Fewer procs where all get less done.
 *
 * Two things make several procs slower than fewer, and no look at a queue or a lock tells of either; so it is tried.
 *
 *   CONTENDED  User threads that run for less than a microsecond between two waits, and wait for each other (a queue under one mutex, with a thousand consumers),
 *              write to the same few lines: the mutex, the condition variable, our buckets, the run queues. On two CPUs each of these writes fetches its line from the other one.
 *              Suspected where none of the procs in use is idle and turns are shorter than TURN_NS on each.
 *   CROWDED    Other processes want the CPUs too, clients on the same machine for instance. What the second proc gets it takes from them, and both of our workers wait in the kernel's
 *              queue, with what they were doing: batches are small, threads are stolen from who does not run and find their memory in the other CPU's cache.
 *              Suspected where workers had to wait when they yielded (slice.c) and there are many dispatches.
 *
 * In a trial, windows with fewer and with all procs alternate, and each of the former is compared with the mean of the two of the latter around it. What got done: dispatches where
 * it is CONTENDED, since there calls are mostly waits. Where it is CROWDED system calls, for a server whose next request is there already goes on without a dispatch; and since a wait may
 * itself take two calls (one that finds nothing, and poll), also calls less two for each dispatch, unless that is next to nothing: the smaller difference counts. What was done more in
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
    RATE = 20000, /* dispatches in a second: turns so short that the number of procs may matter */
    WAIT_CALLS = 2,
    CLIP = 30,    /* percent: no pair of windows counts for more, either way */
    GIVE_UP = 20,
    FAR_FEWER = 30, /* percent */
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
    int slack;      /* so many percent more than all did is no more */
} whys[] = {
    {1500000, 1500000, 10, 20, 2, 5},
    {20000000, 10000000, 5, 50, 5, 0}, /* the kernel's scheduler is slower than ours */
};
enum { CONTENDED, CROWDED, WHYS };

/* In a second. */
struct rate {
    uint64_t dispatches, calls;
};

static struct {
    enum { STEADY, FEW, ALL } phase; /* FEW, ALL: in a trial, which are in use */
    uint32_t why, out;               /* of the trial, else of those that are out of use; of these */
    uint32_t wanted;                 /* by the CPUs and the options */
    uint32_t all, few;               /* of the trial */
    struct rate all_did, few_did;    /* in the trial */
    struct rate wanted_did;          /* when what is wanted was last in use */
    int credit, score, pairs;
    int64_t since;                   /* the begin of the window */
    uint32_t calls;                  /* at that time */
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

/* Likewise. 32-bit sums wrap; their differences do not. */
static uint32_t calls(void)
{
    uint32_t now = 0, before = state.calls;
    for (uint32_t i = 0, n = load_relaxed(&sched.nworkers); i < n; i++)
        now += load_relaxed(&sched.workers[i].emuls) + load_relaxed(&sched.workers[i].systick);
    state.calls = now;
    return now - before;
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

static int percent_more(uint64_t a, uint64_t b)
{
    if (!b)
        return a ? CLIP : 0;
    int64_t percent = ((int64_t)a - (int64_t)b) * 100 / (int64_t)b;
    return percent > CLIP ? CLIP : percent < -CLIP ? -CLIP : (int)percent;
}

static uint64_t without_waits(struct rate r)
{
    uint64_t waits = WAIT_CALLS * r.dispatches;
    return r.calls > waits ? r.calls - waits : 0;
}

/* How much more a did than b, percent, at most CLIP either way. */
static int more(struct rate a, struct rate b)
{
    if (state.why == CONTENDED)
        return percent_more(a.dispatches, b.dispatches);
    int all = percent_more(a.calls, b.calls), rest = percent_more(without_waits(a), without_waits(b));
    return without_waits(b) >= b.calls / 4 && rest < all ? rest : all;
}

static struct rate mean(struct rate a, struct rate b)
{
    return (struct rate){(a.dispatches + b.dispatches) / 2, (a.calls + b.calls) / 2};
}

/* did: by all, if that is known; else the first window tells. */
static void try(uint32_t why, uint32_t all, uint32_t few, struct rate did, int credit)
{
    state.why = why;
    state.all = all;
    state.few = few;
    state.credit = state.score = credit;
    state.pairs = 0;
    state.slow = 0;
    state.phase = did.dispatches ? FEW : ALL;
    state.all_did = did;
    calls(); /* from here on */
    use(state.phase == FEW ? few : all);
}

static void fail(int64_t now)
{
    struct pause *of = &state.of[state.why];
    of->next = now + of->pause;
    of->pause = of->pause * 2 < PAUSE_MOST_NS ? of->pause * 2 : PAUSE_MOST_NS;
    state.why = state.out;
    state.phase = STEADY;
    use(state.all);
}

static void settle(int64_t now)
{
    COUNT_SHARED(proc_cuts);
    state.out = state.why;
    if (state.all == state.wanted)
        state.wanted_did = state.all_did;
    state.hold = !state.credit ? HOLD_NS : state.hold * 2 < HOLD_MOST_NS ? state.hold * 2 : HOLD_MOST_NS;
    state.until = now + state.hold;
    state.of[state.why].pause = PAUSE_NS;
    for (int i = 0; i < WHYS; i++)
        state.of[i].next = now;
    state.phase = STEADY;
    use(state.few);
}

/* A window of a trial has passed. */
static void judge(int64_t now, struct rate did)
{
    const struct why *why = &whys[state.why];
    if (state.phase == FEW) {
        state.few_did = did;
        if (state.pairs == 0 && !state.credit && more(did, state.all_did) <= -FAR_FEWER)
            fail(now);
        else {
            state.phase = ALL;
            use(state.all);
        }
        return;
    }
    if (state.all_did.dispatches) {
        state.all_did = mean(state.all_did, did);
        state.score += more(state.few_did, state.all_did) - why->least;
        state.pairs++;
    } else
        state.all_did = did; /* the first */
    if (state.score >= why->enough)
        settle(now);
    else if (state.score <= -GIVE_UP || (state.pairs >= why->patience && state.score <= 0) || state.pairs == PAIRS ||
             (state.why == CROWDED && did.dispatches < RATE))
        fail(now);
    else {
        state.phase = FEW;
        use(state.few);
    }
}

static void steady(int64_t now, struct rate did, bool short_turns)
{
    const uint32_t n = sched.nprocs;
    if (n < state.wanted) {
        state.slow = more(did, state.wanted_did) <= whys[state.why].slack ? state.slow + 1 : 0;
        if (state.slow == SLOW_WINDOWS) {
            state.of[state.why].next = now + PAUSE_NS;
            use_wanted();
            return;
        }
        if (now >= state.until) {
            try(state.why, state.wanted, n, (struct rate){0}, CREDIT);
            return;
        }
    }
    if (n == 1)
        return;
    if (short_turns && now >= state.of[CONTENDED].next && !load_relaxed(&sched.nidle_procs))
        try(CONTENDED, n, n / 2, did, 0);
    else if (did.dispatches >= RATE && now >= state.of[CROWDED].next && (int64_t)(load_relaxed(&sched.crowded_until) - tsc_now()) > 0)
        try(CROWDED, n, n - (n + 3) / 4, (struct rate){0}, 0);
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
    const bool counted = state.phase != STEADY || sched.nprocs < state.wanted; /* calls: else nobody asks, and workers may be many */
    struct rate did = {dispatches(&least), counted ? calls() : 0};
    did.dispatches = did.dispatches * NSEC_PER_SEC / (uint64_t)elapsed;
    did.calls = did.calls * NSEC_PER_SEC / (uint64_t)elapsed;
    const bool changed = state.changed;
    state.since = now;
    state.changed = false;
    if (!changed && state.phase != STEADY)
        judge(now, did);
    else if (!changed)
        steady(now, did, least > (uint64_t)elapsed / TURN_NS);
    if (settled())
        return INT64_MAX;
    return state.phase == STEADY && !state.changed ? 2 * window() : window();
}
