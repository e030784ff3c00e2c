/* Timers: per proc a 4-ary heap of struct timer, each inside its user thread. One fires by
 * claiming the wait it was armed for, so a timer that comes too late does nothing.
 *
 * Who may wait a little longer (slack) is woken with others: the heap is ordered by the latest time, which is when somebody has to
 * look; then all fire whose earliest has come, as the kernel's do (hrtimers' ranges). The latest times lie in the heap itself,
 * four children to a cache line: of thousands of timers none but those that fire is looked at.
 *
 * The heap is guarded by the proc's timer lock, since a waiter that was woken otherwise takes its timer out
 * from wherever it runs now, and idle workers fire other procs' timers. timer_min is stored under
 * the lock and read by any: who arms a timer stores it before (full barrier) looking at
 * sched.poll_until; the poller stores poll_until before (full barrier) it reads the minima.
 */
#include "internal.h"

/* Entries before the first, so that its children, 1 to 4, and all others' begin a cache line. */
enum { BEFORE = 3 };

static void place(struct proc *p, uint32_t i, struct timer_entry e)
{
    p->timers[i] = e;
    e.timer->index = (int32_t)i;
}

static void sift_up(struct proc *p, uint32_t i, struct timer_entry e)
{
    while (i > 0) {
        uint32_t parent = (i - 1) / 4;
        if (p->timers[parent].latest <= e.latest)
            break;
        place(p, i, p->timers[parent]);
        i = parent;
    }
    place(p, i, e);
}

static void sift_down(struct proc *p, uint32_t i, struct timer_entry e)
{
    for (;;) {
        uint32_t child = 4 * i + 1, best = child;
        if (child >= p->ntimers)
            break;
        for (uint32_t c = child + 1; c < child + 4 && c < p->ntimers; c++)
            if (p->timers[c].latest < p->timers[best].latest)
                best = c;
        if (p->timers[best].latest >= e.latest)
            break;
        place(p, i, p->timers[best]);
        i = best;
    }
    place(p, i, e);
}

static void publish_min(struct proc *p)
{
    store_seq(&p->timer_min, p->ntimers ? p->timers[0].latest : INT64_MAX);
    store_relaxed(&p->st->timers, p->ntimers);
}

static void grow(struct proc *p)
{
    uint32_t cap = p->timers_cap ? p->timers_cap * 2 + BEFORE : 512 - BEFORE; /* whole pages */
    struct timer_entry *n = sys_map(NULL, (BEFORE + cap) * sizeof *n, 3, 0);
    if (!n)
        fatal("timer: out of memory for %u timers", cap);
    n += BEFORE;
    for (uint32_t i = 0; i < p->ntimers; i++)
        n[i] = p->timers[i];
    if (p->timers)
        sys_unmap(p->timers - BEFORE, (BEFORE + p->timers_cap) * sizeof *n);
    p->timers = n;
    p->timers_cap = cap;
}

void timer_arm(struct proc *p, struct uthread *u, uint64_t seq, int64_t when, int64_t slack)
{
    struct timer *t = &u->timer;
    lock_take(&p->timer_lock);
    invariant(t->index < 0);
    if (p->ntimers == p->timers_cap)
        grow(p);
    t->when = when;
    t->seq = seq;
    t->proc = p;
    sift_up(p, p->ntimers++, (struct timer_entry){when < INT64_MAX - slack ? when + slack : when, t});
    if (t->index == 0)
        publish_min(p);
    else
        store_relaxed(&p->st->timers, p->ntimers);
    lock_drop(&p->timer_lock);
}

static void take_out(struct proc *p, struct timer *t)
{
    uint32_t i = (uint32_t)t->index;
    struct timer_entry last = p->timers[--p->ntimers];
    t->index = -1;
    if (last.timer == t)
        return;
    if (i > 0 && p->timers[(i - 1) / 4].latest > last.latest)
        sift_up(p, i, last);
    else
        sift_down(p, i, last);
}

void timer_disarm(struct timer *t)
{
    if (load_relaxed(&t->index) < 0)
        return;
    struct proc *p = t->proc;
    lock_take(&p->timer_lock);
    if (t->index >= 0) {
        bool first = t->index == 0;
        take_out(p, t);
        if (first)
            publish_min(p);
        else
            store_relaxed(&p->st->timers, p->ntimers);
    }
    lock_drop(&p->timer_lock);
}

/* Up to BATCH of those that are due, claimed, appended to *tail; under p's timer lock. */
static uint32_t claim_due(struct proc *p, int64_t now, struct uthread **tail)
{
    enum { BATCH = 64 }; /* others may wait for the lock */
    uint32_t n = 0;
    for (uint32_t looked = 0; looked < BATCH && p->ntimers && p->timers[0].timer->when <= now; looked++) {
        struct timer *t = p->timers[0].timer;
        struct uthread *u = container_of(t, struct uthread, timer);
        uint64_t seq = t->seq;
        take_out(p, t);
        if (p->ntimers)
            __builtin_prefetch(p->timers[0].timer);
        /* Under the lock: a waiter woken by another cannot re-arm this timer meanwhile, since
         * timer_arm of a timer last armed here... needs only its new proc's lock; so the
         * fields were copied above and the claim's sequence number decides. */
        if (wait_claim_or_mark(u, seq, WAKE_TIMEOUT) == CLAIM_YES) {
            u->next = NULL;
            *tail = u;
            tail = &u->next;
            n++;
        }
    }
    return n;
}

uint32_t timers_run(struct proc *p, int64_t now)
{
    uint32_t fired = 0;
    bool more = load_relaxed(&p->timer_min) <= now;
    while (more) {
        struct uthread *list = NULL;
        lock_take(&p->timer_lock);
        uint32_t n = claim_due(p, now, &list);
        more = p->ntimers && p->timers[0].timer->when <= now;
        publish_min(p);
        lock_drop(&p->timer_lock);
        sched_ready_all(list, n);
        fired += n;
    }
    return fired;
}

int64_t timers_min(void)
{
    int64_t min = INT64_MAX;
    for (uint32_t i = 0; i < load_acquire(&sched.nprocs_seen); i++) {
        int64_t m = load_relaxed(&sched.procs[i].timer_min);
        if (m < min)
            min = m;
    }
    return min;
}
