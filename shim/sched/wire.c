/* Wired user threads: Go's LockOSThread.
 *
 * What Linux keeps per kernel thread (affinity, policy, namespaces, capabilities, ...) cannot move with a user thread. Who
 * asks for such a thing first gets a kernel thread of its own, its home: a worker that is *bound*, which runs this user
 * thread and no other, as this user thread runs nowhere else.
 *
 *   dispatch   whoever takes a wired user thread from a queue gives it, with the proc, to its home (`given`, then `wake`), and
 *              goes to look for another proc: wire_hand_over. A user thread is in one queue or none, so one worker at a time
 *              does this; the next can come only when it was readied again, after its home has run it.
 *   park       the home gives its proc away and sleeps until it is handed one: wire_wait. It never looks for work.
 *   end        the home's kernel thread ends, since nobody else may run on it. Its slot and its stack are used again when
 *              the kernel has cleared `alive`. Worker 0 stays, asleep: it is the process's first thread.
 *
 * A user thread may be readied, and handed over, while its home is still on the way to wire_wait (in park_g0, say): the wake is
 * remembered in `wake`, the proc in `given`; the home first gives away the proc that it still has.
 *
 * Clean births. A kernel thread inherits from the one that makes it, so bound workers make none: they leave the proc to sigd
 * (`births`), which is never bound. Only the threads that a wired user thread creates are made by its home, wired in turn, since
 * they inherit natively too.
 *
 * Not too many: each takes a worker for good. Beyond half of what may stand in the kernel, wiring is refused.
 */
#include "internal.h"

/* ---- on the scheduler stack ---- */

void wire_hand_over(struct worker *w, struct uthread *u)
{
    struct worker *home = u->home;
    struct proc *p = w->proc;
    w->proc = NULL;
    xchg(&w->claim, (uint32_t)CLAIM_LOST); /* a taker's CAS from ASKED fails now */
    store_relaxed(&w->pub->proc, -1);
    p->worker = NULL;
    home->given = p;
    home->spinning = 0;
    COUNT_SHARED(worker_wakes);
    xchg(&home->wake, 1u); /* pairs with the load in wire_wait */
    futex_wake_kernel(&home->wake, 1);
}

static _Noreturn void worker_end(struct worker *w)
{
    proc_release(w);
    store_relaxed(&w->pub->utid, 0);
    if (w->index == 0) {
        store_relaxed(&w->pub->state, WORKER_SLEEP);
        for (;;)
            futex_wait_kernel(&w->alive, load_relaxed(&w->alive), NULL);
    }
    /* A change of credentials under way counts on us: after it, we are not there (signal.c). */
    lock_take(&worker_birth);
    store_relaxed(&w->ktid, 0);
    lock_drop(&worker_birth);
    store_relaxed(&w->pub->state, WORKER_FREE);
    store_relaxed(&w->pub->ktid, 0);
    __atomic_fetch_sub(&stats->workers_live, 1, __ATOMIC_RELAXED);
    store_relaxed(&w->alive, 1u);
    sys1(__NR_set_tid_address, P(&w->alive));
    lock_take(&sched.lock);
    w->idle_next = sched.ended_workers;
    sched.ended_workers = w;
    lock_drop(&sched.lock);
    for (;;)
        sys1(__NR_exit, 0);
}

struct uthread *wire_wait(struct worker *w)
{
    proc_release(w);
    store_relaxed(&w->pub->state, WORKER_SLEEP);
    COUNT_SHARED(worker_sleeps);
    while (!load_acquire(&w->wake)) /* pairs with the xchg in wire_hand_over and wire_quit */
        futex_wait_kernel(&w->wake, 0, NULL);
    if (load_relaxed(&w->quit))
        worker_end(w);
    store_relaxed(&w->wake, 0u);
    struct proc *p = w->given;
    w->given = NULL;
    proc_acquire(w, p);
    return w->wired;
}

static void wire_quit(struct worker *w)
{
    store_relaxed(&w->quit, 1u);
    xchg(&w->wake, 1u); /* pairs with the load in wire_wait */
    futex_wake_kernel(&w->wake, 1);
}

void wire_ended(struct worker *w, struct worker *home)
{
    add_fetch(&sched.nwired, (uint32_t)-1);
    if (home == w)
        worker_end(w);
    wire_quit(home); /* it never came there */
}

static void move_g0(struct uthread *u)
{
    struct worker *w = worker_self();
    w->cur = NULL;
    store_relaxed(&u->pub->state, UTHREAD_RUNNABLE);
    u->ready_tsc = 0;
    gq_put(u);
    fence_full();
    sched_wake_one();
    schedule();
}

