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
 * cold file would keep all procs standing. So each user thread remembers, per call (by a few bits of its number), how things stand:
 *
 *   0                 nothing is known against it: nobody asks
 *   1..SUSPECT        a proc was taken during one of the last calls. They keep their proc, but are asked whether the kernel thread slept
 *   LIKELY and more   it slept: a call is likely to block, and gives the proc away beforehand
 *
 * One that sleeps adds much, one that does not takes one away: where one in thirty sleeps, to take a proc for that one costs more than all of them do
 * without (a read of a cold file, from a fast disk, seldom sleeps). What counts is the sleep, not the time: a send of a few bytes takes as long where the
 * kernel runs somebody else meanwhile, or has much to do itself, and then there is no CPU that others could use. (By their time where the kernel must
 * not be asked, and then one adds little.) And a thread does not ask for a proc
 * again when such a call ends: it goes on as an ordinary kernel thread, at no more cost than natively, until it needs the scheduler
 * (hook_enter) or stops to block. So a thread that does nothing but read files disturbs the procs no more than another process would.
 */
enum { SUSPECT = 31, LIKELY = SUSPECT + 1, SLEPT = 32, LONG = 4, LONG_MOST = LIKELY + 8, MOST = 128, FORGET_CALLS = 256 };

static inline uint8_t *blocks_of(struct uthread *u, uint64_t nr)
{
    return &u->blocks[(nr ^ nr >> 4) % sizeof u->blocks];
}

static cold void raise_to(struct uthread *u, uint8_t *b, unsigned to)
{
    if (*b < to)
        *b = (uint8_t)to;
    fetch_or(&u->attn, (uint32_t)ATTN_BLOCKS);
}

static cold void none_left(struct uthread *u)
{
    for (size_t i = 0; i < sizeof u->blocks; i++)
        if (u->blocks[i])
            return;
    fetch_and(&u->attn, ~(uint32_t)ATTN_BLOCKS);
}

/* How often this kernel thread has slept so far; not known where the kernel must not be asked. */
struct sleep {
    uint64_t waits;
    bool known;
};
static struct sleep sleep_ask(void)
{
    struct sleep s = {0, false};
    s.known = own_waits(&s.waits);
    return s;
}
static cold void sleep_note(struct uthread *u, uint64_t nr, struct sleep before, uint64_t took)
{
    uint8_t *b = blocks_of(u, nr);
    const bool lasted = (int64_t)took >= sched.retake_tsc / 2;
    const struct sleep after = lasted ? sleep_ask() : before;
    if (lasted && before.known && after.known && after.waits != before.waits)
        raise_to(u, b, *b < MOST - SLEPT ? *b + SLEPT : MOST);
    else if (lasted && !(before.known && after.known))
        raise_to(u, b, *b < LONG_MOST - LONG ? *b + LONG : LONG_MOST);
    else if (*b && !--*b)
        none_left(u);
}

/* Many calls since of which nothing is suspected: what did block may never be called again, and until that is forgotten every call goes the
 * long way (entry.S). */
static cold void note_others(struct uthread *u)
{
    for (size_t i = 0; i < sizeof u->blocks; i++)
        u->blocks[i] -= (u->blocks[i] + 7) / 8;
    none_left(u);
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
        raise_to(uthread_self(), blocks_of(uthread_self(), nr), SUSPECT);
        if (run_without_proc())
            return;
    }
    want_proc();
}

static cold long native_likely(struct frame *f);
static cold long native_suspect(struct frame *f);

long native_sys(struct frame *f)
{
    struct worker *w = worker_self();
    if (unlikely(load_relaxed(&w->cur->attn) & ATTN_BLOCKS)) {
        uint8_t known = *blocks_of(w->cur, f->nr);
        if (load_relaxed(&w->claim) == CLAIM_LOST || known >= LIKELY)
            return native_likely(f);
        if (known)
            return native_suspect(f);
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

static long native_suspect(struct frame *f)
{
    struct worker *w = worker_self();
    struct sleep before = sleep_ask();
    uint64_t since = tsc_now();
    store_relaxed(&w->systick, w->systick + 1);
    store_relaxed(&w->sysno1, (uint32_t)f->nr + 1);
    long r = sys_intr(f);
    store_relaxed(&w->sysno1, 0u);
    fence_compiler();
    sleep_note(w->cur, f->nr, before, tsc_now() - since);
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

/* Without a proc, whether or not there is one now, and asked whether it slept if the caller wants to know. From hook == 0; after it there is no proc. */
static long call_away(struct frame *f, struct sleep *before, uint64_t *took)
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
    if (before)
        *before = sleep_ask(); /* of this kernel thread: it was another's that waited for a proc */
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
    struct sleep before;
    uint64_t took;
    long r = call_away(f, &before, &took);
    sleep_note(u, f->nr, before, took);
    if (!(load_relaxed(&u->attn) & ATTN_BLOCKS) || !run_without_proc())
        want_proc();
    return settle(f, r);
}

long native_wait(struct frame *f)
{
    uint64_t took;
    long r = call_away(f, NULL, &took);
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
