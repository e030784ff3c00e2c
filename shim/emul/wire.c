/* Calls about what Linux keeps per kernel thread. Who makes one is wired (sched/wire.c) and makes it on a kernel thread of its own;
 * unless the kernel thread is afterwards as all are: then nothing was to be had, and nothing stays.
 *
 * Calls that name a thread: a wired one's kernel thread is its home; one that is not has what all have, as sigd's shows.
 * Facts: sched(7), sched_setaffinity(2), setpriority(2), ioprio_set(2), capabilities(7), namespaces(7), prctl(2),
 * seccomp(2), perf_event_open(2).
 *
 * If no worker can be spared, what is a hint (affinity, priority) is checked and forgotten; the rest is made on the worker at hand.
 */
#include "emul.h"
#include "fd.h"

#include "../sched/internal.h"

/* ---- is a kernel thread as all are? ---- */

struct sched_attr64 {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
    uint32_t util_min, util_max;
};

/* Affinity, policy and priority; nothing else is looked at. */
static bool as_all(int ktid)
{
    uint64_t a[128] = {0}, b[128] = {0};
    struct sched_attr64 x = {0}, y = {0};
    long n = sys3(__NR_sched_getaffinity, ktid, sizeof a, P(a));
    if (n < 0 || sys3(__NR_sched_getaffinity, sigd_tid, sizeof b, P(b)) != n || memcmp(a, b, (size_t)n))
        return false;
    return sys4(__NR_sched_getattr, ktid, P(&x), sizeof x, 0) == 0 &&
           sys4(__NR_sched_getattr, sigd_tid, P(&y), sizeof y, 0) == 0 && !memcmp(&x, &y, sizeof x);
}

/* ---- calls of a thread about itself ---- */

/* `taints`: what is changed is not among what as_all looks at. */
static long on_self(struct frame *f, bool taints)
{
    long r;
    if (wire_self() < 0) {
        report(LOG_INFO, "no worker to wire a thread to for system call %ld", (long)f->nr);
        if (taints)
            return native_sys(f);
        uint64_t all[128];
        long n = sys3(__NR_sched_getaffinity, 0, sizeof all, P(all));
        if (f->nr != __NR_sched_setaffinity || n < 0)
            return 0;
        r = sys_intr(f);
        sys3(__NR_sched_setaffinity, 0, n, P(all));
        return r;
    }
    r = native_sys(f);
    struct uthread *u = uthread_self();
    lock_take(&uthreads_lock); /* others may be changing us, too */
    if (taints && r >= 0)
        u->tainted = 1;
    if (!u->tainted && as_all(0))
        unwire_self();
    lock_drop(&uthreads_lock);
    return r;
}

long emul_wired(struct frame *f)
{
    return on_self(f, true);
}

/* ---- calls about any thread: `arg` is its tid ---- */

/* Whom tid names: 1 and *u, 0: nobody of ours, or -ESRCH. */
static int whom(int tid, struct uthread **u)
{
    if (tid == 0 || tid == uthread_self()->tid) {
        *u = uthread_self();
        return 1;
    }
    if (tid < TID_BASE && tid != stats->pid)
        return 0;
    lock_take(&uthreads_lock);
    *u = uthread_by_tid(tid);
    if (*u && (*u)->exiting && tid != stats->pid)
        *u = NULL;
    lock_drop(&uthreads_lock);
    return *u ? 1 : -ESRCH;
}

/* Under no lock: the kernel thread that has what u has. */
static int ktid_of(struct uthread *u)
{
    struct worker *home = load_relaxed(&u->home);
    int ktid = home ? load_relaxed(&home->ktid) : 0;
    return ktid ? ktid : sigd_tid;
}

static long with_tid(struct frame *f, uint64_t *arg, int ktid)
{
    struct frame g = *f;
    *(uint64_t *)((char *)&g + ((char *)arg - (char *)f)) = (uint64_t)ktid;
    return native_sys(&g);
}

