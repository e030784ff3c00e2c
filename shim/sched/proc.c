/* Procs and workers: who may run user threads, and what a worker does when it has none.
 *
 * 1. Looking for work without losing any (Go's protocol)
 *
 *   Submitting:  put u in a queue (RMW or a fence: full barrier), then, if some proc is idle and
 *                nobody spins, make one worker spin (CAS nspinning 0 -> 1) with an idle proc.
 *   Looking:     a worker that finds its queue empty spins (nspinning + 1), bounded to half of the busy
 *                procs, and looks everywhere. When it finds work and was the last to spin, it
 *                makes another spin, since there may be more. When it finds none: it gives the proc
 *                back (under sched.lock, after a last look at the global queue), nspinning - 1 (RMW: full
 *                barrier), and looks at all queues ONCE MORE. Either the submitter sees nobody
 *                spinning and wakes somebody, or this last look sees its work.
 *   The model: tests/models/wakeup.pml.
 *
 *   One exception, for speed: a user thread readied into an empty `next` slot wakes nobody; the
 *   waker will most likely park. If it does not, a spinning worker or sysmon takes it, and
 *   u->wake_soon remembers.
 *
 * 2. Taking a proc from a worker that is in program code or in the kernel
 *
 *   A worker touches its proc only while w->hook is 1. One word, w->claim, decides who has it:
 *     HELD -> ASKED   proc_take [sysmon]
 *     ASKED -> HELD   proc_regain [the worker: "I am here"], or proc_take giving up
 *     ASKED -> LOST   proc_take, having seen hook == 0 after the membarrier
 *     HELD -> LOST    the worker itself, giving the proc away before it blocks
 *     LOST -> HELD    proc_acquire [the worker]
 *   The worker: hook = 1; compiler barrier; look at claim. sysmon: claim = ASKED; membarrier; look
 *   at hook. membarrier makes every running thread of the process pass a full barrier, so either the
 *   worker sees ASKED, or sysmon sees hook == 1: the fast side pays for no fence. hook = 0 is a
 *   release, which the load of hook in proc_take acquires: sysmon sees the proc as it was left.
 *   The model: tests/models/take.pml.
 *   A worker that lost its proc runs on as an ordinary kernel thread until its next hook.
 */
#include "internal.h"

#include "../arch/x86_64/bases.h"
#include "../base/arena.h"
#include "../emul/emul.h"

struct sched sched;
uint32_t sched_active;
uint32_t gs_doubtful = 1;
static uint32_t sysmon_due; /* atomic. 1: by sched_started, or a worker; 2: by a worker that is being born */
struct lock worker_birth;
struct sched_upcalls sched_up;
bool chaos_on;
static uint64_t chaos_state;
static int64_t poll_every; /* TSC ticks of POLL_NS */

enum {
    SPIN_NS = 15000,      /* how long an idle worker looks around before it sleeps, at most: where that mostly */
    SPIN_LEAST_NS = 400,  /* came to nothing, less: one look around */
    VAIN_POLLS = 8,       /* after so many there is no look before sleep, */
    VAIN_POLLS_OVER_NS = 3000, /* until one finds something in less: without having slept */
    TIMER_NEAR_NS = 4000, /* about what it takes to go to sleep and come back */
    LONG_TURN_NS = 200000, /* who runs so long computes */
    QUANTUM_NS = 2000000, /* sched.quantum_tsc, at most */
    CHAIN_NS = 1000000,   /* for so long two that wake each other go before those in the ring */
    POLL_NS = 100000,     /* how long a busy proc goes without a look at descriptors */
    POLL_OVER = 32,       /* user threads */
    GQ_BATCH = 8,         /* taken from the global queue at once, unless it is long */
    NEXT_AGE_NS = 4000,   /* age from which a spinner takes another's next slot */
    G0_SIZE = 64 * 1024,
};

const char *const event_names[] = {"run",  "park",  "ready", "yield", "take",  "lost",    "regain", "sleep",
                                   "wake", "steal", "exit",  "create", "poll", "syscall", "signal", "timer"};

bool chaos_slow(unsigned n)
{
    uint64_t x = __atomic_add_fetch(&chaos_state, 0x9e3779b97f4a7c15ull, __ATOMIC_RELAXED);
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return (x ^ x >> 31) % n == 0;
}

/* ---- owning procs ---- */

/* Work had found no worker (sched_wake_one). */
static cold void limit_over(void)
{
    int64_t since = load_relaxed(&sched.need_since);
    if (cas(&sched.need_worker, 1u, 0u))
        __atomic_fetch_add(&stats_shared->worker_limit_us, (uint64_t)tsc_to_ns((int64_t)tsc_now() - since) / 1000,
                           __ATOMIC_RELAXED);
}

void proc_acquire(struct worker *w, struct proc *p)
{
    if (unlikely(load_relaxed(&sched.need_worker)))
        limit_over();
    p->worker = w;
    w->proc = p;
    store_relaxed(&p->st->worker, (int32_t)w->index);
    store_relaxed(&p->st->state, PROC_RUNNING);
    store_relaxed(&w->pub->proc, (int32_t)p->index);
    store_release(&w->claim, CLAIM_HELD); /* pairs with the CAS in proc_take */
    if (unlikely(load_relaxed(&sched.sysmon_asleep))) {
        store_relaxed(&sched.sysmon_asleep, 0u);
        futex_wake_kernel(&sched.sysmon_asleep, 1);
    }
}

/* ---- how many ----
 *
 * The CPUs that we may use change (affinity, quota), and the procs in use with them: procs_resize. All under sched.lock:
 *   - More are wanted: procs that are out of use, or were never in it, become idle ones.
 *   - Fewer are wanted: idle ones go out of use at once; of the busy ones as many as are left to go are counted in
 *     `surplus`, and whoever gives a proc back next (idle_push) takes it out of use instead. A worker that has one looks
 *     at surplus before each user thread (shed), and sysmon takes those whose workers stay away long (look_at).
 * So nidle_procs is 0 while surplus is not, and the procs in use are nprocs + surplus.
 * What waits in the queue of a proc that goes out of use is moved to the global queue (after the lock is dropped, as a thief would:
 * the proc may be in use again by then). Its timers stay: everybody's looks go over all procs that ever were in use.
 * The model: tests/models/resize.pml.
 */

