/* fork, vfork, execve, credentials.
 *
 * A fork child keeps the calling user thread alone: the shim goes dormant in it (GS base 0, so the
 * stubs pass everything on; signal actions and mask natively as the program has them) and is activated anew by its first
 * pthread_create. The parent's structures are left behind unread: other workers were in the midst of changing
 * them.
 *
 * A child that shares our memory until exec (vfork, posix_spawn) runs on the parent's GS base. Its
 * system calls must be native: w->native makes the entry compare the kernel's tid with the worker's. The child
 * differs; the parent, back, comes through after_vfork. Nothing of this touches the stack they share: the call is made by
 * the site's own instruction (entry.S, .Lraw).
 */
#include "kwait.h"

#include "../arch/x86_64/bases.h"
#include "../base/arena.h"
#include "../sched/internal.h"

#define CLONE_VM    0x00000100u
#define CLONE_VFORK 0x00004000u

long after_vfork(struct frame *f);

/* The kernel mask that a child is to inherit. */
static void mask_for_child(struct uthread *u)
{
    signal_mask_native(u->sigmask);
}
static void mask_for_worker(void)
{
    signal_mask_native(worker_mask);
}

/* Likewise PR_SET_TIMERSLACK(2const), of which workers have none. */
static void slack_for_child(const struct uthread *u)
{
    sys2(__NR_prctl, 29, u->timer_slack ? (long)u->timer_slack : TIMER_SLACK);
}
static void slack_for_worker(void)
{
    sys2(__NR_prctl, 29, 1);
}

static long do_fork(struct frame *f)
{
    struct uthread *u = uthread_self();
    fd_share_all();
    if (u->tid == stats->pid)
        thread_name_refresh(u);
    slack_for_child(u);
    fd_fork_begins();
    long r = sys_intr(f);
    if (r != 0) {
        fd_fork_done();
        slack_for_worker();
        return r;
    }
    sys2(__NR_prctl, 15 /* PR_SET_NAME */, P(u->pub->name));
    /* The child: no worker under it any more, so not back the way we came. */
    struct frame g = *f;
    g.rax = 0;
    g.rip = frame_resume(f);
    g.rsp = frame_rsp(f);
    process_in_child(u);
    frame_jump(&g);
}

/* In the child of fork, on the stack of the thread that called it. */
void process_in_child(const struct uthread *u)
{
    store_seq(&gs_doubtful, 1u);
    bases_leave(u->fsbase);
    sched_active = 0;
    arena_leave();
    stack_reset();
    sched_reset();
    stats_reset();
    fd_reset();
    netpoll_reset();
    kwait_reset();
    futexd_reset();
    signal_child(u); /* its memory stays as it was, until the next activation */
}

/* vfork, posix_spawn: leave through the site's own syscall instruction; see above. */
static _Noreturn void clone_shared(struct frame *f)
{
    fd_share_all();
    struct worker *w = worker_self();
    mask_for_child(w->cur);
    slack_for_child(w->cur);
    bases_lend(w->cur->fsbase);
    w->native = 1;
    store_relaxed(&w->systick, w->systick + 1);
    store_relaxed(&w->sysno1, (uint32_t)f->nr + 1);
    struct frame g = *f;
    g.rax = f->nr;
    g.rip = *(uint64_t *)((char *)f + FRAME_SITE_END) - 2;
    g.rsp = frame_rsp(f);
    frame_jump(&g);
}

/* The parent is back from vfork: its worker is one as others again, but for its mask. Signal-safe. */
void process_vforked(struct worker *w)
{
    w->native = 0;
    bases_back(w->cur->fsbase);
    store_relaxed(&w->sysno1, 0u);
    slack_for_worker();
}

/* The parent's next call after a vfork: its handler in place of the call's own. */
long after_vfork(struct frame *f)
{
    process_vforked(worker_self());
    mask_for_worker();
    emul_handler h = emul_handler_of(f->nr);
    return h ? h(f) : sys_intr(f);
}

long process_clone(struct frame *f, uint64_t flags, bool own_stack)
{
    if (flags & CLONE_VM)
        clone_shared(f);
    if (own_stack) {
        /* A copy of the memory, but another stack: the child must come up at the site itself, dormant.
         * Its stack is not ours to return on, so it starts as a vfork child does and stays native. */
        clone_shared(f);
    }
    return do_fork(f);
}

long emul_fork(struct frame *f)
{
    return do_fork(f);
}

long emul_vfork(struct frame *f)
{
    clone_shared(f);
}

long emul_execve(struct frame *f)
{
    struct uthread *u = uthread_self();
    uint64_t own = signal_exec_begin(u);
    futex_exec_begin();
    mask_for_child(u);
    slack_for_child(u);
    store_relaxed(&stats->state, STATS_ENDED); /* the page outlives us in the new image's process */
    long r = sys_intr(f);
    store_relaxed(&stats->state, STATS_ACTIVE);
    slack_for_worker();
    mask_for_worker();
    futex_guard();
    signal_exec_failed(u, own);
    return r;
}

/* setuid and its family: in the kernel a property of each kernel thread. glibc makes every thread of the program
 * call it (SIGSETXID); which workers these calls land on is chance, so each is made for all of ours, by a
 * signal to each worker that makes the call there (signal.c). */
long signal_all_workers(struct frame *f);
long emul_setxid(struct frame *f)
{
    return signal_all_workers(f);
}
