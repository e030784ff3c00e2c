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
    if (unlikely(r == -EPIPE || r == -27 /* EFBIG */)) {
        /* The kernel sent SIGPIPE, or SIGXFSZ, to this kernel thread, where it is blocked: hand it to the user thread. */
        int sig = r == -EPIPE ? 13 : 25;
        uint64_t set = 1ull << (sig - 1);
        struct timespec64 zero = {0, 0};
        char info[128];
        if (sys4(__NR_rt_sigtimedwait, P(&set), P(info), P(&zero), 8) == sig)
            signal_raise_self(sig);
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

/* ---- which calls block ----
 *
 * A call that may or may not block (a file's data may be cached or not) keeps its proc, and sysmon takes it back after
 * 20 us and more, if work waits. Where a user thread's calls are found to block again and again that is too late: 64 threads reading a
 * cold file would keep all procs standing. So each user thread remembers, per call (by a few bits of its number): a proc
 * taken during the call makes the next one likely to block, and it gives the proc away beforehand; calls in which it then does not
 * sleep unmake it. (Not their time: a send of a few bytes takes as long where the kernel runs somebody else meanwhile, or has much to do
 * itself, and then there is no CPU that others could use. By their time where the kernel must not be asked.) And it does not ask for a proc
 * again when such a call ends: it goes on as an ordinary kernel thread, at no more cost than natively, until it needs the scheduler
 * (hook_enter) or stops to block. So a thread that does nothing but read files disturbs the procs no more than another process would.
 */
enum { BLOCKS_LIKELY = 4, BLOCKS_MOST = 12, FORGET_CALLS = 256 };

static inline uint8_t *blocks_of(struct uthread *u, uint64_t nr)
{
    return &u->blocks[(nr ^ nr >> 4) % sizeof u->blocks];
}

static cold void note_blocked(struct uthread *u, uint64_t nr)
{
    uint8_t *b = blocks_of(u, nr);
    *b = *b < BLOCKS_MOST - BLOCKS_LIKELY ? *b + BLOCKS_LIKELY : BLOCKS_MOST;
    fetch_or(&u->attn, (uint32_t)ATTN_BLOCKS);
}

static void none_likely(struct uthread *u)
{
    for (size_t i = 0; i < sizeof u->blocks; i++)
        if (u->blocks[i] >= BLOCKS_LIKELY)
            return;
    fetch_and(&u->attn, ~(uint32_t)ATTN_BLOCKS);
}

static cold void note_short(struct uthread *u, uint64_t nr)
{
    uint8_t *b = blocks_of(u, nr);
    if (*b)
        --*b;
    none_likely(u);
}

/* Many calls since that are not likely to block: what did may never be called again, and until that is forgotten every call goes the
 * long way (entry.S). */
static cold void note_others(struct uthread *u)
{
    for (size_t i = 0; i < sizeof u->blocks; i++)
        if (u->blocks[i])
            u->blocks[i]--;
    none_likely(u);
}

static void want_proc(void)
{
    hook_enter();
    hook_exit();
}

/* The proc was asked for, or taken, during a call. */
static cold void after_taking(uint64_t nr)
{
    if (load_relaxed(&worker_self()->claim) == CLAIM_LOST) {
        note_blocked(uthread_self(), nr);
        if (run_without_proc())
            return;
    }
    want_proc();
}

static cold long native_likely(struct frame *f);

long native_sys(struct frame *f)
{
    struct worker *w = worker_self();
    if (unlikely(load_relaxed(&w->cur->attn) & ATTN_BLOCKS)) {
        if (load_relaxed(&w->claim) == CLAIM_LOST || *blocks_of(w->cur, f->nr) >= BLOCKS_LIKELY)
            return native_likely(f);
        if (w->systick % FORGET_CALLS == 0)
            note_others(w->cur);
    }
    store_relaxed(&w->systick, w->systick + 1);
    store_relaxed(&w->sysno1, (uint32_t)f->nr + 1);
    long r = sys_intr(f);
    store_relaxed(&w->sysno1, 0u);
    fence_compiler();
    if (unlikely(load_relaxed(&w->claim) != CLAIM_HELD))
        after_taking(f->nr);
    return settle(f, r);
}

/* entry.S: after a fast native call that did not end simply. */
long fast_settle(struct frame *f, long r);
long fast_settle(struct frame *f, long r)
{
    struct worker *w = worker_self();
    f->nr = load_relaxed(&w->sysno1) - 1;
    store_relaxed(&w->sysno1, 0u);
    if (load_relaxed(&w->claim) != CLAIM_HELD)
        after_taking(f->nr);
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

/* Without a proc, whether or not there is one now. From hook == 0; after it there is none. */
static long call_away(struct frame *f, uint64_t *took)
{
    struct worker *w = worker_self();
    struct uthread *u = w->cur;
    bool owned = load_relaxed(&w->claim) != CLAIM_LOST;
    if (owned) {
        hook_enter();
        w = worker_self(); /* it might have had to wait for a proc */
        COUNT(sys_block);
        block_begin();
    } else
        COUNT_SHARED(sys_block);
    show_syscall(u, (long)f->nr);
    uint64_t since = tsc_now();
    store_relaxed(&u->pub->since, since);
    if (owned)
        entersyscall_block((int)f->nr);
    long r = sys_intr(f);
    *took = tsc_now() - since;
    w->now_tsc += *took; /* a wait is not counted as CPU time (cputime.c) */
    if (owned) {
        block_end();
        store_relaxed(&w->sysno1, 0u);
    }
    store_relaxed(&u->pub->state, UTHREAD_RUNNING);
    return r;
}

static long native_likely(struct frame *f)
{
    struct uthread *u = worker_self()->cur;
    uint64_t took, before, after;
    bool known = own_waits(&before);
    long r = call_away(f, &took);
    if ((int64_t)took >= sched.retake_tsc / 2 && !(known && own_waits(&after) && after == before))
        note_blocked(u, f->nr);
    else
        note_short(u, f->nr);
    if (!(load_relaxed(&u->attn) & ATTN_BLOCKS) || !run_without_proc())
        want_proc();
    return settle(f, r);
}

long native_wait(struct frame *f)
{
    uint64_t took;
    long r = call_away(f, &took);
    if (!run_without_proc())
        want_proc();
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