/* Under sched.lock; p is held by nobody, and in no list. */
static void out_of_use(struct proc *p)
{
    p->unused = true;
    p->worker = NULL;
    store_relaxed(&p->st->worker, -1);
    store_relaxed(&p->st->state, PROC_DEAD);
}

static cold void drain(struct proc *p)
{
    struct uthread *u;
    while ((u = runq_take(p)))
        gq_put(u);
}

/* Under sched.lock. After it, the caller drains p if it is now out of use. */
static void idle_push(struct proc *p)
{
    if (unlikely(sched.surplus)) {
        store_relaxed(&sched.surplus, sched.surplus - 1);
        out_of_use(p);
        return;
    }
    p->worker = NULL;
    store_relaxed(&p->st->worker, -1);
    store_relaxed(&p->st->state, PROC_IDLE);
    p->idle_next = sched.idle_procs;
    sched.idle_procs = p;
    store_relaxed(&sched.nidle_procs, sched.nidle_procs + 1);
}
static struct proc *idle_pop(void)
{
    struct proc *p = sched.idle_procs;
    if (p) {
        sched.idle_procs = p->idle_next;
        store_relaxed(&sched.nidle_procs, sched.nidle_procs - 1);
    }
    return p;
}

static struct proc *idle_take(void)
{
    if (!load_relaxed(&sched.nidle_procs))
        return NULL;
    lock_take(&sched.lock);
    struct proc *p = idle_pop();
    lock_drop(&sched.lock);
    return p;
}

/* ---- workers ---- */

static void worker_run_g0(void *arg)
{
    struct worker *w = arg;
    if (w->given && !w->bound) { /* a bound one may have been handed one already; it takes it in wire_wait */
        struct proc *p = w->given;
        w->given = NULL;
        proc_acquire(w, p);
    }
    w->now_tsc = tsc_now();
    schedule();
}

static cold void sysmon_start(void)
{
    if (xchg(&sysmon_due, 0u) && helper_start(sysmon_main, NULL, 64 * 1024) < 0)
        store_relaxed(&sysmon_due, 1u); /* whoever comes next tries again */
}

static int worker_main(void *arg)
{
    struct worker *w = arg;
    bases_worker(w, 0);
    slice_begins(w);
    emul_worker_init(w);
    if (unlikely(load_relaxed(&sysmon_due)) && !w->bound)
        sysmon_start();
    worker_run_g0(w);
    return 0;
}

/* A slot and a stack; NULL at the limit. */
static struct worker *worker_again(void)
{
    struct worker *w;
    lock_take(&sched.lock);
    struct worker **at = &sched.ended_workers;
    while ((w = *at) && load_acquire(&w->alive)) /* cleared by the kernel */
        at = &w->idle_next;
    if (w)
        *at = w->idle_next;
    lock_drop(&sched.lock);
    if (!w)
        return NULL;
    w->hook = 1;
    w->claim = CLAIM_LOST;
    w->vec_inuse = ~0ull;
    w->cur = w->wired = NULL;
    w->bound = w->wake = w->sysno1 = w->setxid_due = 0;
    w->quit = w->poked = 0;
    w->cpu_last = 0;
    w->pub->proc = w->pub->sysno = -1;
    w->pub->state = WORKER_SPIN;
    __atomic_fetch_add(&stats->workers_live, 1, __ATOMIC_RELAXED);
    return w;
}

static struct worker *worker_new(void)
{
    struct worker *again = load_relaxed(&sched.ended_workers) ? worker_again() : NULL;
    if (again)
        return again;
    uint32_t i = load_relaxed(&sched.nworkers);
    do {
        if (i >= load_relaxed(&sched.max_workers))
            return NULL;
    } while (!__atomic_compare_exchange_n(&sched.nworkers, &i, i + 1, 0, __ATOMIC_SEQ_CST,
                                          __ATOMIC_SEQ_CST));
    struct worker *w = &sched.workers[i];
    uint64_t sigsize = emul_sigstack_size();
    char *base = arena_take(PAGE_SIZE + G0_SIZE + sigsize, 0);
    if (!base || sys3(__NR_mprotect, P(base), PAGE_SIZE, 0) < 0)
        return NULL; /* the slot is lost; the limit of workers shrinks by one */
    populate(base + G0_SIZE, PAGE_SIZE); /* where g0 begins */
    w->self = w;
    w->index = i;
    w->g0_base = base;
    w->g0_top = (uint64_t)(base + PAGE_SIZE + G0_SIZE - 64);
    w->sigstack = base + PAGE_SIZE + G0_SIZE;
    w->sigstack_size = sigsize;
    w->hook = 1;
    w->claim = CLAIM_LOST;
    w->vec_inuse = ~0ull;
    w->pub = stats_worker(i);
    w->pub->proc = w->pub->sysno = -1;
    w->pub->state = WORKER_SPIN;
    if (stats->workers_hwm < i + 1)
        store_relaxed(&stats->workers_hwm, i + 1);
    __atomic_fetch_add(&stats->workers_live, 1, __ATOMIC_RELAXED);
    return w;
}

enum { THREAD_FLAGS = 0x00000100 | 0x00000200 | 0x00000400 | 0x00000800 | 0x00010000 | 0x00040000 |
                      0x00100000 /* VM FS FILES SIGHAND THREAD SYSVSEM PARENT_SETTID */ };

struct helper helpers[HELPERS_MAX];
uint32_t nhelpers;

