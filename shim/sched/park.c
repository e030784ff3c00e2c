/* Parking and readying.
 *
 * The life of a wait. `seq` is its number; the state is in the low bits of u->waitw, one word:
 *
 *   wait_open [hook]      (seq, PREPARING)    nobody may claim: the registers are not saved
 *   park_g0   [g0]        (seq, OPEN)         a plain store
 *   wait_claim [any]      (seq, why)          CAS from OPEN: the winner owns u and readies it
 *
 * Most wakers find u only in a structure (futex bucket, descriptor record) whose lock the hook took before
 * it was put there and which `commit` drops on g0, after the store of OPEN: they cannot come too early. The others can, and
 * leave a mark: the timer (armed on g0 just before OPEN: not after, since then a signal could already have set u
 * running, to arm its timer anew elsewhere) and waits on several things (poll, futex_waitv) write
 * wait_missed, a signal sets attn. park_g0, having stored OPEN, looks at both marks.
 *
 * There is no barrier between that store and those looks, which may come first: parks are many, and marks few. So who leaves a mark makes all
 * processors pass a barrier (membarrier), and then looks at the wait again: either OPEN is to be seen by now, or the looks come after, and see the mark.
 *
 * From the moment that OPEN is stored u may run elsewhere: after it park_g0 touches neither u's
 * stack nor anything but the commit's argument, and u->wait_missed and u->attn, whose memory stays.
 *
 * The model: tests/models/park.pml.
 */
#include "internal.h"

enum { STATE_PREPARING = 14, STATE_MASK = 15 };

uint64_t wait_open(struct uthread *u)
{
    uint64_t seq = (u->waitw >> WAITW_SHIFT) + 1;
    store_relaxed(&u->waitw, seq << WAITW_SHIFT | STATE_PREPARING);
    return seq;
}

bool wait_claim(struct uthread *u, uint64_t seq, enum wake why)
{
    return cas(&u->waitw, seq << WAITW_SHIFT | WAITW_OPEN, seq << WAITW_SHIFT | (uint64_t)why);
}

enum claim wait_claim_or_mark(struct uthread *u, uint64_t seq, enum wake why)
{
    if (wait_claim(u, seq, why))
        return CLAIM_YES;
    if (load_relaxed(&u->waitw) != (seq << WAITW_SHIFT | STATE_PREPARING))
        return wait_claim(u, seq, why) ? CLAIM_YES : CLAIM_NO;
    /* Only upwards: a late marker of an earlier wait must not hide this one. Who finds it marked leaves the rest to who marked it. */
    uint64_t was = load_relaxed(&u->wait_missed);
    while (was < seq && !cas(&u->wait_missed, was, seq))
        was = load_relaxed(&u->wait_missed);
    if (was < seq) {
        membarrier(); /* the mark before the look at waitw; pairs with park_g0 */
        if (wait_claim(u, seq, why))
            return CLAIM_YES;
    }
    return load_relaxed(&u->waitw) >> WAITW_SHIFT == seq ? CLAIM_MARKED : CLAIM_NO;
}

static void park_g0(struct uthread *u)
{
    struct worker *w = worker_self();
    uint64_t seq = u->waitw >> WAITW_SHIFT;
    int64_t deadline = w->commit_deadline;
    void (*commit)(struct uthread *, void *) = w->commit;
    w->cur = NULL;
    if (deadline != INT64_MAX)
        timer_arm(w->proc, u, seq, deadline, w->commit_slack);
    store_release(&u->waitw, seq << WAITW_SHIFT | WAITW_OPEN);
    if (commit)
        commit(u, w->commit_arg);
    fence_compiler(); /* pairs with the membarriers of those who leave a mark */
    if (unlikely(load_acquire(&u->wait_missed) == seq) &&
        wait_claim(u, seq, deadline != INT64_MAX && now_ns() >= deadline ? WAKE_TIMEOUT : WAKE_EVENT))
        sched_ready(u);
    if (unlikely(load_relaxed(&u->attn) & ATTN_SIGNAL) && wait_claim(u, seq, WAKE_SIGNAL))
        sched_ready(u);
    schedule();
}

/* How much later than asked for poll(2), select(2) and epoll_wait(2) may end: as in Linux, 0.1 % of the timeout, the thread's slack at
 * least (PR_SET_TIMERSLACK(2const)). So thousands that wait are woken by the dozen. */
static int64_t slack_of(const struct uthread *u, enum stats_wait why, int64_t deadline)
{
    enum { MOST_NS = 100000000, PART = 1000 };
    if (why != WAIT_POLL || deadline == INT64_MAX || u->wired) /* wired: a real-time thread, perhaps */
        return 0;
    int64_t slack = (deadline - now_ns()) / PART, least = u->timer_slack ? (int64_t)u->timer_slack : TIMER_SLACK;
    slack = slack < MOST_NS ? slack : MOST_NS;
    return slack > least ? slack : least;
}

enum wake park(enum stats_wait why, uint64_t object, int64_t deadline,
               void (*commit)(struct uthread *u, void *arg), void *arg)
{
    struct worker *w = worker_self();
    struct uthread *u = w->cur;
    struct stats_uthread *pub = u->pub;
    invariant(w->hook && w->claim == CLAIM_HELD && w->proc);
    turn_ends(w, u);
    store_relaxed(&pub->object, object);
    store_relaxed(&pub->wait, (uint8_t)why);
    store_relaxed(&pub->since, w->now_tsc);
    store_relaxed(&pub->state, UTHREAD_PARKED);
    event(w->proc, EV_PARK, u->tid);
    w->commit = commit;
    w->commit_arg = arg;
    w->commit_deadline = deadline;
    w->commit_slack = slack_of(u, why, deadline);
    ctx_park(u, w->g0_top, park_g0, &w->vec_inuse);
    if (deadline != INT64_MAX)
        timer_disarm(&u->timer);
    return (enum wake)(load_relaxed(&u->waitw) & STATE_MASK);
}