/* A change to another thread. It goes to a new kernel thread first, which only becomes its home if that succeeded. */
static long change_other(struct frame *f, uint64_t *arg, struct uthread *u, int32_t tid, bool taints)
{
    for (;;) {
        struct frame g = *f;
        long done = -ESRCH;
        lock_take(&uthreads_lock); /* so that its home stays its home meanwhile */
        bool has = u->tid == tid && u->wired && !u->exiting;
        if (has) {
            *(uint64_t *)((char *)&g + ((char *)arg - (char *)f)) = (uint64_t)u->home->ktid;
            done = sys_intr(&g);
            if (taints && done >= 0)
                u->tainted = 1;
        }
        lock_drop(&uthreads_lock);
        if (has)
            return done;
        struct worker *w = wire_worker(false);
        if (!w)
            return -EAGAIN;
        long r = with_tid(f, arg, w->ktid);
        if (r < 0 || (!taints && as_all(w->ktid))) {
            wire_drop(w);
            return r;
        }
        if (wire_other(u, tid, w, taints))
            return r;
        wire_drop(w);
        if (load_relaxed(&u->tid) != tid || u->exiting)
            return -ESRCH;
    }
}

static long about_thread(struct frame *f, uint64_t *arg, bool changes, bool taints)
{
    struct uthread *u;
    int32_t tid = (int32_t)*arg;
    int who = whom(tid, &u);
    if (who <= 0)
        return who < 0 ? who : native_sys(f);
    if (!changes)
        return with_tid(f, arg, ktid_of(u));
    if (u != uthread_self()) {
        long r = change_other(f, arg, u, tid, taints);
        return r == -EAGAIN ? 0 : r; /* no worker for it: a hint not followed */
    }
    struct frame g = *f;
    *(uint64_t *)((char *)&g + ((char *)arg - (char *)f)) = 0;
    return on_self(&g, taints);
}

long emul_sched_get(struct frame *f)
{
    return about_thread(f, &f->rdi, false, false);
}

long emul_sched_set(struct frame *f)
{
    return about_thread(f, &f->rdi, true, false);
}

long emul_priority(struct frame *f)
{
    if ((int)f->rdi != 0 /* PRIO_PROCESS */)
        return native_sys(f);
    return about_thread(f, &f->rsi, f->nr == __NR_setpriority, false);
}

long emul_ioprio(struct frame *f)
{
    if ((int)f->rdi != 1 /* IOPRIO_WHO_PROCESS */)
        return native_sys(f);
    return about_thread(f, &f->rsi, f->nr == __NR_ioprio_set, true);
}

/* The kernel thread on which things about u are to be counted: its home from now on. 0: none to be had. */
static int home_for(struct uthread *u)
{
    if (u == uthread_self()) {
        if (wire_self() < 0)
            return 0;
        u->tainted = 1;
        return worker_self()->ktid;
    }
    int32_t tid = u->tid;
    for (;;) {
        int ktid = 0;
        lock_take(&uthreads_lock);
        bool lives = u->tid == tid && !u->exiting;
        if (lives && u->wired) {
            u->tainted = 1;
            ktid = u->home->ktid;
        }
        lock_drop(&uthreads_lock);
        struct worker *w = lives && !ktid ? wire_worker(false) : NULL;
        if (!w)
            return ktid;
        if (!wire_other(u, tid, w, true))
            wire_drop(w);
    }
}

int wire_clock(int id)
{
    struct uthread *u;
    if (!cputime_clock(id, &u) || !u)
        return id;
    int ktid = home_for(u);
    return ktid ? (int)((~(unsigned)ktid << 3) | 6) : id;
}

long emul_perf_event_open(struct frame *f)
{
    struct uthread *u;
    int who = (int)f->rsi < 0 ? 0 : whom((int)f->rsi, &u), ktid;
    if (who <= 0)
        return who < 0 ? who : native_sys(f);
    ktid = home_for(u);
    return ktid ? with_tid(f, &f->rsi, ktid) : native_sys(f);
}