long helper_start(int (*fn)(void *), void *arg, size_t stack)
{
    lock_take(&worker_birth);
    struct helper *h = &helpers[nhelpers];
    char *base = nhelpers < HELPERS_MAX ? arena_take(stack, 0) : NULL;
    if (base)
        populate(base + stack - PAGE_SIZE, PAGE_SIZE);
    long r = base ? thread_clone(THREAD_FLAGS, base + stack, &h->tid, fn, arg) : -12;
    if (r > 0) {
        h->setxid_due = 0;
        store_release(&nhelpers, nhelpers + 1); /* pairs with the acquire of who looks for itself */
    } else if (base)
        sys_unmap(base, stack);
    lock_drop(&worker_birth);
    return r;
}

/* A new worker, with p and what it is to do. NULL: none to be had. */
struct worker *worker_spawn(struct proc *p, bool spinning, struct uthread *u, bool bound)
{
    struct worker *w = worker_new();
    if (!w)
        return NULL;
    w->given = p;
    w->spinning = spinning;
    w->wired = u;
    w->bound = bound;
    const bool starts = unlikely(load_relaxed(&sysmon_due) == 1) && !bound;
    if (starts)
        store_relaxed(&sysmon_due, 2u);
    lock_take(&worker_birth);
    long r = thread_clone(THREAD_FLAGS, (void *)w->g0_top, &w->ktid, worker_main, w);
    lock_drop(&worker_birth);
    if (starts && r < 0)
        store_relaxed(&sysmon_due, 1u);
    if (r < 0) {
        static uint32_t told;
        if (!xchg(&told, 1u))
            report(LOG_WARN, "cannot start a worker: clone: %s; user threads queue for those that there are", error_name(-r));
        w->pub->state = WORKER_FREE;
        w->ktid = 0;
        w->alive = 0;
        __atomic_fetch_sub(&stats->workers_live, 1, __ATOMIC_RELAXED);
        lock_take(&sched.lock);
        w->idle_next = sched.ended_workers;
        sched.ended_workers = w;
        lock_drop(&sched.lock);
        return NULL;
    }
    store_relaxed(&w->pub->ktid, (int32_t)r);
    COUNT_SHARED(worker_starts);
    return w;
}

static bool worker_start(struct proc *p, bool spinning)
{
    struct worker *me = worker_or_null();
    if (unlikely(me && me->bound)) { /* what it makes would inherit what it was wired for */
        p->birth_spins = spinning;
        lock_take(&sched.lock);
        p->idle_next = sched.births;
        sched.births = p;
        lock_drop(&sched.lock);
        sched_up.births();
        return true;
    }
    return worker_spawn(p, spinning, NULL, false) != NULL;
}

/* Run p on some worker: a sleeping one, else a new one. False: none to be had; p is the caller's. */
bool worker_for(struct proc *p, bool spinning)
{
    lock_take(&sched.lock);
    struct worker *w = sched.idle_workers;
    if (w) {
        sched.idle_workers = w->idle_next;
        sched.nworkers_idle--;
    }
    lock_drop(&sched.lock);
    if (!w)
        return worker_start(p, spinning);
    w->given = p;
    w->spinning = spinning;
    COUNT_SHARED(worker_wakes);
    xchg(&w->wake, 1u); /* pairs with the load in worker_sleep */
    futex_wake_kernel(&w->wake, 1);
    return true;
}

/* Is anything in a queue anywhere? */
static bool any_work(void)
{
    if (load_relaxed(&sched.gq_len))
        return true;
    for (uint32_t i = 0; i < load_acquire(&sched.nprocs_seen); i++)
        if (runq_len(&sched.procs[i]))
            return true;
    return false;
}

/* No worker is to be had. What waits in the queue of a proc without one goes to the global queue, where those that run the
 * other procs find it: they need never run out of work of their own and come stealing. */
static cold void share_stranded(void)
{
    for (uint32_t i = 0; i < load_acquire(&sched.nprocs_seen); i++)
        if (!load_relaxed(&sched.procs[i].worker))
            drain(&sched.procs[i]);
}

/* No worker to be had: who leaves the poller or a system call takes it. */
void worker_none(struct proc *p, bool spinning)
{
    lock_take(&sched.lock);
    idle_push(p);
    lock_drop(&sched.lock);
    share_stranded();
    if (!load_relaxed(&sched.need_worker)) {
        store_relaxed(&sched.need_since, (int64_t)tsc_now());
        xchg(&sched.need_worker, 1u);
        COUNT_SHARED(worker_limit);
    }
    if (spinning)
        add_fetch(&sched.nspinning, (uint32_t)-1);
    if (load_relaxed(&sched.poller))
        sched_up.poll_break();
}

void sched_wake_one(void)
{
    do {
        if (!load_relaxed(&sched.nidle_procs) || load_relaxed(&sched.nspinning) || !cas(&sched.nspinning, 0u, 1u))
            return;
        struct proc *p = idle_take();
        if (p && worker_for(p, true))
            return;
        if (p) {
            worker_none(p, true);
            return;
        }
        /* No proc was idle after all. Who submitted meanwhile relied on us: look once more (full barrier). */
        add_fetch(&sched.nspinning, (uint32_t)-1);
    } while (load_relaxed(&sched.nidle_procs) && any_work());
}

bool work_waits(struct proc *p)
{
    return runq_len(p) || load_relaxed(&sched.gq_len);
}

/* We are about to be busy, or to sleep, while a worker sleeps in the poller until a later time than the
 * timer at `min`: let it look again. The barriers are described in timer.c. */
static inline void cover_timers(int64_t min)
{
    if (min != INT64_MAX && load_relaxed(&sched.poller) && min < load_relaxed(&sched.poll_until))
        sched_up.poll_break();
}

