/* nanosleep(2), clock_nanosleep(2), sched_yield(2), pause(2). */
#include "emul.h"

enum { TIMER_ABSTIME = 1 };

static long sleep_until(struct frame *f, int64_t when, bool absolute, struct timespec64 *rem)
{
    struct uthread *u = uthread_self();
    hook_enter();
    COUNT(park_sleep);
    wait_open(u);
    enum wake why = park(WAIT_SLEEP, (uint64_t)when, when, NULL, NULL);
    hook_exit();
    (void)f;
    if (why == WAKE_TIMEOUT)
        return 0;
    u->restart_when = when;
    if (!absolute && rem) {
        int64_t left = when - now_ns();
        if (left < 0)
            left = 0;
        struct timespec64 t = {left / NSEC_PER_SEC, left % NSEC_PER_SEC};
        if (uaccess_copy(rem, &t, sizeof t))
            return -EFAULT;
    }
    return -ERESTARTNOHAND;
}

static long do_sleep(struct frame *f, int clock, int flags, const void *req, void *rem)
{
    struct timespec64 t;
    struct uthread *u = uthread_self();
    int64_t again = u->restart_when; /* made again since no handler ran: to the same end */
    u->restart_when = 0;
    if (uaccess_copy(&t, req, sizeof t))
        return -EFAULT;
    if (t.sec < 0 || t.nsec < 0 || t.nsec >= NSEC_PER_SEC)
        return -EINVAL;
    int64_t ns = t.sec > INT64_MAX / NSEC_PER_SEC - 1 ? INT64_MAX : t.sec * NSEC_PER_SEC + t.nsec;
    /* The other clock first: what passes between the two looks must make us late, never early. */
    int64_t other = (flags & TIMER_ABSTIME) && clock != 1 ? clock_ns(clock) : 0, now = now_ns();
    if (flags & TIMER_ABSTIME) {
        int64_t base = clock == 1 ? now : other;
        if (ns <= base)
            return 0;
        ns -= base;
    }
    if (ns == 0) { /* the kernel gives way too */
        hook_enter();
        sched_yield_now();
        hook_exit();
        return 0;
    }
    int64_t when = ns > INT64_MAX - 1 - now ? INT64_MAX - 1 : now + ns;
    return sleep_until(f, again ? again : when, flags & TIMER_ABSTIME, rem);
}

long emul_nanosleep(struct frame *f)
{
    return do_sleep(f, 1, 0, (const void *)f->rdi, (void *)f->rsi);
}

long emul_clock_nanosleep(struct frame *f)
{
    int clock = (int)f->rdi;
    switch (clock) {
    case 0: case 1: case 7: case 11: /* REALTIME MONOTONIC BOOTTIME TAI */
        return do_sleep(f, clock, (int)f->rsi, (const void *)f->rdx, (void *)f->r10);
    default: /* alarm clocks, nonsense, other CPU clocks: the kernel's business */
        if (cputime_is_thread_clock(clock))
            return cputime_nanosleep(f);
        return native_block(f);
    }
}

long emul_sched_yield(struct frame *f)
{
    (void)f;
    struct worker *w = worker_self();
    if (load_relaxed(&w->claim) == CLAIM_LOST) /* without a proc: let the kernel give way */
        sys0(__NR_sched_yield);
    hook_enter();
    sched_yield_now();
    hook_exit();
    return 0;
}

long emul_pause(struct frame *f)
{
    (void)f;
    struct uthread *u = uthread_self();
    hook_enter();
    COUNT(park_signal);
    wait_open(u);
    park(WAIT_SIGNAL, 0, INT64_MAX, NULL, NULL);
    hook_exit();
    return -ERESTARTNOHAND;
}