/* ---- those that look at their arguments ---- */

long emul_unshare(struct frame *f)
{
    enum { CLONE_FILES = 0x400 };
    if (f->rdi & CLONE_FILES)
        return -EINVAL; /* the table of descriptors is handoff's too */
    return f->rdi ? on_self(f, true) : native_sys(f);
}

long emul_personality(struct frame *f)
{
    long now = sys1(__NR_personality, 0xffffffff);
    if ((uint32_t)f->rdi == 0xffffffff || (uint32_t)f->rdi == (uint32_t)now)
        return now;
    return on_self(f, true);
}

long emul_seccomp(struct frame *f)
{
    enum { SET_MODE_STRICT = 0, SET_MODE_FILTER = 1, TSYNC = 1 };
    cputime_confined();
    bool self = f->rdi == SET_MODE_STRICT || (f->rdi == SET_MODE_FILTER && !(f->rsi & TSYNC));
    return self ? on_self(f, true) : native_sys(f);
}

long emul_set_mempolicy(struct frame *f)
{
    return (int)f->rdi == 0 /* MPOL_DEFAULT */ && !uthread_self()->wired ? native_sys(f) : on_self(f, true);
}

/* setfsuid(2), setfsgid(2): of one thread, unlike setuid, for which glibc sees to all. They return the old one, whatever happens. */
long emul_setfsid(struct frame *f)
{
    long now = sys1((long)f->nr, -1);
    return (uint32_t)f->rdi == (uint32_t)now || (int32_t)f->rdi == -1 ? now : on_self(f, true);
}

long emul_capset(struct frame *f)
{
    struct {
        uint32_t version;
        int32_t pid;
    } header;
    struct frame g = *f;
    if (!uaccess_copy(&header, (void *)f->rdi, sizeof header) && header.pid == uthread_self()->tid) {
        header.pid = 0;
        g.rdi = (uint64_t)&header;
    }
    return f->nr == __NR_capset ? on_self(&g, true) : native_sys(&g);
}

/* A ring that only one kernel thread may use, or knows by a registered number. */
long emul_io_uring_setup(struct frame *f)
{
    enum { SINGLE_ISSUER = 1 << 12, DEFER_TASKRUN = 1 << 13 };
    uint32_t flags = 0;
    uaccess_load32((const uint32_t *)(f->rsi + 8), &flags);
    long r = flags & (SINGLE_ISSUER | DEFER_TASKRUN) ? on_self(f, true) : native_sys(f);
    if (r >= 0)
        uring_made((int)r, f->rsi);
    return r;
}

long emul_io_uring_register(struct frame *f)
{
    enum { REGISTER_RING_FDS = 20 };
    return (f->rsi & 0x7fffffff) == REGISTER_RING_FDS ? on_self(f, true) : native_sys(f);
}

long emul_keyctl(struct frame *f)
{
    return (int)f->rdi == 1 /* KEYCTL_JOIN_SESSION_KEYRING */ ? on_self(f, true) : native_sys(f);
}

/* What prctl(2) sets of one kernel thread. */
bool wire_prctl(int op)
{
    switch (op) {
    case 1:  /* PR_SET_PDEATHSIG */
    case 8:  /* PR_SET_KEEPCAPS */
    case 22: /* PR_SET_SECCOMP */
    case 24: /* PR_CAPBSET_DROP */
    case 28: /* PR_SET_SECUREBITS */
    case 33: /* PR_MCE_KILL */
    case 38: /* PR_SET_NO_NEW_PRIVS */
    case 47: /* PR_CAP_AMBIENT */
    case 53: /* PR_SET_SPECULATION_CTRL */
    case 57: /* PR_SET_IO_FLUSHER */
        return true;
    }
    return false;
}