/* p has no worker now: is there a use for it? */
void proc_give(struct proc *p)
{
    bool poll = load_relaxed(&sched.npollwait) && !load_relaxed(&sched.poller);
    bool timers = load_relaxed(&p->timer_min) != INT64_MAX && !load_relaxed(&sched.poller);
    if (!load_relaxed(&sched.surplus) && (work_waits(p) || poll || timers) && worker_for(p, false))
        return;
    lock_take(&sched.lock);
    idle_push(p);
    bool unused = p->unused;
    lock_drop(&sched.lock);
    if (unlikely(unused))
        drain(p);
    fence_full(); /* idle before the last look: pairs with the submitter's barrier, and the poller's leaving */
    if (work_waits(p) || ((load_relaxed(&sched.npollwait) || load_relaxed(&p->timer_min) != INT64_MAX) &&
                          !load_relaxed(&sched.poller)))
        sched_wake_one();
    cover_timers(load_relaxed(&p->timer_min));
}

static struct proc *put_down(struct worker *w)
{
    struct proc *p = w->proc;
    w->proc = NULL;
    xchg(&w->claim, (uint32_t)CLAIM_LOST); /* a taker's CAS from ASKED fails now */
    store_relaxed(&w->pub->proc, -1);
    p->worker = NULL;
    return p;
}

void proc_release(struct worker *w)
{
    if (w->proc)
        proc_give(put_down(w));
}

bool proc_pass_on(struct worker *w)
{
    struct proc *p = put_down(w);
    if (worker_for(p, false))
        return true;
    proc_acquire(w, p);
    return false;
}

/* ---- taking and regaining ---- */

struct proc *proc_take(struct proc *p)
{
    struct worker *w = load_relaxed(&p->worker);
    if (!w || !cas(&w->claim, (uint32_t)CLAIM_HELD, (uint32_t)CLAIM_ASKED))
        return NULL;
    membarrier(); /* pairs with hook_enter */
    if (load_acquire(&w->hook) == 0 && w->proc == p) {
        /* Counted before it can know: as soon as it sees LOST it takes itself off (proc_regain). in_block is as its
         * owner left it before hook became 0. */
        bool stuck = !load_relaxed(&w->in_block);
        if (stuck) {
            add_fetch(&sched.nstuck, 1u);
            store_release(&w->stuck, 1u); /* pairs with the xchg in proc_regain */
        }
        if (cas(&w->claim, (uint32_t)CLAIM_ASKED, (uint32_t)CLAIM_LOST)) {
            store_relaxed(&w->pub->proc, -1);
            store_relaxed(&p->worker, NULL);
            return p;
        }
        if (stuck && xchg(&w->stuck, 0u))
            add_fetch(&sched.nstuck, (uint32_t)-1);
    }
    cas(&w->claim, (uint32_t)CLAIM_ASKED, (uint32_t)CLAIM_HELD);
    return NULL;
}

static void regain_g0(struct uthread *u)
{
    struct worker *w = worker_self();
    w->cur = NULL;
    gq_put(u);
    fence_full();
    sched_wake_one();
    schedule();
}

/* hook is 1, claim was not HELD. */
cold void proc_regain(void)
{
    struct worker *w = worker_self();
    /* The taker may give up and ask again between our looks: only LOST is lost. */
    while (load_acquire(&w->claim) != CLAIM_LOST)
        if (cas(&w->claim, (uint32_t)CLAIM_ASKED, (uint32_t)CLAIM_HELD) || load_acquire(&w->claim) == CLAIM_HELD)
            return;
    struct uthread *u = w->cur;
    w->proc = NULL;
    if (load_relaxed(&w->stuck) && xchg(&w->stuck, 0u))
        add_fetch(&sched.nstuck, (uint32_t)-1);
    struct proc *p = idle_take();
    if (p) {
        proc_acquire(w, p);
        p->slice_start = tsc_now();
        event(p, EV_REGAIN, u->tid);
        return;
    }
    turn_ends(w, u);
    store_relaxed(&u->pub->state, UTHREAD_RUNNABLE);
    store_relaxed(&u->pub->wait, WAIT_WORKER);
    store_relaxed(&u->pub->since, w->now_tsc);
    u->ready_tsc = (uint32_t)w->now_tsc | 1;
    ctx_park(u, w->g0_top, regain_g0, &w->vec_inuse);
}

bool sched_other_work(void)
{
    struct proc *p = worker_self()->proc;
    return work_waits(p) || load_relaxed(&p->timer_min) != INT64_MAX ||
           (load_relaxed(&sched.npollwait) && !load_relaxed(&sched.poller));
}

void entersyscall_block(int nr)
{
    struct worker *w = worker_self();
    struct proc *p = w->proc;
    if (sched_other_work())
        COUNT(handoff_syscall);
    else
        COUNT(direct_block);
    event(p, EV_SYSCALL, nr);
    store_relaxed(&w->sysno1, (uint32_t)nr + 1);
    w->proc = NULL;
    xchg(&w->claim, (uint32_t)CLAIM_LOST); /* a taker's CAS from ASKED fails now */
    store_relaxed(&w->pub->proc, -1);
    p->worker = NULL;
    proc_give(p);
    store_release(&w->hook, 0u);
}

/* p, all zero. */
static void proc_init(struct proc *p, uint32_t i)
{
    p->st = stats_proc(i);
    p->st->worker = -1;
    p->index = i;
    p->rand = i * 2654435761u + 88172645u;
    p->timer_min = INT64_MAX;
    p->events = stats_ring(i);
    p->unused = true;
}

void procs_resize(uint32_t n)
{
    if (n == load_relaxed(&sched.nprocs) || n < 1 || n > sched.nprocs_most)
        return;
    lock_take(&sched.lock);
    uint32_t in_use = sched.nprocs + sched.surplus, last = 0;
    store_relaxed(&sched.nprocs, n);
    while (in_use > n && sched.idle_procs) {
        out_of_use(idle_pop());
        in_use--;
    }
    store_relaxed(&sched.surplus, in_use > n ? in_use - n : 0);
    for (uint32_t i = 0; in_use < n && i < sched.nprocs_most; i++) {
        struct proc *p = &sched.procs[i];
        if (!p->st)
            proc_init(p, i);
        if (!p->unused)
            continue;
        p->unused = false;
        idle_push(p);
        in_use++;
        if (i >= sched.nprocs_seen)
            store_release(&sched.nprocs_seen, i + 1); /* pairs with the acquire in the loops over all */
    }
    for (uint32_t i = 0; i < sched.nprocs_seen; i++)
        if (!sched.procs[i].unused)
            last = i;
    lock_drop(&sched.lock);
    store_relaxed(&stats->nprocs, last + 1);
    for (uint32_t i = 0; i < sched.nprocs_seen; i++)
        if (load_relaxed(&sched.procs[i].unused))
            drain(&sched.procs[i]);
    sched_wake_one();
}

