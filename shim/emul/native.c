/* The system call table, and calls made natively. */
#include "emul.h"

#include "../arch/x86_64/frame.h"
#include "../intercept/stub_layout.h"

uint64_t frame_resume(const struct frame *f)
{
    uint64_t stub = *(const uint64_t *)((const char *)f + FRAME_STUB);
    return *(const uint64_t *)(stub + STUB_RESUME);
}

uint64_t frame_restart(const struct frame *f)
{
    return *(const uint64_t *)((const char *)f + FRAME_STUB) + STUB_ENTER;
}

bool call_restarts(long nr)
{
    switch (nr) {
    case __NR_poll:
    case __NR_ppoll:
    case __NR_select:
    case __NR_pselect6:
    case __NR_epoll_wait:
    case __NR_epoll_pwait:
    case __NR_epoll_pwait2:
    case __NR_semop:
    case __NR_semtimedop:
    case __NR_msgrcv:
    case __NR_msgsnd:
    case __NR_io_getevents:
    case __NR_io_uring_enter:
    case __NR_nanosleep:
    case __NR_clock_nanosleep:
    case __NR_pause:
    case __NR_rt_sigsuspend:
    case __NR_rt_sigtimedwait:
        return false;
    }
    return true;
}

static inline long settle(struct frame *f, long r);
long native_settle(struct frame *f, long r)
{
    return settle(f, r);
}

static inline long settle(struct frame *f, long r)
{
    if (unlikely(r == -EINTR) && f->nr != __NR_close) { /* close(2): done in spite of it, never again */
        /* By a poke. It may have come late: for a signal that was taken before this call began. Then there is
         * nothing to be told, and the way out, made to look, makes the call again. */
        fetch_or(&uthread_self()->attn, (uint32_t)ATTN_SIGNAL);
        return call_restarts((long)f->nr) ? -ERESTARTSYS : -ERESTARTNOHAND;
    }
    if (unlikely(r == -EPIPE)) {
        /* The kernel sent SIGPIPE to this kernel thread, where it is blocked: hand it to the user thread. */
        uint64_t set = 1ull << (13 - 1);
        struct timespec64 zero = {0, 0};
        char info[128];
        if (sys4(__NR_rt_sigtimedwait, P(&set), P(info), P(&zero), 8) == 13)
            signal_raise_self(13);
    }
    if (unlikely(r == -2 /* ENOENT */))
        return procfs_enoent(f);
    return r;
}

static inline void show_syscall(struct uthread *u, long nr)
{
    store_relaxed(&u->pub->object, (uint64_t)nr);
    store_relaxed(&u->pub->wait, WAIT_SYSCALL);
    store_relaxed(&u->pub->state, UTHREAD_SYSCALL);
}

long native_sys(struct frame *f)
{
    struct worker *w = worker_self();
    store_relaxed(&w->systick, w->systick + 1);
    store_relaxed(&w->sysno1, (uint32_t)f->nr + 1);
    long r = sys_intr(f);
    store_relaxed(&w->sysno1, 0u);
    fence_compiler();
    if (unlikely(load_relaxed(&w->claim) != CLAIM_HELD)) {
        hook_enter();
        hook_exit();
    }
    return settle(f, r);
}

/* entry.S: after a fast native call that did not end simply. */
long fast_settle(struct frame *f, long r);
long fast_settle(struct frame *f, long r)
{
    struct worker *w = worker_self();
    f->nr = load_relaxed(&w->sysno1) - 1;
    store_relaxed(&w->sysno1, 0u);
    if (load_relaxed(&w->claim) != CLAIM_HELD) {
        hook_enter();
        hook_exit();
    }
    return settle(f, r);
}

/* Counted already. */
static long block_counted(struct frame *f)
{
    struct uthread *u = uthread_self();
    COUNT(sys_block);
    show_syscall(u, (long)f->nr);
    uint64_t since = tsc_now();
    store_relaxed(&u->pub->since, since);
    entersyscall_block((int)f->nr);
    long r = sys_intr(f);
    worker_self()->now_tsc += tsc_now() - since; /* a wait is not counted as CPU time (cputime.c) */
    block_end();
    exitsyscall();
    store_relaxed(&u->pub->state, UTHREAD_RUNNING);
    return settle(f, r);
}

long native_block_in_hook(struct frame *f)
{
    block_begin();
    return block_counted(f);
}

bool native_block_admitted(struct frame *f, bool again, long *result)
{
    if (!block_admit(again))
        return false;
    *result = block_counted(f);
    return true;
}

long native_block(struct frame *f)
{
    hook_enter();
    long r = native_block_in_hook(f);
    hook_exit();
    return r;
}

#define EMUL(name, handler) [__NR_##name] = handler,
#define SYS(name)           [__NR_##name] = native_sys,
#define BLOCK(name)         [__NR_##name] = native_block,
const emul_handler syscall_table[SYSCALL_TABLE_SIZE] = {
#include "../syscalls.def"
};
#undef EMUL
#undef SYS
#undef BLOCK
