/* The table of user threads: a slot each, reused; a tid is slot and generation, so a stale tid
 * finds nobody. */
#include "internal.h"

#include "../base/arena.h"
#include "../emul/emul.h"

struct lock uthreads_lock;
struct uthread *uthreads_all; /* under uthreads_lock */
static struct uthread *free_list; /* under uthreads_lock */
static uint32_t hwm;              /* likewise: slots ever used */
static char *xsave_base;
static uint64_t xsave_stride;

int uthreads_init(uint64_t stride)
{
    xsave_stride = ALIGN_UP(stride, 64);
    if (!sched.uthreads_end) {
        char *end = arena_below(), *own = end ? NULL : sys_map(NULL, UTHREADS_SIZE, 3, 0x4000 /* NORESERVE */);
        sched.uthreads_end = (struct uthread *)(own ? own + UTHREADS_SIZE : end);
        xsave_base = sys_map(NULL, xsave_stride * UTHREADS_MAX, 3, 0x4000);
        if (!sched.uthreads_end || !xsave_base)
            return -12;
    }
    uthreads_lock = (struct lock){0};
    uthreads_all = free_list = NULL;
    hwm = 0;
    return 0;
}

static int make_tid(uint32_t index, uint32_t gen)
{
    uint32_t gens = (TID_END - TID_BASE) / UTHREADS_MAX;
    /* Mutexes shared between processes hold tids: they are to differ there, too, as far as there is room. */
    uint32_t first = (uint32_t)stats->pid * 2654435761u >> 12;
    uint32_t tid = TID_BASE + (first + gen) % gens * UTHREADS_MAX + index;
    /* The id of a thread's CPU clock keeps 29 bits of it, which must not look like a tid of the kernel's (emul/cputime.c). Of those that
     * share an index one lives at a time, so no two have the same. */
    if (tid - TID_CLOCK < TID_BASE)
        tid += TID_BASE;
    return (int)tid;
}

struct uthread *uthread_alloc(void)
{
    lock_take(&uthreads_lock);
    struct uthread *u = free_list;
    if (u)
        free_list = u->next;
    else if (hwm < stats->nuthreads_max) {
        u = uthread_at(hwm);
        uint32_t gen = u->gen;
        memset(u, 0, sizeof *u); /* in a fork child it was the parent's, perhaps in the midst of a wait */
        u->gen = gen;
        u->index = hwm++;
        u->pub = stats_uthread(u->index);
        u->xsave = xsave_base + xsave_stride * u->index;
        u->timer.index = -1;
        store_relaxed(&stats->uthreads_hwm, hwm);
    } else {
        lock_drop(&uthreads_lock);
        return NULL;
    }
    lock_drop(&uthreads_lock);

    /* All before it is listed: from then on signals are chosen for it. */
    u->next = NULL;
    u->attn = 0;
    u->worker = NULL;
    u->ready_tsc = 0;
    u->wake_soon = u->in_create = u->exiting = u->futex_again = 0;
    u->long_turn = 1;
    u->futex_last = NULL;
    u->ctid = NULL;
    u->robust = NULL;
    u->altstack.sp = u->altstack.size = 0;
    u->altstack.flags = 2; /* SS_DISABLE */
    u->pi_held = NULL;
    u->sigmask = ~0ull; /* nothing is for it before its mask is known (signal_mask_start) */
    u->site = 0; /* who had it before did not return from its last call */
    u->wired = 0;
    u->home = NULL;
    u->tainted = 0;
    u->timer_slack = 0;
    u->sigmask_restore = false;
    u->restart_when = 0;
    memset(u->blocks, chaos(2) ? 40 : 0, sizeof u->blocks);
    if (u->blocks[0]) /* chaos: it begins as one that blocks (native.c) */
        u->attn = ATTN_BLOCKS;
    u->sig.mask = 0;
    u->sig.queue = NULL;
    u->pub->wait = WAIT_NONE;
    u->pub->wired = 0;
    u->pub->worker = -1;
    u->pub->dispatches = 0;
    u->pub->ran = 0;
    memset(&u->cpu, 0, sizeof u->cpu);
    u->cpu.mark = u->cpu.usage_mark[0] = -1;

    lock_take(&uthreads_lock);
    u->tid = make_tid(u->index, u->gen++);
    u->all_prev = NULL;
    u->all_next = uthreads_all;
    if (uthreads_all)
        uthreads_all->all_prev = u;
    uthreads_all = u;
    store_relaxed(&sched.nlive, sched.nlive + 1);
    store_relaxed(&stats->uthreads_live, sched.nlive);
    lock_drop(&uthreads_lock);
    store_relaxed(&u->pub->state, UTHREAD_RUNNABLE);
    store_relaxed(&u->pub->tid, u->tid);
    return u;
}

void uthread_free(struct uthread *u)
{
    store_relaxed(&u->pub->state, UTHREAD_FREE);
    store_relaxed(&u->pub->tid, 0);
    lock_take(&uthreads_lock);
    u->tid = 0;
    if (u->all_prev)
        u->all_prev->all_next = u->all_next;
    else
        uthreads_all = u->all_next;
    if (u->all_next)
        u->all_next->all_prev = u->all_prev;
    u->next = free_list;
    free_list = u;
    store_relaxed(&sched.nlive, sched.nlive - 1);
    store_relaxed(&stats->uthreads_live, sched.nlive);
    lock_drop(&uthreads_lock);
}

struct uthread *uthread_by_tid(int tid)
{
    if (tid >= TID_BASE && tid < TID_END) {
        uint32_t index = (uint32_t)(tid - TID_BASE) % UTHREADS_MAX;
        if (index < hwm && load_relaxed(&uthread_at(index)->tid) == tid)
            return uthread_at(index);
        return NULL;
    }
    /* main keeps the process id; only slot 0 ever has such a tid */
    if (hwm && tid > 0 && load_relaxed(&uthread_at(0)->tid) == tid)
        return uthread_at(0);
    return NULL;
}

/* What ends: its worker leaves the stack, then `last` runs. The arguments travel in the worker,
 * since the stack may be gone the moment `last` writes ctid. */
static void exit_g0(struct uthread *u)
{
    struct worker *w = worker_self();
    struct worker *home = u->wired ? u->home : NULL;
    w->cur = NULL;
    w->commit(u, w->commit_arg);
    if (unlikely(home != NULL))
        wire_ended(w, home);
    schedule();
}

void uthread_exit(void (*last)(struct uthread *u, void *arg), void *arg)
{
    struct worker *w = worker_self();
    struct uthread *u = w->cur;
    COUNT(exited);
    event(w->proc, EV_EXIT, u->tid);
    turn_ends(w, u);
    store_relaxed(&u->pub->state, UTHREAD_EXITING);
    w->commit = last;
    w->commit_arg = arg;
    ctx_park(u, w->g0_top, exit_g0, &w->vec_inuse);
    fatal("uthread: an ended user thread ran again");
}