/* w's proc, to the idle ones. Under sched.lock. */
static inline void lay_down(struct worker *w)
{
    struct proc *p = w->proc;
    w->proc = NULL;
    store_relaxed(&w->pub->proc, -1);
    store_relaxed(&w->claim, CLAIM_LOST);
    event(p, EV_SLEEP, 0);
    idle_push(p);
}

/* Too many procs: w gives up its own. True: it has none now. On g0. */
static cold bool shed(struct worker *w)
{
    struct proc *p = w->proc;
    lock_take(&sched.lock);
    if (!sched.surplus) {
        lock_drop(&sched.lock);
        return false;
    }
    lay_down(w);
    lock_drop(&sched.lock);
    drain(p);
    if (w->spinning) {
        w->spinning = 0;
        add_fetch(&sched.nspinning, (uint32_t)-1);
    } else
        fence_full(); /* the queue before the look at idle procs */
    sched_wake_one();
    cover_timers(load_relaxed(&p->timer_min));
    return true;
}

/* ---- workers in the kernel ----
 *
 * (Sysmon sees to the rest: relieve.)
 *
 * MAX_WORKERS bounds them. If all stood in calls that only another user thread of this process can end (a lock, a
 * message), nobody would be left to run that one. So those calls take at most block_budget workers, and the last
 * ones are for what can run. What ends by itself (files) is not asked, only counted, when sysmon took its proc.
 */
static uint32_t workers_in_kernel(void)
{
    int32_t stuck = (int32_t)load_relaxed(&sched.nstuck);
    return load_relaxed(&sched.nblocked) + load_relaxed(&sched.nwired) + (stuck > 0 ? (uint32_t)stuck : 0);
}

bool block_admit(bool again)
{
    if (chaos(2))
        return false;
    if (workers_in_kernel() >= sched.block_budget || load_relaxed(&sched.need_worker))
        return false;
    if (load_relaxed(&sched.nworkers) >= load_relaxed(&sched.max_workers) && !load_relaxed(&sched.nworkers_idle) &&
        sched_other_work())
        return false; /* who would run that? */
    block_begin();
    if (workers_in_kernel() > sched.block_budget) { /* another was faster */
        block_end();
        return false;
    }
    if (again)
        store_relaxed(&worker_self()->in_block, BLOCK_AGAIN);
    return true;
}

bool run_without_proc(void)
{
    if (load_relaxed(&sched.need_worker) || workers_in_kernel() >= sched.block_budget / 2)
        return false;
    struct worker *w = worker_self();
    if (!load_relaxed(&w->stuck)) {
        add_fetch(&sched.nstuck, 1u);
        store_release(&w->stuck, 1u); /* until proc_regain */
    }
    return true;
}

void block_begin(void)
{
    add_fetch(&sched.nblocked, 1u);
    store_relaxed(&worker_self()->in_block, BLOCK_COUNTED);
}

void block_end(void)
{
    store_relaxed(&worker_self()->in_block, BLOCK_NOT);
    add_fetch(&sched.nblocked, (uint32_t)-1);
}

/* ---- the scheduler loop ---- */

static uint32_t spin_now = SPIN_NS; /* how long idle workers look around. Relaxed, by all: an update that is lost does no harm */

/* Work came at `since` + what has passed, to a worker that had given up looking: was it hasty? */
static void work_came(uint64_t since)
{
    uint32_t ns = load_relaxed(&spin_now);
    if (tsc_now() - since < (uint64_t)ns_to_tsc(SPIN_NS))
        store_relaxed(&spin_now, ns < SPIN_NS / 2 ? ns * 2 : SPIN_NS);
}

static void worker_sleep(struct worker *w)
{
    uint64_t since = tsc_now();
    store_relaxed(&w->pub->state, WORKER_SLEEP);
    COUNT_SHARED(worker_sleeps);
    while (!load_acquire(&w->wake)) /* pairs with the xchg in worker_for */
        futex_wait_kernel(&w->wake, 0, NULL);
    store_relaxed(&w->wake, 0u);
    store_relaxed(&w->pub->state, WORKER_SPIN);
    slice_begins(w);
    struct proc *p = w->given;
    w->given = NULL;
    if (p) {
        work_came(since);
        proc_acquire(w, p);
    }
}

static struct uthread *inject(struct uthread *list, uint32_t n)
{
    struct uthread *first = list;
    list = list->next;
    first->next = NULL;
    store_relaxed(&first->pub->state, UTHREAD_RUNNABLE);
    first->ready_tsc = (uint32_t)tsc_now() | 1;
    if (n > 1) {
        sched_ready_list(list, n - 1);
        if (n == 2 && load_relaxed(&sched.nidle_procs)) /* one stays, one could run elsewhere */
            sched_wake_one();
    }
    return first;
}

static struct uthread *poll_now(struct proc *p)
{
    uint32_t n = 0;
    sched.last_poll = (int64_t)tsc_now();
    p->st->netpoll_polls++;
    struct uthread *list = sched_up.poll(0, &n);
    if (!list) {
        p->vain_polls++;
        return NULL;
    }
    p->vain_polls = 0;
    p->st->netpoll_wakes += n;
    return inject(list, n);
}

static void spin_stop(struct worker *w)
{
    w->spinning = 0;
    /* Found work and was the last to spin: there may be more. RMW: full barrier. */
    if (add_fetch(&sched.nspinning, (uint32_t)-1) == 0)
        sched_wake_one();
}

