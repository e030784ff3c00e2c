/* Run queues. Per proc a ring of 256 and a `next` slot; one global queue.
 *
 * The ring is single producer (the worker that holds the proc), many consumers: tail is stored by the owner with
 * release, head moves by CAS. A consumer reads slots before its CAS of head; if the CAS fails what
 * it read is thrown away. The owner never writes a slot between head and tail, since it looks at
 * head (acquire, pairs with the consumers' CAS) before it stores.
 */
#include "internal.h"

bool runq_put_tail(struct proc *p, struct uthread *u)
{
    for (;;) {
        uint32_t h = load_acquire(&p->head); /* pairs with the CAS of consumers */
        uint32_t t = p->tail;
        if (t - h < RUNQ_SIZE) {
            store_relaxed(&p->runq[t % RUNQ_SIZE], u);
            store_release(&p->tail, t + 1); /* pairs with the acquire of consumers */
            return true;
        }
        /* Full: move half and u to the global queue. */
        uint32_t n = RUNQ_SIZE / 2;
        struct uthread *head = NULL, *tail = NULL;
        struct uthread *batch[RUNQ_SIZE / 2];
        for (uint32_t i = 0; i < n; i++)
            batch[i] = load_relaxed(&p->runq[(h + i) % RUNQ_SIZE]);
        if (!cas(&p->head, h, h + n))
            continue;
        for (uint32_t i = 0; i < n; i++) {
            batch[i]->next = NULL;
            if (tail)
                tail->next = batch[i];
            else
                head = batch[i];
            tail = batch[i];
        }
        u->next = NULL;
        tail->next = u;
        gq_put_list(head, u, n + 1);
        return false;
    }
}

/* Into the next slot. Who was there goes to the tail, and is owed a turn: else a thread that wakes many (each displaces the one before) and the last of
 * them, which wakes it in its turn, would have the proc for themselves, while the others gather behind them. (owes: where a user thread wakes. Who is
 * woken by a timer is late already.) */
bool runq_put_next(struct proc *p, struct uthread *u, bool owes)
{
    struct uthread *old = xchg(&p->next, u);
    if (!old)
        return false;
    p->owed += owes && p->owed < RUNQ_SIZE;
    runq_put_tail(p, old);
    fence_full(); /* its tail, before the looks of the caller */
    return true;
}

/* Have those that wake each other by way of the next slot been at it for long, while others wait? Those wait for one such slice for each pair of them in the
 * ring, so it is shorter than that of a thread which computes. */
static bool chain_over(const struct proc *p)
{
    return p->worker && (int64_t)(p->worker->now_tsc - p->slice_start) > sched.chain_tsc;
}

/* The next slot's, which inherits the slice, unless others are owed their turn, or it is over: then it waits behind them. */
struct uthread *runq_get(struct proc *p, bool *inherit)
{
    struct uthread *u = load_relaxed(&p->next);
    if (u && cas(&p->next, u, (struct uthread *)NULL)) {
        const bool alone = load_acquire(&p->head) == p->tail;
        if (alone)
            p->owed = 0; /* stolen, perhaps */
        if (alone || (likely(!p->owed) && !chain_over(p))) {
            *inherit = true;
            return u;
        }
        runq_put_tail(p, u);
    }
    *inherit = false;
    if (p->owed)
        p->owed--;
    for (;;) {
        uint32_t h = load_acquire(&p->head);
        if (h == p->tail) {
            p->owed = 0;
            return NULL;
        }
        u = load_relaxed(&p->runq[h % RUNQ_SIZE]);
        if (cas(&p->head, h, h + 1))
            return u;
    }
}

struct uthread *runq_take(struct proc *v)
{
    struct uthread *u = load_relaxed(&v->next);
    if (u && cas(&v->next, u, (struct uthread *)NULL))
        return u;
    for (;;) {
        uint32_t h = load_acquire(&v->head);
        if (h == load_acquire(&v->tail)) /* pairs with the owner's release */
            return NULL;
        u = load_relaxed(&v->runq[h % RUNQ_SIZE]);
        if (cas(&v->head, h, h + 1))
            return u;
    }
}

/* Steal half of the victim's queue into p's; *out is one to run at once. With next_too, the next
 * slot as well when nothing else is there. Returns how many were taken. */
uint32_t runq_steal(struct proc *p, struct proc *victim, bool next_too, struct uthread **out)
{
    for (;;) {
        uint32_t h = load_acquire(&victim->head);
        uint32_t t = load_acquire(&victim->tail); /* pairs with the owner's release */
        uint32_t n = t - h;
        n -= n / 2;
        if (n == 0) {
            struct uthread *u = next_too ? load_relaxed(&victim->next) : NULL;
            if (u && cas(&victim->next, u, (struct uthread *)NULL)) {
                *out = u;
                if (u->wake_soon < 3)
                    u->wake_soon++;
                return 1;
            }
            return 0;
        }
        if (n > RUNQ_SIZE / 2)
            continue; /* h and t were read apart */
        uint32_t at = p->tail;
        for (uint32_t i = 0; i < n; i++)
            store_relaxed(&p->runq[(at + i) % RUNQ_SIZE],
                          load_relaxed(&victim->runq[(h + i) % RUNQ_SIZE]));
        if (!cas(&victim->head, h, h + n))
            continue;
        *out = load_relaxed(&p->runq[(at + n - 1) % RUNQ_SIZE]);
        store_release(&p->tail, at + n - 1); /* pairs with consumers' acquire */
        return n;
    }
}

/* Under sched.lock. */
static void count_global(uint32_t n)
{
    store_relaxed(&sched.gq_len, n);
    store_relaxed(&stats->global_runq, n);
}

void gq_put_list(struct uthread *head, struct uthread *tail, uint32_t n)
{
    tail->next = NULL;
    lock_take(&sched.lock);
    if (sched.gq_tail)
        sched.gq_tail->next = head;
    else
        sched.gq_head = head;
    sched.gq_tail = tail;
    count_global(sched.gq_len + n);
    lock_drop(&sched.lock);
}

void gq_put(struct uthread *u)
{
    gq_put_list(u, u, 1);
}

struct uthread *gq_get(struct proc *p, uint32_t max)
{
    if (load_relaxed(&sched.gq_len) == 0)
        return NULL;
    lock_take(&sched.lock);
    uint32_t n = sched.gq_len / sched.nprocs + 1;
    if (n > sched.gq_len)
        n = sched.gq_len;
    if (n > max)
        n = max;
    uint32_t room = RUNQ_SIZE - (p->tail - load_acquire(&p->head));
    if (n > room + 1)
        n = room + 1;
    struct uthread *first = NULL;
    for (uint32_t i = 0; i < n; i++) {
        struct uthread *u = sched.gq_head;
        sched.gq_head = u->next;
        if (!sched.gq_head)
            sched.gq_tail = NULL;
        u->next = NULL;
        if (!first)
            first = u;
        else {
            store_relaxed(&p->runq[p->tail % RUNQ_SIZE], u);
            store_release(&p->tail, p->tail + 1);
        }
    }
    count_global(sched.gq_len - n);
    lock_drop(&sched.lock);
    return first;
}
