/* The CPU clocks of threads, and getrusage(2) for a thread. Facts: clock_gettime(2), pthread_getcpuclockid(3), getrusage(2),
 * include/linux/posix-timers.h (a CPU clock's id is ~tid << 3, | 4 for a thread, | 0 PROF, 1 VIRT, 2 SCHED) and
 * kernel/time/posix-cpu-timers.c.
 *
 * The numbers come from sched/cputime.c. Most callers arrive through the vDSO, which leaves CPU clocks to the kernel
 * by a `syscall` of its own; that one is intercepted as well (init.c, patch_vdso).
 */
#include "emul.h"

#include "../arch/x86_64/frame.h"
#include "../sched/internal.h"

enum { THREAD_CPUTIME = CLOCK_THREAD_CPUTIME, CLOCKFD = 3 };
/* An id has 29 bits for the tid; one of our tids may have its uppermost bit there, which makes the id positive. */
enum { ID_TID_MASK = (1 << 29) - 1 };

bool cputime_clock(int id, struct uthread **out)
{
    *out = NULL;
    if (id == THREAD_CPUTIME) {
        *out = uthread_self();
        return true;
    }
    if ((id >= 0 && id < CLOCKS_MAX) || !(id & 4) || (id & 3) == CLOCKFD)
        return false;
    int tid = ~(id >> 3) & ID_TID_MASK;
    if (tid == 0) {
        *out = uthread_self();
        return true;
    }
    struct uthread *u = NULL;
    lock_take(&uthreads_lock);
    if (tid == stats->pid)
        u = uthread_by_tid(tid);
    else if (tid >= TID_BASE)
        for (int t = tid; t < TID_END && !u; t += ID_TID_MASK + 1)
            u = uthread_by_tid(t);
    lock_drop(&uthreads_lock);
    if (u && u->exiting && tid != stats->pid)
        u = NULL; /* its joiner may know that it has ended before its tid is let go */
    *out = u;
    return u || tid == stats->pid || tid >= TID_BASE;
}

bool cputime_is_thread_clock(int id)
{
    struct uthread *u;
    return cputime_clock(id, &u);
}

long emul_clock_gettime(struct frame *f)
{
    struct uthread *u;
    if (!cputime_clock((int)f->rdi, &u))
        return sys_intr(f);
    if (!u)
        return -EINVAL;
    int64_t ns = cputime_of(u);
    struct timespec64 t = {ns / NSEC_PER_SEC, ns % NSEC_PER_SEC};
    return uaccess_copy((void *)f->rsi, &t, sizeof t);
}

long emul_clock_getres(struct frame *f)
{
    struct uthread *u;
    if (!cputime_clock((int)f->rdi, &u))
        return sys_intr(f);
    if (!u)
        return -EINVAL;
    struct timespec64 t = {0, 1};
    return f->rsi ? uaccess_copy((void *)f->rsi, &t, sizeof t) : 0;
}

long emul_clock_settime(struct frame *f)
{
    struct uthread *u;
    struct timespec64 t;
    if ((int)f->rdi == THREAD_CPUTIME || !cputime_clock((int)f->rdi, &u))
        return native_sys(f);
    if (uaccess_copy(&t, (void *)f->rsi, sizeof t))
        return -EFAULT;
    return u ? -EPERM : -EINVAL;
}

/* Until another thread has used so much CPU time: at least so long it will take, so look again then. */
long cputime_nanosleep(struct frame *f)
{
    enum { ABSTIME = 1, LEAST_NS = 4000000 };
    struct uthread *self = uthread_self(), *u;
    struct timespec64 t;
    int id = (int)f->rdi;
    cputime_clock(id, &u);
    if (uaccess_copy(&t, (void *)f->rdx, sizeof t))
        return -EFAULT;
    if (t.sec < 0 || t.nsec < 0 || t.nsec >= NSEC_PER_SEC || !u || u == self)
        return -EINVAL;
    int32_t tid = u->tid;
    int64_t ns = t.sec > INT64_MAX / NSEC_PER_SEC / 2 ? INT64_MAX / 2 : t.sec * NSEC_PER_SEC + t.nsec, left;
    int64_t until = (int)f->rsi & ABSTIME ? ns : cputime_of(u) + ns;
    if (self->restart_when) { /* made again since no handler ran */
        until = self->restart_when;
        self->restart_when = 0;
    }
    while ((left = until - cputime_of(u)) > 0 && load_relaxed(&u->tid) == tid) {
        if (left < LEAST_NS)
            left = LEAST_NS;
        int64_t now = now_ns();
        hook_enter();
        COUNT(park_sleep);
        wait_open(self);
        enum wake why = park(WAIT_SLEEP, 0, left < INT64_MAX - now ? now + left : INT64_MAX - 1, NULL, NULL);
        hook_exit();
        if (why == WAKE_TIMEOUT)
            continue;
        self->restart_when = until;
        if (!((int)f->rsi & ABSTIME) && f->r10) {
            left = until - cputime_of(u);
            struct timespec64 r = {left < 0 ? 0 : left / NSEC_PER_SEC, left < 0 ? 0 : left % NSEC_PER_SEC};
            if (uaccess_copy((void *)f->r10, &r, sizeof r))
                return -EFAULT;
        }
        return -ERESTARTNOHAND;
    }
    return 0;
}

long emul_getrusage(struct frame *f)
{
    enum { WHO_THREAD = 1 };
    struct {
        int64_t utime[2], stime[2], maxrss, ixrss, idrss, isrss, minflt, majflt, nswap, inblock, oublock, msgsnd,
            msgrcv, nsignals, nvcsw, nivcsw;
    } ru;
    struct uthread *u = uthread_self();
    if ((int)f->rdi != WHO_THREAD)
        return sys_intr(f);
    int64_t use[8];
    cputime_usage_self(use);
    int64_t total = cputime_of(u), stime = use[USAGE_STIME];
    long r = sys2(__NR_getrusage, WHO_THREAD, P(&ru)); /* maxrss is the process's */
    if (r < 0)
        return r;
    /* As the kernel: the sum is exact, neither part goes back. */
    if (stime > total - u->cpu.utime)
        stime = total - u->cpu.utime;
    u->cpu.utime = total - stime;
    ru.utime[0] = u->cpu.utime / NSEC_PER_SEC, ru.utime[1] = u->cpu.utime % NSEC_PER_SEC / 1000;
    ru.stime[0] = stime / NSEC_PER_SEC, ru.stime[1] = stime % NSEC_PER_SEC / 1000;
    ru.minflt = use[USAGE_MINFLT], ru.majflt = use[USAGE_MAJFLT];
    ru.inblock = use[USAGE_INBLOCK], ru.oublock = use[USAGE_OUBLOCK];
    ru.nvcsw = use[USAGE_NVCSW] + (int64_t)u->pub->dispatches; /* a park is a voluntary switch */
    ru.nivcsw = use[USAGE_NIVCSW];
    return uaccess_copy((void *)f->rsi, &ru, sizeof ru);
}