static struct uthread *look_around(struct proc *p, int64_t *due)
{
    struct uthread *seen_next = NULL;
    struct proc *seen_at = NULL;
    uint64_t start = tsc_now(), seen_when = 0, now;
    uint64_t spin = (uint64_t)ns_to_tsc(load_relaxed(&spin_now)), most = (uint64_t)ns_to_tsc(SPIN_NS);
    uint64_t age = (uint64_t)ns_to_tsc(NEXT_AGE_NS);
    do {
        uint32_t off = proc_random(p);
        now = tsc_now();
        uint32_t all = load_acquire(&sched.nprocs_seen);
        for (uint32_t i = 0; i < all; i++) {
            struct proc *v = &sched.procs[(off + i) % all];
            struct uthread *u;
            if (v == p)
                continue;
            struct uthread *next = load_relaxed(&v->next);
            bool next_too = false;
            if (next && seen_at == v && seen_next == next)
                next_too = now - seen_when > age || load_relaxed(&v->worker) == NULL;
            else if (next && seen_at != v) {
                seen_at = v;
                seen_next = next;
                seen_when = now;
            } else if (seen_at == v) {
                seen_next = next;
                seen_when = now;
            }
            uint32_t n = runq_steal(p, v, next_too, &u);
            if (n) {
                p->st->steals++;
                p->st->stolen += n;
                event(p, EV_STEAL, u->tid);
                return u;
            }
            int64_t when = load_relaxed(&v->timer_min);
            if (when != INT64_MAX && when <= *due + tsc_to_ns((int64_t)(now - start))) {
                uint32_t fired = timers_run(v, now_ns());
                p->st->timers_fired += fired;
                bool inherit;
                if (fired && (u = runq_get(p, &inherit)))
                    return u;
            }
        }
        if (load_relaxed(&sched.gq_len))
            return gq_get(p, 1);
        for (int i = 0; i < 20; i++)
            cpu_relax();
    } while (now - start < spin || (seen_next && now - start < most));
    return NULL;
}

/* Look for work elsewhere, for a while. Spinning pays when work comes meanwhile; on a machine that is busy with others, it takes from them. */
static struct uthread *steal(struct proc *p, int64_t *due)
{
    struct uthread *u = look_around(p, due);
    uint32_t ns = load_relaxed(&spin_now);
    if (u)
        store_relaxed(&spin_now, ns < SPIN_NS / 2 ? ns * 2 : SPIN_NS);
    else if (ns > SPIN_LEAST_NS)
        store_relaxed(&spin_now, ns - ns / 8);
    return u;
}

/* What a read in a libc function keeps on the stack, from ctx_park's vector registers up to the program's frame. */
#define STACK_AHEAD 1152

static inline struct uthread *in_queue(struct proc *p, uint32_t at) /* a stale one harms nobody: structs stay mapped */
{
    return load_relaxed(&p->runq[at % RUNQ_SIZE]);
}

/* With many user threads what the next ones touch has long left the cache: have it come while others run. Of a long queue by fours, so that
 * the processor looks up their pages side by side: first the structs, when these are here what a switch touches, and one turn before
 * it runs the stack. */
static inline void prefetch_following(struct proc *p)
{
    enum { STEP = 4 };
    uint32_t h = load_relaxed(&p->head), n = p->tail - h;
    if (n == 0)
        return;
    if (n > STEP) {
        if (h % STEP == 0) {
            for (uint32_t i = 2 * STEP; i < 3 * STEP && i < n; i++) {
                __builtin_prefetch(in_queue(p, h + i), 1);
                __builtin_prefetch(&in_queue(p, h + i)->waitw, 1);
            }
            for (uint32_t i = STEP; i < 2 * STEP && i < n; i++)
                uthread_prefetch(in_queue(p, h + i));
        }
    } else if (n > 1) {
        __builtin_prefetch(in_queue(p, h + 1), 1);
        __builtin_prefetch(&in_queue(p, h + 1)->waitw, 1);
    }
    struct uthread *u = in_queue(p, h);
    const char *sp = (const char *)load_relaxed(&u->rsp);
    uthread_prefetch(u);
    __builtin_prefetch(load_relaxed(&u->ahead), 1);
    const char *end = sp + STACK_AHEAD + (load_relaxed(&u->vec) == VEC_STACK ? load_relaxed(&u->vec_lines) * 64 - 280 : 0);
    for (sp += 64; sp < end; sp += 64)
        __builtin_prefetch(sp);
}

/* Nothing found: give the proc back and sleep, in the poller if nobody else does. Returns with
 * or without a proc (w->proc). */
static struct uthread *worker_idle(struct worker *w)
{
    struct proc *p = w->proc;
    lock_take(&sched.lock);
    if (p) {
        if (sched.gq_len) {
            lock_drop(&sched.lock);
            return NULL;
        }
        lay_down(w);
    }
    lock_drop(&sched.lock);
    if (w->spinning) {
        w->spinning = 0;
        add_fetch(&sched.nspinning, (uint32_t)-1); /* full barrier, then look once more */
    } else
        fence_full();
    if (p && any_work()) {
        p = idle_take();
        if (p) {
            proc_acquire(w, p);
            w->spinning = 1;
            add_fetch(&sched.nspinning, 1u);
            return NULL;
        }
    }