/* ---- from hooks ---- */

void wire_move(void)
{
    struct worker *w = worker_self();
    struct uthread *u = w->cur;
    if (!u->wired || u->home == w)
        return;
    event(w->proc, EV_YIELD, u->tid);
    turn_ends(w, u);
    store_relaxed(&u->pub->since, w->now_tsc);
    ctx_park(u, w->g0_top, move_g0, &w->vec_inuse);
}

static bool admit(void)
{
    if (add_fetch(&sched.nwired, 1u) <= sched.block_budget / 2)
        return true;
    add_fetch(&sched.nwired, (uint32_t)-1);
    return false;
}

static void make_wired(struct uthread *u, struct worker *w)
{
    w->wired = u;
    u->home = w;
    __atomic_thread_fence(__ATOMIC_RELEASE); /* before who dispatches it sees that it has one */
    u->wired = 1;
    store_relaxed(&u->pub->wired, 1);
}

/* A request to sigd, which makes one worker. One at a time. */
static struct {
    struct lock lock;
    uint32_t state; /* atomic, futex word: 0 free, 1 asked, 2 answered */
    struct worker *w;
} spawn;

struct worker *wire_worker(bool inherit)
{
    struct worker *me = worker_self();
    if (!admit())
        return NULL;
    struct worker *w;
    if (inherit || !me->bound)
        w = worker_spawn(NULL, false, NULL, true);
    else {
        lock_take(&spawn.lock);
        store_release(&spawn.state, 1u); /* pairs with the load in wire_births */
        sched_up.births();
        while (load_acquire(&spawn.state) != 2)
            futex_wait_kernel(&spawn.state, 1, NULL);
        w = spawn.w;
        store_relaxed(&spawn.state, 0u);
        lock_drop(&spawn.lock);
    }
    if (!w)
        add_fetch(&sched.nwired, (uint32_t)-1);
    return w;
}

void wire_drop(struct worker *w)
{
    add_fetch(&sched.nwired, (uint32_t)-1);
    wire_quit(w);
}

void wire_births(void)
{
    if (load_acquire(&spawn.state) == 1) {
        spawn.w = worker_spawn(NULL, false, NULL, true);
        store_release(&spawn.state, 2u);
        futex_wake_kernel(&spawn.state, 1);
    }
    for (;;) {
        lock_take(&sched.lock);
        struct proc *p = sched.births;
        if (p)
            sched.births = p->idle_next;
        lock_drop(&sched.lock);
        if (!p)
            return;
        if (!worker_for(p, p->birth_spins))
            worker_none(p, p->birth_spins);
    }
}

int wire_self(void)
{
    struct worker *w = worker_self(), *home = w;
    struct uthread *u = w->cur;
    if (!u->wired) {
        if (w->index == 0 && u->tid != stats->pid) { /* the process's first thread is not to end with it */
            home = wire_worker(false);
            if (!home)
                return -11;
        } else if (!admit())
            return -11;
        lock_take(&uthreads_lock); /* against wire_other */
        bool mine = !u->wired;
        if (mine) {
            make_wired(u, home);
            if (home == w)
                w->bound = 1;
        }
        lock_drop(&uthreads_lock);
        if (!mine && home == w)
            add_fetch(&sched.nwired, (uint32_t)-1);
        else if (!mine)
            wire_drop(home);
    }
    if (u->home != w) {
        hook_enter();
        wire_move();
        hook_exit();
    }
    return 0;
}

void unwire_self(void)
{
    struct worker *w = worker_self();
    struct uthread *u = w->cur;
    u->wired = 0;
    u->home = NULL;
    store_relaxed(&u->pub->wired, 0);
    w->wired = NULL;
    w->bound = 0;
    add_fetch(&sched.nwired, (uint32_t)-1);
}

bool wire_other(struct uthread *u, int32_t tid, struct worker *w, bool taints)
{
    lock_take(&uthreads_lock);
    bool can = u->tid == tid && !u->exiting && !u->wired;
    if (can) {
        make_wired(u, w);
        u->tainted = taints;
    }
    lock_drop(&uthreads_lock);
    if (can)
        sched_up.move(u);
    return can;
}

void wire_new(struct uthread *u, struct worker *w)
{
    lock_take(&uthreads_lock);
    make_wired(u, w);
    lock_drop(&uthreads_lock);
}

/* In a fork child. */
void wire_reset(void)
{
    memset(&spawn, 0, sizeof spawn);
}