static void ready_local(struct worker *w, struct proc *p, struct uthread *u)
{
    if (chaos(4)) { /* a wake-up that comes late, or elsewhere */
        if (chaos(2))
            gq_put(u);
        else
            runq_put_tail(p, u);
        sched_wake_one();
        return;
    }
    bool old = runq_put_next(p, u, w->cur != NULL); /* a full barrier before sched_wake_one's loads */
    event(p, EV_READY, u->tid);
    /* A user thread alone in the next slot most likely runs here in a moment, when the waker
     * parks; waking another worker for it would cost both more than it gains. Where that proved
     * wrong (it was stolen), or the waker computes, as it did before, wake at once. sysmon looks after the rest. (Not each asks the clock: 20 ns.) */
    if (load_relaxed(&sched.nidle_procs) &&
        (old || u->wake_soon || (w->cur && w->cur->long_turn && (int64_t)(tsc_now() - w->now_tsc) > sched.long_turn_tsc)))
        sched_wake_one();
}

static inline void mark_ready(struct uthread *u, uint64_t tsc)
{
    store_relaxed(&u->pub->state, UTHREAD_RUNNABLE);
    u->ready_tsc = (uint32_t)tsc;
}

void sched_ready(struct uthread *u)
{
    struct worker *w = worker_or_null();
    if (likely(w && load_relaxed(&w->hook) && w->proc && load_relaxed(&w->claim) != CLAIM_LOST)) {
        struct proc *p = w->proc;
        mark_ready(u, (p->tick & 7) == 0 ? tsc_now() | 1 : 0);
        ready_local(w, p, u);
        return;
    }
    mark_ready(u, tsc_now() | 1);
    gq_put(u);
    fence_full(); /* the queue before the looks at idle procs: pairs with worker_idle's recheck */
    sched_wake_one();
}

void sched_ready_list(struct uthread *head, uint32_t n)
{
    struct worker *w = worker_self();
    struct proc *p = w->proc;
    uint64_t tsc = tsc_now() | 1;
    for (uint32_t i = 0; head; i++) {
        struct uthread *u = head;
        head = u->next;
        u->next = NULL;
        mark_ready(u, (i & 7) == 0 ? tsc : 0);
        runq_put_tail(p, u);
    }
    fence_full(); /* the queue before the looks */
    if (n > 1 && load_relaxed(&sched.nidle_procs))
        sched_wake_one();
}

void sched_ready_all(struct uthread *head, uint32_t n)
{
    struct worker *w = worker_or_null();
    if (n > 1 && !chaos(2) && w && load_relaxed(&w->hook) && w->proc && load_relaxed(&w->claim) != CLAIM_LOST) {
        sched_ready_list(head, n);
        return;
    }
    while (head) {
        struct uthread *u = head;
        head = u->next;
        sched_ready(u);
    }
}

static void yield_g0(struct uthread *u)
{
    struct worker *w = worker_self();
    w->cur = NULL;
    mark_ready(u, 0);
    gq_put(u);
    schedule();
}

static void give_way(struct worker *w, struct uthread *u, void (*how)(struct uthread *u))
{
    COUNT(yields);
    event(w->proc, EV_YIELD, u->tid);
    turn_ends(w, u);
    store_relaxed(&u->pub->since, w->now_tsc);
    ctx_park(u, w->g0_top, how, &w->vec_inuse);
}

void sched_yield_now(void)
{
    struct worker *w = worker_self();
    struct uthread *u = w->cur;
    struct proc *p = w->proc;
    if (unlikely(u->wired)) {
        wire_move();
        w = worker_self();
        p = w->proc;
        if (!work_waits(p)) /* to give way only to look around would cost two switches of kernel threads */
            return;
    }
    if (runq_len(p) == 0 && load_relaxed(&sched.gq_len) == 0 &&
        load_relaxed(&p->timer_min) == INT64_MAX && !load_relaxed(&sched.npollwait))
        return;
    give_way(w, u, yield_g0);
}

/* Behind those in the ring: natively, too, it would go on after those that wait for this CPU. */
static void quantum_g0(struct uthread *u)
{
    struct worker *w = worker_self();
    w->cur = NULL;
    mark_ready(u, 0);
    runq_put_tail(w->proc, u);
    schedule();
}

static bool quantum_over(const struct worker *w)
{
    uint64_t now = tsc_now();
    struct proc *p = w->proc;
    if (chaos(4))
        return true;
    if ((int64_t)(now - load_relaxed(&p->slice_start)) < sched.quantum_tsc)
        return false;
    return work_waits(p) || (load_relaxed(&sched.npollwait) && !load_relaxed(&sched.poller) &&
                             (int64_t)now - load_relaxed(&sched.last_poll) > sched.quantum_tsc);
}

/* entry.S, each QUANTUM_CALLS: an emulated call is about to return `ret`. From hook == 0. */
long quantum_look(struct frame *f, long ret);
long quantum_look(struct frame *f, long ret)
{
    (void)f;
    struct worker *w = worker_self();
    if (load_relaxed(&w->native) || load_relaxed(&w->claim) != CLAIM_HELD || !quantum_over(w))
        return ret;
    hook_enter();
    wire_move(); /* who is to be wired soon must not be queued as if it were at home */
    w = worker_self(); /* it might have had to wait for a proc, which then is a new slice */
    if (quantum_over(w))
        give_way(w, w->cur, quantum_g0);
    hook_exit();
    return ret;
}