    if ((load_relaxed(&sched.npollwait) || timers_min() != INT64_MAX) &&
        cas(&sched.poller, 0u, 1u)) {
        store_seq(&sched.poll_until, INT64_MAX); /* then read the minima: see timer.c */
        int64_t until = timers_min(), delta = -1;
        store_seq(&sched.poll_until, until);
        if (until != INT64_MAX) {
            delta = until - now_ns();
            if (delta < 0)
                delta = 0;
        }
        store_relaxed(&w->pub->state, WORKER_POLL);
        uint32_t n = 0;
        uint64_t since = tsc_now();
        struct uthread *list = delta ? sched_up.poll(delta, &n) : NULL; /* 0: a timer is due */
        if (delta)
            slice_begins(w);
        store_seq(&sched.poll_until, 0);
        store_seq(&sched.poller, 0u);
        store_relaxed(&w->pub->state, WORKER_SPIN);
        if (delta)
            COUNT_SHARED(netpoll_polls);
        if (n)
            __atomic_fetch_add(&stats_shared->netpoll_wakes, n, __ATOMIC_RELAXED);
        p = idle_take();
        if (p) {
            proc_acquire(w, p);
            w->now_tsc = tsc_now();
            if (n && (int64_t)(w->now_tsc - since) < ns_to_tsc(VAIN_POLLS_OVER_NS))
                p->vain_polls = 0; /* it was there already */
            return list ? inject(list, n) : NULL;
        }
        while (list) {
            struct uthread *u = list;
            list = u->next;
            store_relaxed(&u->pub->state, UTHREAD_RUNNABLE);
            u->ready_tsc = (uint32_t)tsc_now() | 1;
            gq_put(u);
        }
        /* No proc was idle: those that run them will look at the global queue. But one may have gone idle
         * between: look again under the lock, with us in the list of idle workers. */
    }
    cover_timers(timers_min());
    lock_take(&sched.lock);
    if (sched.idle_procs && (sched.gq_len || sched.need_worker)) {
        p = idle_pop();
        store_relaxed(&sched.need_worker, 0u);
        lock_drop(&sched.lock);
        proc_acquire(w, p);
        return NULL;
    }
    w->idle_next = sched.idle_workers;
    sched.idle_workers = w;
    sched.nworkers_idle++;
    lock_drop(&sched.lock);
    /* Whoever has the poller's role might have left it between our look and here: sysmon sees to
     * waits that nobody polls. */
    worker_sleep(w);
    return NULL;
}

/* Nobody holds the procs that are out of use, but user threads whose timers are there still wait. */
static cold void timers_unused(struct proc *mine, int64_t *due)
{
    for (uint32_t i = 0; i < load_acquire(&sched.nprocs_seen); i++) {
        struct proc *p = &sched.procs[i];
        if (!load_relaxed(&p->unused) || load_relaxed(&p->timer_min) == INT64_MAX)
            continue;
        if (*due == INT64_MIN)
            *due = now_ns();
        mine->st->timers_fired += timers_run(p, *due);
    }
}

/* p's next timer is due before we could have gone to sleep and come back: wait for it here. */
static struct uthread *timer_at_once(struct proc *p, int64_t *due)
{
    int64_t when;
    bool inherit;
    do {
        cpu_relax();
        *due = now_ns();
        when = load_relaxed(&p->timer_min); /* anew: another worker may run it, or who waits be woken otherwise */
        if (when == INT64_MAX || when - *due > TIMER_NEAR_NS || load_relaxed(&sched.gq_len))
            return NULL;
    } while (when > *due);
    p->st->timers_fired += timers_run(p, *due);
    return runq_get(p, &inherit);
}

/* *late: it took its time. */
static struct uthread *find_runnable(struct worker *w, bool *inherit, bool *late)
{
    struct proc *p = w->proc;
    struct uthread *u;
    *inherit = false;
    int64_t due = INT64_MIN;
    if (load_relaxed(&p->timer_min) != INT64_MAX) {
        *late = true;
        due = now_ns();
        p->st->timers_fired += timers_run(p, due);
    }
    if (unlikely(load_relaxed(&sched.nprocs_seen) > load_relaxed(&sched.nprocs)))
        timers_unused(p, &due);
    /* Who comes from elsewhere has no slice of its own while others wait in the ring: a new one each time would be inherited by the next slot's, and the ring
     * would never be due. */
    const bool ring = load_acquire(&p->head) != p->tail;
    if (unlikely(p->tick % 61 == 0)) {
        *late = true;
        *inherit = ring;
        if (load_relaxed(&sched.gq_len) && (u = gq_get(p, 1)))
            return u;
        if (load_relaxed(&sched.npollwait) && p->tick % 244 == 0 && (u = poll_now(p)))
            return u;
    }
    /* Where turns are long, what waits for descriptors is not to wait for all that is queued here: look every 0.1 ms. (Not over a
     * long queue: it would overflow into the global one, which would be served late.) */
    if (load_relaxed(&sched.npollwait) && !load_relaxed(&sched.poller) && !load_relaxed(&sched.gq_len) &&
        (int64_t)w->now_tsc - load_relaxed(&sched.last_poll) > poll_every && runq_len(p) < POLL_OVER) {
        *late = true;
        *inherit = ring;
        if ((u = poll_now(p)))
            return u;
    }
    if ((u = runq_get(p, inherit)))
        return u;
    *late = true;
    if ((u = gq_get(p, load_relaxed(&sched.gq_len) > RUNQ_SIZE / 2 ? RUNQ_SIZE / 2 : GQ_BATCH)))
        return u;
    if (load_relaxed(&p->timer_min) != INT64_MAX && (u = timer_at_once(p, &due)))
        return u;
    /* Where that finds nothing as a rule it is left to the poller: mostly us, in a moment. */
    if (load_relaxed(&sched.npollwait) && !load_relaxed(&sched.poller) && (p->vain_polls < VAIN_POLLS || chaos(2)) && (u = poll_now(p)))
        return u;
    uint32_t busy = sched.nprocs - load_relaxed(&sched.nidle_procs);
    if (sched.nprocs > 1 && (w->spinning || 2 * load_relaxed(&sched.nspinning) < busy)) {
        if (!w->spinning) {
            w->spinning = 1;
            add_fetch(&sched.nspinning, 1u);
        }
        store_relaxed(&w->pub->state, WORKER_SPIN);
        if (due == INT64_MIN)
            due = now_ns();
        if ((u = steal(p, &due)))
            return u;
    }
    return worker_idle(w);
}

static void count_latency(struct proc *p, struct uthread *u, uint64_t now)
{
    uint32_t d = (uint32_t)now - u->ready_tsc;
    int64_t ns = tsc_to_ns((int64_t)d);
    uint32_t b = ns < 64 ? 0 : (uint32_t)(58 - __builtin_clzll((unsigned long long)ns)); /* the least with ns < 64 << b */
    p->st->latency[b < STATS_HIST_BUCKETS ? b : STATS_HIST_BUCKETS - 1]++;
    u->ready_tsc = 0;
}

/* Whoever runs next here, made ready to. */
static apart struct uthread *next_one(struct worker *w)
{
    struct uthread *u = NULL;
    bool inherit = false, late = false;
    for (;;) {
        if (unlikely(w->bound)) {
            u = wire_wait(w);
            late = true;
            break;
        }
        if (unlikely((int64_t)(w->now_tsc - w->slice_began) > (int64_t)sched.slice_tsc) && w->proc && !w->spinning) {
            slice_over(w);
            late = true;
        }
        if (!w->proc || (unlikely(load_relaxed(&sched.surplus)) && shed(w))) {
            u = worker_idle(w);
            late = true;
        } else
            u = find_runnable(w, &inherit, &late);
        if (u && w->proc) {
            if (likely(!u->wired))
                break;
            if (w->spinning)
                spin_stop(w);
            wire_hand_over(w, u);
            inherit = false;
            late = true;
        }
    }
    if (w->spinning)
        spin_stop(w);
    struct proc *p = w->proc;
    if (unlikely(p->contended != NULL) && contend_look(p, u))
        late = true;
    if (load_relaxed(&p->timer_min) != INT64_MAX)
        cover_timers(load_relaxed(&p->timer_min));
    uint64_t now = w->now_tsc; /* of who ran before: he parked just now */
    if (late)
        w->now_tsc = now = tsc_now();
    p->tick++;
    if (!inherit)
        p->slice_start = now;
    else if (u->wake_soon)
        u->wake_soon--;
    store_relaxed(&p->st->dispatches, p->st->dispatches + 1);
    store_relaxed(&p->st->runq, runq_len(p));
    if (u->ready_tsc)
        count_latency(p, u, now);
    event(p, EV_RUN, u->tid);
    u->worker = w;
    u->pub->dispatches++;
    store_relaxed(&u->pub->worker, (int32_t)w->index);
    store_relaxed(&u->pub->since, now);
    store_relaxed(&u->pub->state, UTHREAD_RUNNING);
    store_relaxed(&w->pub->utid, u->tid);
    store_relaxed(&w->pub->state, WORKER_RUN);
    if (unlikely(load_relaxed(&cputime_level)))
        cputime_begin_turn(w, u, now);
    w->cur = u;
    prefetch_following(p);
    return u;
}

void schedule(void)
{
    struct worker *w = worker_self();
    struct uthread *u = next_one(w);
    ctx_resume(u, w->vec_inuse);
}

/* ---- start ---- */

int sched_init(uint32_t most)
{
    uint32_t nprocs = (uint32_t)options.procs;
    sched.nprocs = sched.nprocs_seen = nprocs;
    sched.nprocs_most = most;
    sched.max_workers = (uint32_t)options.max_workers + 1;
    sched.block_budget = sched.max_workers - (sched.max_workers < 16 ? 1 : sched.max_workers / 8);
    poll_every = ns_to_tsc(POLL_NS);
    sched.retake_tsc = ns_to_tsc(options.retake);
    sched.preempt_tsc = ns_to_tsc(options.preempt);
    sched.quantum_tsc = ns_to_tsc(QUANTUM_NS) < sched.preempt_tsc ? ns_to_tsc(QUANTUM_NS) : sched.preempt_tsc;
    sched.long_turn_tsc = ns_to_tsc(LONG_TURN_NS);
    sched.chain_tsc = ns_to_tsc(CHAIN_NS) < sched.preempt_tsc ? ns_to_tsc(CHAIN_NS) : sched.preempt_tsc;
    sched.procs = arena_take(sizeof(struct proc) * most, sizeof(struct proc) * nprocs);
    sched.workers = arena_take(sizeof(struct worker) * (sched.max_workers + WORKERS_BEYOND), sizeof(struct worker));
    if (!sched.procs || !sched.workers)
        return -12;
    for (uint32_t i = 0; i < nprocs; i++) {
        proc_init(&sched.procs[i], i);
        sched.procs[i].unused = false;
    }
    chaos_on = options.debug.chaos >= 0;
    chaos_state = (uint64_t)options.debug.chaos;
    struct worker *w = worker_new();
    if (!w)
        return -12;
    w->ktid = (int32_t)sys0(__NR_gettid);
    w->pub->ktid = w->ktid;
    w->pub->state = WORKER_RUN;
    for (uint32_t i = nprocs; i-- > 1;)
        idle_push(&sched.procs[i]);
    proc_acquire(w, &sched.procs[0]);
    slices_init();
    slice_begins(w);
    w->hook = 0;
    return 0;
}

void sched_start(void)
{
    fewer_reset();
    store_relaxed(&sysmon_due, 1u);
}

void sched_started(void)
{
    if (load_relaxed(&sysmon_due) == 1)
        sysmon_start();
}

void sched_reset(void)
{
    struct uthread *us = sched.uthreads_end;
    /* The old mappings (procs, workers, their stacks) are the parent's business in memory shared
     * copy-on-write; what is large and private is given back. */
    sys_unmap(sched.workers, sizeof(struct worker) * ((uint32_t)options.max_workers + 1 + WORKERS_BEYOND));
    sys_unmap(sched.procs, sizeof(struct proc) * sched.nprocs_most);
    worker_birth = (struct lock){0};
    sysmon_due = 0;
    nhelpers = 0;
    ticks_reset();
    wire_reset();
    memset(&sched, 0, sizeof sched);
    sched.uthreads_end = us;
}
