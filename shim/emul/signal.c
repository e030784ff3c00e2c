/* Signals.
 *
 * The kernel knows workers, the program knows user threads. So:
 *   - Every worker blocks every signal in the kernel, but the synchronous faults and the poke. One helper
 *     thread, sigd, takes what comes for the process (rt_sigtimedwait over everything) and, in ordinary code,
 *     chooses a user thread by the program's masks, as the kernel would.
 *   - tgkill, raise and the like to a user thread never reach the kernel.
 *   - To interrupt a user thread: attn |= ATTN_SIGNAL, then claim its wait, or poke (signal 33, which glibc keeps
 *     for itself and whose use we emulate) the worker that runs it.
 *   - A handler is entered from two places only: the way out of a hook (hook_exit_slow), and program code that
 *     a poke interrupted (on_poke). Never in shim code: a poke that lands there does nothing, since
 *     every way out looks at attn; the few instructions after that look are rewound.
 *   - The frame we build on the user thread's stack is the kernel's own (rt_sigframe), so the
 *     kernel's rt_sigreturn takes it back; handler_restorer first puts the emulated mask back.
 *   - Default actions are the kernel's: sigd (or the thread concerned) unblocks the signal and sends it to itself.
 *
 * Actions are kept here; the kernel has SIG_IGN and SIG_DFL as the program set them (children, auto-reaping
 * and exec see them), and for every handler on_foreign, which only foreign threads ever run.
 *
 * Locks: sig_lock guards actions, pending sets and queues. Taken in hooks, by sigd, and in on_poke and on_fault only
 * when program code was interrupted: nobody on that kernel thread holds it then.
 */
#include "kwait.h"

#include "../arch/x86_64/bases.h"
#include "../netpoll/netpoll.h"
#include "../base/list.h"
#include "../intercept/intercept.h"
#include "../sched/internal.h"

#define SIG(n) (1ull << ((n) - 1))
enum { SIGILL = 4, SIGTRAP = 5, SIGABRT = 6, SIGBUS = 7, SIGFPE = 8, SIGKILL = 9, SIGSEGV = 11, SIGCHLD = 17,
       SIGCONT = 18, SIGSTOP = 19, SIGTSTP = 20, SIGTTIN = 21, SIGTTOU = 22, SIGURG = 23, SIGVTALRM = 26, SIGPROF = 27, SIGWINCH = 28,
       SIGSYS = 31, SIGRTMIN = 32, NSIG = 64 };
#define SYNC_SIGNALS (SIG(SIGILL) | SIG(SIGTRAP) | SIG(SIGBUS) | SIG(SIGFPE) | SIG(SIGSEGV) | SIG(SIGSYS))
/* What may come while ours run, of the memory they touch. Not the others, which anybody may send: their frames would pile up. */
#define MEMORY_SIGNALS (SIG(SIGBUS) | SIG(SIGSEGV))
#define UNBLOCKABLE  (SIG(SIGKILL) | SIG(SIGSTOP))
#define SA_NOCLDSTOP 1ul
#define SA_NOCLDWAIT 2ul
#define SA_SIGINFO   4ul
#define SA_RESTORER  0x04000000ul
#define SA_ONSTACK   0x08000000ul
#define SA_RESTART   0x10000000ul
#define SA_NODEFER   0x40000000ul
#define SA_RESETHAND 0x80000000ul
#define SIG_DFL 0ul
#define SIG_IGN 1ul

struct kaction {
    uint64_t handler, flags, restorer, mask;
};

struct info { /* siginfo_t */
    int32_t signo, err, code, pad;
    int32_t pid, uid; /* SI_TIMER: the timer's id, the overrun */
    uint64_t value;
    char rest[96];
};
_Static_assert(sizeof(struct info) == 128, "siginfo_t");

struct mcontext {
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags;
    uint64_t csgsfs, err, trapno, oldmask, cr2;
    void *fpstate;
    uint64_t reserved[8];
};
enum { RESERVED_SHOWN, RESERVED_TARGET }; /* our use of mcontext.reserved */
struct ucontext {
    uint64_t flags;
    void *link;
    struct {
        uint64_t sp;
        int32_t flags, pad;
        uint64_t size;
    } stack;
    struct mcontext mc;
    uint64_t sigmask;
};
struct sigframe {
    void *pretcode;
    struct ucontext uc;
    struct info info;
};
_Static_assert(offsetof(struct ucontext, mc) == 40, "asm/ucontext.h");

struct sigqueued {
    struct sigqueued *next;
    struct info info;
};

static struct lock sig_lock;
static struct kaction actions[NSIG + 1];
static uint64_t actions_known; /* under sig_lock. The others are the default; flags and mask the kernel knows */
static struct sigpending process;       /* pending for the process; under sig_lock */
static uint64_t process_mask_hint;      /* atomic copy of process.mask, for cheap looks */
static struct sigqueued *queue_free;    /* under sig_lock */
static uint32_t nqueued;                /* of them in use; atomic, changed under sig_lock */
static uint64_t signalfd_mask;          /* atomic: what was ever given to a signalfd; see "signalfd" */
static uint32_t review_asked, review_done; /* atomic: sigd is to look anew at what it takes */
uint64_t worker_mask;
int32_t sigd_tid;

/* In sigwait(3) and its kin. u->sigwait leads to it: a signal for one of thousands need not look for it. */
struct sigwaiter {
    struct sigwaiter *next, *prev;
    struct uthread *u;
    uint64_t seq, set;
    struct info *info;
    int got;
};
static struct {
    struct sigwaiter *head, *tail;
} waiters; /* under sig_lock */
/* What is known of POSIX timers, by id; an id is not used again soon, so an entry is simply overwritten in time. */
enum { TIMERS = 4096 };
static struct timer_known {
    int32_t id;
    int32_t tid;     /* SIGEV_THREAD_ID: the user thread it signals; 0: the process */
    int32_t signo;   /* 0: none */
    bool armed;      /* since it was created or last settled */
    int32_t overrun; /* of its signal that was delivered last */
    bool delivered;  /* here, at least once: else the kernel knows the overrun */
} timers_known[TIMERS]; /* under sig_lock */
static bool timers_any;     /* likewise: some of it is written. It is large, and seldom is */
static uint32_t itimers_armed, itimers_repeat; /* atomic, a bit each: may have been set since they were settled */
static struct timer_known *timer_known(int32_t id) /* NULL: not known */
{
    struct timer_known *t = &timers_known[(uint32_t)id % TIMERS];
    return t->id == id ? t : NULL;
}
enum { SI_USER = 0, SI_TIMER = -2, SI_TKILL = -6, SI_KERNEL = 128, SYS_SECCOMP = 1 };
/* What wakes sigd. The signal is one that the kernel merges: it cannot be refused for want of room, as a real-time one could; and one
 * that sigd always takes: a signalfd never shows it (signalfd_mask). */
enum { SIGD_WAKE = SIGSYS };

void handler_restorer(void);
extern char exit_check[], exit_rsp[], exit_jump[], pass_check[], pass_jump[];
extern char entry_probe[], fast_look[], fast_syscall[], fast_check[], fast_jump[];
extern char sys_intr_look[], sys_intr_syscall[], sys_intr_abort[], restorer_check[], restorer_end[];
extern char uaccess_begin[], uaccess_end[], uaccess_fault[];
extern char shim_text_begin[] __asm__("__ehdr_start"), shim_text_end[] __asm__("etext");
long kernel_sigreturn_restorer(void);

/* ---- the kernel's view ---- */

int signal_mask_native(uint64_t mask)
{
    return (int)sys4(__NR_rt_sigprocmask, 2 /* SIG_SETMASK */, P(&mask), 0, 8);
}

__asm__(".text\n.globl kernel_restorer\n.hidden kernel_restorer\n.type kernel_restorer,@function\n"
        "nop\nkernel_restorer: movq $15, %rax\n syscall\n ud2\n.size kernel_restorer, . - kernel_restorer\n");
void kernel_restorer(void);

static long kernel_action(int sig, const struct kaction *a)
{
    return sys4(__NR_rt_sigaction, sig, P(a), 0, 8);
}

static bool default_ignored(int sig)
{
    return sig == SIGCHLD || sig == SIGURG || sig == SIGWINCH || sig == SIGCONT;
}
static bool default_stops(int sig)
{
    return sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU;
}

/* ---- pending sets ---- */

/* Under sig_lock. */
static struct sigqueued *queued_new(void)
{
    if (!queue_free) {
        struct sigqueued *q = sys_map(NULL, 16 * PAGE_SIZE, 3, 0);
        if (!q)
            return NULL;
        for (size_t i = 0; i < 16 * PAGE_SIZE / sizeof *q; i++) {
            q[i].next = queue_free;
            queue_free = &q[i];
        }
    }
    struct sigqueued *q = queue_free;
    queue_free = q->next;
    store_relaxed(&nqueued, nqueued + 1);
    return q;
}

/* A timer's signal that is pending is one, however often it expires: the rest is overrun. The kernel's own count ended
 * when sigd took the signal. */
static bool timer_overruns(struct sigpending *p, const struct info *info)
{
    for (struct sigqueued *q = p->queue; q; q = q->next)
        if (q->info.code == SI_TIMER && q->info.signo == info->signo && q->info.pid == info->pid) {
            int64_t n = (int64_t)q->info.uid + 1 + info->uid;
            q->info.uid = n > INT32_MAX ? INT32_MAX : (int32_t)n; /* DELAYTIMER_MAX */
            return true;
        }
    return false;
}

/* Under sig_lock. A standard signal already pending is merged, as the kernel does. */
static void enqueue(struct sigpending *p, const struct info *info)
{
    int sig = info->signo;
    if ((p->mask & SIG(sig)) && ((info->code == SI_TIMER && timer_overruns(p, info)) || sig < SIGRTMIN))
        return;
    struct sigqueued *q = queued_new();
    p->mask |= SIG(sig);
    if (!q)
        return;
    q->info = *info;
    q->next = NULL;
    struct sigqueued **at = &p->queue;
    while (*at)
        at = &(*at)->next;
    *at = q;
}

/* Under sig_lock: for timer_getoverrun. */
static void timer_delivered(const struct info *info)
{
    struct timer_known *t = timer_known(info->pid);
    if (!t)
        return;
    t->overrun = info->uid;
    t->delivered = true;
}

/* Under sig_lock: the next of `set`, synchronous first, then the lowest; 0 none. */
static int dequeue(struct sigpending *p, uint64_t set, struct info *info)
{
    uint64_t m = p->mask & set;
    if (!m)
        return 0;
    int sig = __builtin_ctzll(m & SYNC_SIGNALS ? m & SYNC_SIGNALS : m) + 1;
    bool found = false, more = false;
    for (struct sigqueued **at = &p->queue, *q; (q = *at);) {
        if (q->info.signo == sig && !found) {
            found = true;
            *info = q->info;
            *at = q->next;
            q->next = queue_free;
            queue_free = q;
            store_relaxed(&nqueued, nqueued - 1);
            continue;
        }
        more = more || q->info.signo == sig;
        at = &q->next;
    }
    if (!found) {
        memset(info, 0, sizeof *info);
        info->signo = sig;
    }
    if (!more)
        p->mask &= ~SIG(sig);
    if (info->code == SI_TIMER)
        timer_delivered(info);
    return sig;
}

static void drop_pending(struct sigpending *p, uint64_t set)
{
    struct info junk;
    while (dequeue(p, set, &junk))
        ;
}

static void hint(void)
{
    store_seq(&process_mask_hint, process.mask);
}

/* ---- choosing and interrupting ---- */

/* To a kernel thread of ours. A real-time signal, which is refused where there is no room to queue it: then by one that the kernel merges. */
static void send_poke(int32_t ktid)
{
    if (sys3(__NR_tgkill, stats->pid, ktid, POKE_SIGNAL) == -EAGAIN)
        sys3(__NR_tgkill, stats->pid, ktid, SIGD_WAKE);
}
/* One at a time for each worker: the kernel queues real-time signals, up to RLIMIT_SIGPENDING of all processes of a user together, and a
 * thread that is sent signals in a loop would be sent that many pokes. Whoever finds one on its way has written what it is about before the xchg,
 * which pairs with that in on_poke, before the looks there. */
void worker_poke(struct worker *w)
{
    if (!xchg(&w->poked, 1u))
        send_poke(w->ktid);
}
/* SIGD_WAKE came: from ourselves? The program's own tgkill never reach the kernel. Code and sender are 0 where there was no room for them. */
static bool sent_by_us(const struct info *info)
{
    return info->code == SI_TKILL ? info->pid == stats->pid : info->code == SI_USER && info->pid == 0;
}

void uthread_poke(struct uthread *u)
{
    fetch_or(&u->attn, (uint32_t)ATTN_SIGNAL);
    struct worker *me = worker_or_null();
    if (me && me->cur == u)
        return; /* ourselves: the way out looks */
    for (int look = 0; look < 2; look++) {
        uint64_t w = load_relaxed(&u->waitw);
        if ((w & 15) == WAITW_OPEN) {
            if (wait_claim(u, w >> WAITW_SHIFT, WAKE_SIGNAL)) {
                /* Perhaps it has seen attn and come to wait anew meanwhile: that wait, too, must end with a look. */
                fetch_or(&u->attn, (uint32_t)ATTN_SIGNAL);
                sched_ready(u);
            }
            return;
        }
        if (look == 0)
            membarrier(); /* attn before the looks at the wait, and at where it runs; pairs with park_g0 and with dispatch */
    }
    struct worker *on = load_relaxed(&u->worker);
    if (on && load_relaxed(&on->cur) == u)
        worker_poke(on);
}

static bool wants(const struct uthread *u, int sig)
{
    return u->tid && !u->exiting && !(load_relaxed(&u->sigmask) & SIG(sig));
}

/* Under sig_lock. Whom a process-directed signal interrupts, as the kernel chooses (complete_signal): main if it wants
 * it, for programs count on their main loop being interrupted by a kill from another thread; else the caller; else
 * anybody, but rather one who is not on the way to a handler already. */
static struct uthread *choose(int sig)
{
    struct worker *w = worker_or_null();
    struct uthread *main = uthread_at(0), *self = w ? w->cur : NULL, *found = NULL;
    if (wants(main, sig))
        return main;
    if (self && wants(self, sig))
        return self;
    lock_take(&uthreads_lock);
    for (struct uthread *u = uthreads_all; u; u = u->all_next)
        if (wants(u, sig)) {
            found = u;
            if (!(load_relaxed(&u->attn) & ATTN_SIGNAL))
                break;
        }
    lock_drop(&uthreads_lock);
    return found;
}

/* ITIMER_PROF and ITIMER_VIRTUAL: natively for the thread that was running when the time was up, so that profilers see where
 * it goes. Under sig_lock: one that runs in program code now, each worker's in turn; NULL: none. */
static struct uthread *choose_running(int sig)
{
    static uint32_t rotor;
    uint32_t n = load_relaxed(&sched.nworkers), start = ++rotor;
    for (uint32_t i = 0; i < n; i++) {
        struct worker *w = &sched.workers[(start + i) % n];
        struct uthread *u = load_relaxed(&w->cur);
        if (u && !load_relaxed(&w->hook) && !load_relaxed(&w->sysno1) && wants(u, sig))
            return u;
    }
    return NULL;
}

/* The kernel's default action for sig, on this kernel thread. Returns for stops and ignored ones. */
static void default_action(int sig)
{
    if (default_ignored(sig))
        return;
    struct kaction dfl = {0};
    uint64_t old, set = SIG(sig);
    kernel_action(sig, &dfl);
    if (!default_stops(sig)) {
        stats_remove();
        futex_process_ends();
    }
    sys4(__NR_rt_sigprocmask, 1 /* UNBLOCK */, P(&set), P(&old), 8);
    sys3(__NR_tgkill, sys0(__NR_getpid), sys0(__NR_gettid), sig);
    sys4(__NR_rt_sigprocmask, 2, P(&old), 0, 8); /* a stopped process goes on here */
}

/* Under sig_lock: sig is w's, if it waits for it, and still. The caller readies w->u. */
static bool waiter_gets(struct sigwaiter *w, int sig, const struct info *info)
{
    if (!(w->set & SIG(sig)) || !wait_claim(w->u, w->seq, WAKE_EVENT))
        return false;
    list_remove(&waiters, w);
    w->u->sigwait = NULL;
    *w->info = *info;
    w->got = sig;
    if (info->code == SI_TIMER)
        timer_delivered(info);
    return true;
}

static int waiter_take(int sig, const struct info *info, struct uthread **out)
{
    for (struct sigwaiter *w = waiters.head; w; w = w->next) {
        *out = w->u;
        if (waiter_gets(w, sig, info))
            return 1;
    }
    *out = NULL;
    return 0;
}

/* The user thread that timer `id` signals; 0: the process. */
static int timer_owner(int32_t id)
{
    lock_take(&sig_lock);
    struct timer_known *t = timer_known(id);
    int tid = t ? t->tid : 0;
    lock_drop(&sig_lock);
    return tid;
}

/* ---- signalfd ----
 *
 * A signalfd reads the kernel's pending set. So what was ever given to one follows the kernel's own rule: as long as every
 * user thread blocks the signal and none waits for it, it stays pending in the kernel, where signalfd, poll and exec
 * find it. Otherwise sigd takes it. Whether a signalfd is still open does not matter.
 *
 * Who makes such a signal wanted (unblocks, waits) stores that, fetches what the kernel has pending, and has sigd look anew.
 * Who gives one to the kernel gives it, then looks whether it is wanted, and fetches it back. Full barriers between (system
 * calls, and store_seq): one of the two sees the other. A sigd that looks late takes what nobody wants, and gives it back.
 * Signals to one thread that blocks them become the process's, so that a signalfd shows them.
 */

/* Under sig_lock: which of `set` a user thread would take, or waits for. */
static uint64_t wanted(uint64_t set)
{
    uint64_t m = 0;
    for (struct sigwaiter *w = waiters.head; w; w = w->next)
        m |= w->set;
    lock_take(&uthreads_lock);
    for (struct uthread *u = uthreads_all; u && (m & set) != set; u = u->all_next)
        if (!u->exiting)
            m |= ~load_relaxed(&u->sigmask);
    lock_drop(&uthreads_lock);
    return m & set;
}

static bool is_wanted(int sig)
{
    lock_take(&sig_lock);
    bool w = wanted(SIG(sig)) != 0;
    lock_drop(&sig_lock);
    return w;
}

/* The kernel's pending signals of `set`, the next one; 0: none. */
static int kernel_take(uint64_t set, struct info *info)
{
    struct timespec64 zero = {0, 0};
    long r = sys4(__NR_rt_sigtimedwait, P(&set), P(info), P(&zero), 8);
    return r > 0 ? (int)r : 0;
}

/* Pending for the process in the kernel. It lets nobody but a thread itself claim to be the kernel or another sender,
 * and for the whole process only by way of a pidfd of that thread (Linux 6.9); before, the sender is lost. */
static void kernel_post(const struct info *info)
{
    int sig = info->signo;
    if (info->code == 0 && info->pid == stats->pid) { /* as kill makes it */
        sys2(__NR_kill, stats->pid, sig);
        return;
    }
    if (info->code < 0 && info->code != -6 && sys3(__NR_rt_sigqueueinfo, stats->pid, sig, P(info)) == 0)
        return;
    long fd = sys2(434 /* pidfd_open */, sys0(__NR_gettid), 0200 /* PIDFD_THREAD */), r = -1;
    if (fd >= 0) {
        r = sys4(424 /* pidfd_send_signal */, fd, sig, P(info), 2 /* PIDFD_SIGNAL_THREAD_GROUP */);
        sys1(__NR_close, fd);
    }
    if (r < 0)
        sys2(__NR_kill, stats->pid, sig);
}

/* Not wanted when the caller looked: true if the kernel has it now; false if it is wanted after all (and *info is
 * what the caller has to post). No lock held. */
static bool kernel_keeps(struct info *info)
{
    int sig = info->signo;
    kernel_post(info);
    return !is_wanted(sig) || !kernel_take(SIG(sig), info);
}

static bool for_kernel(int sig)
{
    return unlikely(load_relaxed(&signalfd_mask) & SIG(sig)) && !is_wanted(sig);
}

static void sigd_births(void)
{
    sys3(__NR_tgkill, stats->pid, sigd_tid, SIGD_WAKE);
}

/* Have sigd look anew; with `wait`, until it has, and has posted what it took before. No lock held then. */
static void sigd_review(bool wait)
{
    uint32_t mine = add_fetch(&review_asked, 1u), done;
    sys3(__NR_tgkill, stats->pid, sigd_tid, SIGD_WAKE);
    while (wait && (int32_t)((done = load_acquire(&review_done)) - mine) < 0)
        sys6(__NR_futex, P(&review_done), 128, done, 0, 0, 0);
}

static void post_process(const struct info *info);

static cold void signalfd_mask_changed(uint64_t opened, bool wait)
{
    struct info info;
    /* Fetch first: a sigd that has looked anew may take what was pending, and post it after we have returned. */
    while (opened && kernel_take(opened, &info))
        post_process(&info);
    sigd_review(wait);
}

/* A signal for the process. Any kernel thread, not in async context over shim code. */
static void post_process(const struct info *pinfo)
{
    struct info copy, *info = &copy;
    int sig = pinfo->signo;
    struct uthread *target = NULL, *waiter = NULL;
    bool dfl = false;
    copy = *pinfo;
    if (for_kernel(sig) && kernel_keeps(info))
        return;
    lock_take(&sig_lock);
    if (sig == SIGCONT)
        drop_pending(&process, SIG(SIGTSTP) | SIG(SIGTTIN) | SIG(SIGTTOU));
    if (!waiter_take(sig, info, &waiter)) {
        uint64_t handler = actions[sig].handler;
        bool ignored = handler == SIG_IGN || (handler == SIG_DFL && default_ignored(sig));
        /* Pending first, then the look at masks: who unblocks stores his mask, then looks at what is pending
         * (recheck). One of the two sees the other. */
        enqueue(&process, info);
        hint();
        if ((sig == SIGPROF || sig == SIGVTALRM) && info->code == SI_KERNEL)
            target = choose_running(sig);
        if (!target)
            target = choose(sig);
        if (target && (ignored || handler == SIG_DFL)) {
            drop_pending(&process, SIG(sig));
            hint();
            dfl = !ignored;
            target = NULL;
        }
    }
    lock_drop(&sig_lock);
    if (waiter)
        sched_ready(waiter);
    if (target)
        uthread_poke(target);
    if (dfl)
        default_action(sig);
}

/* A signal for one user thread. Under sig_lock, which is dropped; u is not past signal_uthread_exit. */
static void post_thread_unlock(struct uthread *u, int sig, const struct info *info)
{
    struct uthread *waiter = NULL;
    bool poke = false;
    if (u->sigwait && waiter_gets(u->sigwait, sig, info))
        waiter = u;
    else {
        uint64_t handler = actions[sig].handler;
        enqueue(&u->sig, info); /* then look at the mask: see post_process */
        fence_full();
        poke = !(load_relaxed(&u->sigmask) & SIG(sig));
        if (poke && (handler == SIG_IGN || (handler == SIG_DFL && default_ignored(sig)))) {
            drop_pending(&u->sig, SIG(sig));
            poke = false;
        }
    }
    lock_drop(&sig_lock);
    if (waiter)
        sched_ready(waiter);
    if (poke)
        uthread_poke(u);
}

/* The live user thread `tid`, under sig_lock: while that is held it cannot be gone, for signal_uthread_exit takes it. */
static struct uthread *living(int tid)
{
    lock_take(&uthreads_lock);
    struct uthread *u = uthread_by_tid(tid);
    if (u && u->exiting)
        u = NULL;
    lock_drop(&uthreads_lock);
    return u;
}

/* To the user thread tid, if it lives: 0 or -ESRCH. sig 0: only asks. Any kernel thread. */
static long post_tid(int tid, int sig, const struct info *pinfo)
{
    struct info info;
    lock_take(&sig_lock);
    struct uthread *u = living(tid);
    if (!u || !sig) {
        lock_drop(&sig_lock);
        return u ? 0 : -ESRCH;
    }
    info = *pinfo;
    if (unlikely(load_relaxed(&signalfd_mask) & u->sigmask & SIG(sig)) && !wanted(SIG(sig))) {
        lock_drop(&sig_lock);
        if (kernel_keeps(&info))
            return 0;
        lock_take(&sig_lock);
        u = living(tid);
        if (!u) {
            lock_drop(&sig_lock);
            return 0; /* it was alive, and pending signals end with their thread */
        }
    }
    post_thread_unlock(u, sig, &info);
    return 0;
}

void signal_post_thread(struct uthread *u, int sig, const void *info)
{
    post_tid(u->tid, sig, info);
}

static struct info user_info(int sig, int code)
{
    struct info i;
    memset(&i, 0, sizeof i);
    i.signo = sig;
    i.code = code;
    i.pid = stats->pid;
    i.uid = (int32_t)sys0(__NR_getuid);
    return i;
}

void signal_raise_self(int sig)
{
    struct info i = user_info(sig, 0);
    signal_post_thread(uthread_self(), sig, &i);
}

/* After u's mask was stored (with a full barrier): is something pending that it lets through? */
static void recheck(struct uthread *u)
{
    uint64_t open = ~load_relaxed(&u->sigmask);
    if ((load_relaxed(&u->sig.mask) | load_relaxed(&process_mask_hint)) & open)
        fetch_or(&u->attn, (uint32_t)ATTN_SIGNAL);
}

/* After u's mask was stored (with a full barrier): what was pending for the process when u came to block it, and was
 * perhaps given to u, is for another who does not. Without this it would wake nobody. */
static void retarget(struct uthread *u, uint64_t blocked)
{
    uint64_t left = load_relaxed(&process_mask_hint) & blocked;
    while (unlikely(left)) {
        int sig = __builtin_ctzll(left) + 1;
        left &= left - 1;
        lock_take(&sig_lock);
        struct uthread *t = process.mask & SIG(sig) ? choose(sig) : NULL;
        lock_drop(&sig_lock);
        if (t && t != u)
            uthread_poke(t);
    }
}

/* The mask of u, the caller, from now on. Not under sig_lock. `wait`: until sigd knows it too. */
static void set_mask(struct uthread *u, uint64_t mask, bool wait)
{
    uint64_t old = u->sigmask, changed;
    mask &= ~UNBLOCKABLE;
    store_seq(&u->sigmask, mask); /* before the looks: who posts a signal enqueues it before he reads masks */
    changed = (old ^ mask) & load_relaxed(&signalfd_mask);
    if (unlikely(changed))
        signalfd_mask_changed(changed & ~mask, wait);
    recheck(u);
    retarget(u, mask & ~old);
}

void signal_mask_start(struct uthread *u, uint64_t mask)
{
    store_seq(&u->sigmask, mask);
    recheck(u);
}

void signal_recheck_self(void)
{
    recheck(uthread_self());
}

void signal_mask_push(struct uthread *u, uint64_t set)
{
    u->sigmask_saved = u->sigmask;
    u->sigmask_restore = true;
    set_mask(u, set, false);
}

void signal_mask_pop(struct uthread *u)
{
    if (!u->sigmask_restore)
        return;
    u->sigmask_restore = false;
    set_mask(u, u->sigmask_saved, false);
}

long signal_mask_begin(uint64_t set_at, uint64_t size)
{
    uint64_t set;
    if (!set_at)
        return 0;
    if (size != 8)
        return -EINVAL;
    if (uaccess_copy(&set, (void *)set_at, 8))
        return -EFAULT;
    signal_mask_push(uthread_self(), set);
    return 0;
}

long signal_mask_end(uint64_t set_at, long r)
{
    if (set_at && r != -ERESTARTNOHAND)
        signal_mask_pop(uthread_self());
    return r;
}

/* An ended user thread: what it was to take may be somebody else's. */
void signal_uthread_exit(struct uthread *u)
{
    struct info junk;
    uint64_t left;
    lock_take(&sig_lock);
    while (dequeue(&u->sig, ~0ull, &junk))
        ;
    left = process.mask;
    lock_drop(&sig_lock);
    while (left) {
        int sig = __builtin_ctzll(left) + 1;
        left &= left - 1;
        lock_take(&sig_lock);
        struct uthread *t = choose(sig);
        lock_drop(&sig_lock);
        if (t)
            uthread_poke(t);
    }
}

/* ---- entering a handler ---- */


struct regs { /* where the program is to go on after the handler */
    struct mcontext mc;
    const void *fpstate; /* the kernel's copy; NULL: the live registers */
    uint32_t fpsize;
    bool initial;        /* but the floating point state as it is initially: of a handler that has not begun */
};

/* A handler begins with the initial floating point state, as the kernel has it (fpu__clear_user_states): no exception, no trap, no rounding mode
 * of what it interrupts; and the default rights for protection keys (pkeys(7)). fp: as FXSAVE or XSAVE lay it down. */
enum { PKRU_BIT = 1 << 9, PKRU_DEFAULT = 0x55555554 /* key 0 alone, as Linux has it */ };
static void fpstate_initial(char *fp)
{
    const uint32_t mxcsr = 0x1f80;
    const uint16_t control = 0x37f;
    uint64_t present;
    memset(fp, 0, 24);
    memcpy(fp, &control, sizeof control);
    memcpy(fp + 24, &mxcsr, sizeof mxcsr);
    if (*(const uint32_t *)(fp + 464) != 0x46505853 /* FP_XSTATE_MAGIC1 */)
        return;
    present = vec_pku ? PKRU_BIT : 0;
    memcpy(fp + 512, &present, sizeof present);
    if (vec_pku)
        memcpy(fp + vec_pkru_at, &(uint32_t){PKRU_DEFAULT}, 4);
}
static void live_initial(void)
{
    static const uint32_t mxcsr = 0x1f80;
    __asm__ volatile("fninit\n\tldmxcsr %0" : : "m"(mxcsr));
    if (vec_pku)
        __asm__ volatile("wrpkru" : : "a"(PKRU_DEFAULT), "c"(0), "d"(0));
}

/* As the kernel's frames: with tiles only if there are any. (It takes a larger frame than its own for one of FXSAVE, and 8 KB more than natively would not
 * fit where the program has a stack for signals.) */
static struct vec_frame frame_live(void)
{
    if (vec_frame_tiles.size != vec_frame.size && vec_kind == 0) {
        uint32_t lo, hi;
        __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(1));
        if (((uint64_t)hi << 32 | lo) & (vec_frame_tiles.components & ~vec_frame.components))
            return vec_frame_tiles;
    }
    return vec_frame;
}
static inline void xsave_live(void *area, uint64_t components)
{
    if (vec_kind == 2)
        __asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
    else
        __asm__ volatile("xsave64 (%0)" : : "r"(area), "a"((uint32_t)components), "d"((uint32_t)(components >> 32)) : "memory");
}

/* sigaltstack(2). With SS_AUTODISARM nobody counts as on it: a handler that enters it disarms it. */
#define SS_ONSTACK    1
#define SS_DISABLE    2
#define SS_AUTODISARM ((int32_t)(1u << 31))

static bool on_altstack(const struct uthread *u, uint64_t sp)
{
    return u->altstack.size && !(u->altstack.flags & SS_AUTODISARM) && sp > u->altstack.sp &&
           sp - u->altstack.sp <= u->altstack.size;
}

static int32_t altstack_flags(const struct uthread *u, uint64_t sp)
{
    int32_t flags = !u->altstack.size ? SS_DISABLE : on_altstack(u, sp) ? SS_ONSTACK : 0;
    return flags | (u->altstack.flags & SS_AUTODISARM);
}

static long altstack_set(struct uthread *u, uint64_t sp, uint64_t new_sp, int32_t flags, uint64_t size)
{
    int32_t mode = flags & ~SS_AUTODISARM;
    if (on_altstack(u, sp))
        return -EPERM;
    if (mode != 0 && mode != SS_ONSTACK && mode != SS_DISABLE)
        return -EINVAL;
    if (mode == SS_DISABLE)
        new_sp = size = 0;
    else if (size < 2048)
        return -ENOMEM;
    u->altstack.sp = new_sp;
    u->altstack.size = size;
    u->altstack.flags = flags;
    return 0;
}

/* Build the signal frame for sig below `sp_limit` (0: below the red zone) and point the registers out at the
 * handler. False: the stack cannot take it. */
static __attribute__((__noinline__)) bool build_frame(struct uthread *u, const struct info *info, const struct kaction *a, const struct regs *r,
                        uint64_t sp_limit, uint64_t mask_saved, uint64_t *sp_out)
{
    uint64_t sp = r->mc.rsp - 128;
    bool on_alt = on_altstack(u, r->mc.rsp);
    if (sp_limit && sp_limit < sp)
        sp = sp_limit;
    if ((a->flags & SA_ONSTACK) && u->altstack.size && !on_alt)
        sp = u->altstack.sp + u->altstack.size;
    const struct vec_frame live = frame_live();
    uint32_t fpsize = r->fpstate ? r->fpsize : live.size;
    uint64_t fp = ALIGN_DOWN(sp - fpsize - 4, 64);
    struct sigframe *sf = (struct sigframe *)(ALIGN_DOWN(fp - sizeof *sf, 16) - 8);
    if (u->altstack.size && (uint64_t)sf < u->altstack.sp && sp > u->altstack.sp &&
        sp <= u->altstack.sp + u->altstack.size)
        return false;
    if (uaccess_probe_write(sf) || uaccess_probe_write((void *)(fp + fpsize)))
        return false;
    if (r->fpstate)
        memmove((void *)fp, r->fpstate, fpsize + 4); /* perhaps from the frame that this one replaces */
    else {
        memset((void *)(fp + 512), 0, vec_kind == 2 ? 0 : 64);
        xsave_live((void *)fp, live.components);
        uint32_t *sw = (uint32_t *)(fp + 464);
        memset(sw, 0, 48);
        if (vec_kind != 2) {
            sw[0] = 0x46505853; /* FP_XSTATE_MAGIC1 */
            sw[1] = fpsize + 4;
            sw[2] = (uint32_t)live.components;
            sw[3] = (uint32_t)(live.components >> 32);
            sw[4] = fpsize;
            *(uint32_t *)(fp + fpsize) = 0x46505845; /* FP_XSTATE_MAGIC2 */
        }
    }
    if (r->initial)
        fpstate_initial((char *)fp);
    memset(&sf->uc, 0, sizeof sf->uc);
    sf->pretcode = (void *)handler_restorer;
    sf->uc.flags = (vec_kind != 2 ? 1 : 0) | 2 | 4;
    sf->uc.stack.sp = u->altstack.sp;
    sf->uc.stack.size = u->altstack.size;
    sf->uc.stack.flags = altstack_flags(u, r->mc.rsp);
    if (u->altstack.flags & SS_AUTODISARM) { /* until sigreturn_prepare arms it again */
        u->altstack.sp = u->altstack.size = 0;
        u->altstack.flags = SS_DISABLE;
    }
    sf->uc.mc = r->mc;
    sf->uc.mc.fpstate = (void *)fp;
    sf->uc.mc.oldmask = mask_saved;
    sf->uc.sigmask = mask_saved;
    sf->info = *info;
    *sp_out = (uint64_t)sf;
    return true;
}

static void install(int sig);

/* Under no lock: take what is deliverable for u now. 0: nothing. A default action of death does not return. */
static int next_signal(struct uthread *u, struct info *info, struct kaction *a)
{
    for (;;) {
        lock_take(&sig_lock);
        uint64_t open = ~u->sigmask;
        int sig = dequeue(&u->sig, open, info);
        if (!sig) {
            sig = dequeue(&process, open, info);
            hint();
        }
        if (!sig) {
            lock_drop(&sig_lock);
            return 0;
        }
        *a = actions[sig];
        if (a->handler > SIG_IGN && (a->flags & SA_RESETHAND)) {
            actions[sig].handler = SIG_DFL;
            actions[sig].flags &= ~SA_SIGINFO;
            install(sig); /* a fork child goes by what the kernel has */
        }
        lock_drop(&sig_lock);
        if (a->handler == SIG_IGN)
            continue;
        if (a->handler == SIG_DFL) {
            default_action(sig);
            continue;
        }
        return sig;
    }
}

/* u's mask while the handler runs; what was before goes into the frame. */
static uint64_t handler_mask(struct uthread *u, int sig, const struct kaction *a)
{
    uint64_t before = u->sigmask_restore ? u->sigmask_saved : u->sigmask;
    u->sigmask_restore = false;
    uint64_t m = u->sigmask | a->mask;
    if (!(a->flags & SA_NODEFER))
        m |= SIG(sig);
    set_mask(u, m, false);
    return before;
}

static void die_of_segv(void)
{
    actions[SIGSEGV].handler = SIG_DFL;
    default_action(SIGSEGV);
}

/* The frame of one handler, and r as the handler begins. False: no room. */
static bool begin_handler(struct uthread *u, int sig, const struct info *info, const struct kaction *a, struct regs *r, uint64_t sp_limit)
{
    uint64_t sp, before = handler_mask(u, sig, a);
    if (!build_frame(u, info, a, r, sp_limit, before, &sp))
        return false;
    struct sigframe *sf = (struct sigframe *)sp;
    r->mc.rdi = (uint64_t)sig;
    r->mc.rsi = (uint64_t)&sf->info;
    r->mc.rdx = (uint64_t)&sf->uc;
    r->mc.rax = 0;
    r->mc.rsp = sp;
    r->mc.rip = a->handler;
    r->mc.eflags &= ~0x500ull; /* DF, TF */
    memset(r->mc.reserved, 0, sizeof r->mc.reserved);
    if (r->fpstate)
        r->fpstate = sf->uc.mc.fpstate; /* what it was copied from may be written over */
    r->initial = true;
    COUNT_SHARED(signals);
    return true;
}

/* All that can be delivered now, each on top of the one before, as the kernel does: the last one's handler runs first, and returns to the
 * beginning of the one before. r: what the first interrupts; then where to go on. The first one's frame is built below `limit`, the
 * others' below `ours`, if that is on the same stack (0: anywhere). False: no room, which kills. */
static __attribute__((__noinline__)) bool begin_handlers(struct uthread *u, int sig, struct info *info, struct kaction *a, struct regs *r,
                                                         uint64_t limit, uint64_t ours)
{
    enum { OUR_FRAMES = 16384 };
    do {
        if (!begin_handler(u, sig, info, a, r, limit)) {
            die_of_segv();
            return false;
        }
        limit = r->mc.rsp - ours < OUR_FRAMES ? ours : 0;
        recheck(u);
        if (!(load_relaxed(&u->attn) & ATTN_SIGNAL))
            break;
        fetch_and(&u->attn, ~(uint32_t)ATTN_SIGNAL);
    } while ((sig = next_signal(u, info, a)));
    return true;
}

/* Become the handler. Last step: no lock, no shim state. `over`: what was on the stack may be written over, as far as this call. */
static __attribute__((__noinline__)) _Noreturn void enter_handler(struct uthread *u, int sig, struct info *info, struct kaction *a, struct regs *r,
                                                                  bool over)
{
    /* Our own C frames lie where the signal frame would; build it below them (this frame and those it calls take less than 2 KiB: none may
     * be inlined). */
    uint64_t ours = (uint64_t)__builtin_frame_address(0) - 2048;
    begin_handlers(u, sig, info, a, r, over ? 0 : ours, ours);
    struct frame g = {.rdi = r->mc.rdi, .rsi = r->mc.rsi, .rdx = r->mc.rdx, .rsp = r->mc.rsp, .rip = r->mc.rip};
    live_initial();
    frame_jump(&g);
}

/* entry.S: attn was set when a hook was about to return `ret`. */
long hook_exit_slow(struct frame *f, long ret);
long hook_exit_slow(struct frame *f, long ret)
{
    struct uthread *u = uthread_self();
    uint32_t attn = load_relaxed(&u->attn);
    if (attn & ATTN_YIELD) {
        fetch_and(&u->attn, ~(uint32_t)ATTN_YIELD);
        hook_enter();
        sched_yield_now();
        hook_exit();
    }
    if (!(attn & ATTN_SIGNAL))
        return ret;
    fetch_and(&u->attn, ~(uint32_t)ATTN_SIGNAL);
    struct info info;
    struct kaction a;
    int sig = next_signal(u, &info, &a);
    if (sig)
        u->restart_when = 0;
    bool interrupted = ret == -ERESTARTSYS || ret == -ERESTARTNOHAND || ret == -ERESTARTNOINTR;
    if (!sig) {
        if (u->sigmask_restore) { /* sigsuspend, ppoll whose signal went elsewhere */
            signal_mask_pop(u);
        }
        if (!interrupted)
            return ret;
        struct frame g = *f; /* nothing happened: the call again */
        g.rip = frame_restart(f);
        g.rsp = frame_rsp(f);
        g.rax = f->nr;
        frame_jump(&g);
    }
    struct regs r = {0};
    struct mcontext *m = &r.mc;
    m->r15 = f->r15, m->r14 = f->r14, m->r13 = f->r13, m->r12 = f->r12;
    m->rbp = f->rbp, m->rbx = f->rbx, m->r9 = f->r9, m->r8 = f->r8, m->r10 = f->r10;
    m->rdx = f->rdx, m->rsi = f->rsi, m->rdi = f->rdi;
    m->rsp = frame_rsp(f);
    /* What the handler and unwinders see is the site, as natively: after the call, or at it when it is to be made
     * again. Where the program really goes on (perhaps a stub) sigreturn_prepare puts in its place. */
    uint64_t site_end = *(uint64_t *)((char *)f + FRAME_SITE_END);
    m->rip = site_end;
    m->reserved[RESERVED_TARGET] = frame_resume(f);
    m->rcx = m->rip;
    m->rax = sig == SIGSYS && info.code == SYS_SECCOMP ? (uint32_t)info.value /* the call, as the kernel leaves it */ : (uint64_t)ret;
    __asm__ volatile("pushfq; popq %0" : "=r"(m->eflags));
    m->eflags &= ~0x400ull;
    m->r11 = m->eflags;
    m->csgsfs = 0x33ull | 0x2bull << 48;
    if (interrupted) {
        if (ret == -ERESTARTNOINTR || (ret == -ERESTARTSYS && (a.flags & SA_RESTART))) {
            m->rip = site_end - 2;
            m->reserved[RESERVED_TARGET] = frame_restart(f);
            m->rax = f->nr;
        } else
            m->rax = (uint64_t)-EINTR;
    }
    m->reserved[RESERVED_SHOWN] = m->rip;
    enter_handler(u, sig, &info, &a, &r, false);
}

/* A handler returned; uc is its frame, which the kernel will restore from in a moment. */
void sigreturn_prepare(struct ucontext *uc);
void sigreturn_prepare(struct ucontext *uc)
{
    struct uthread *u = uthread_self();
    set_mask(u, uc->sigmask, false);
    if (uc->mc.reserved[RESERVED_SHOWN] && uc->mc.rip == uc->mc.reserved[RESERVED_SHOWN])
        uc->mc.rip = uc->mc.reserved[RESERVED_TARGET]; /* unless the handler sent it elsewhere */
    altstack_set(u, uc->mc.rsp, uc->stack.sp, uc->stack.flags, uc->stack.size);
    uc->sigmask = worker_mask;
    uc->stack.size = emul_sigstack_size(); /* and sp, the worker's, at restorer_check */
    uc->stack.flags = 0;
    recheck(u);
}

/* What the kernel saved of the vector registers, in r. */
static void saved_vectors(struct regs *r, const struct ucontext *uc)
{
    const uint32_t *sw = (const uint32_t *)((const char *)uc->mc.fpstate + 464);
    r->fpstate = uc->mc.fpstate;
    r->fpsize = r->fpstate && (uc->flags & 1) && sw[0] == 0x46505853 ? sw[4] : 512;
}

/* On the way to rt_sigreturn more signals wait. Their frames take the place of uc, as if it had been done: with one signal after the other
 * they would pile up else. The caller keeps clear of it. */
void sigreturn_pending(struct ucontext *uc);
void sigreturn_pending(struct ucontext *uc)
{
    struct uthread *u = uthread_self();
    fetch_and(&u->attn, ~(uint32_t)ATTN_SIGNAL);
    struct info info;
    struct kaction a;
    int sig = next_signal(u, &info, &a);
    if (!sig)
        return;
    struct regs r = {.mc = uc->mc};
    saved_vectors(&r, uc);
    if (r.mc.reserved[RESERVED_SHOWN] && r.mc.rip == r.mc.reserved[RESERVED_TARGET])
        r.mc.rip = r.mc.reserved[RESERVED_SHOWN];
    enter_handler(u, sig, &info, &a, &r, true);
}

/* A handler returned in the child of a fork in it: the kernel's own business, but for where the call goes on. */
void sigreturn_native(struct ucontext *uc);
void sigreturn_native(struct ucontext *uc)
{
    if (uc->mc.reserved[RESERVED_SHOWN] && uc->mc.rip == uc->mc.reserved[RESERVED_SHOWN])
        uc->mc.rip = uc->mc.reserved[RESERVED_TARGET];
}

/* ---- interrupted by the kernel ---- */

static void setxid_here(void);

static bool in_shim(uint64_t rip)
{
    return rip >= (uint64_t)shim_text_begin && rip < (uint64_t)shim_text_end;
}

/* The worker's user thread was in its own code: make the kernel's return lead into the handler. */
static void deliver_async(struct worker *w, struct ucontext *uc, int sig, struct info *info, struct kaction *a)
{
    struct regs r = {.mc = uc->mc};
    saved_vectors(&r, uc);
    if (begin_handlers(w->cur, sig, info, a, &r, 0, 0)) {
        uc->mc = r.mc;
        if (uc->mc.fpstate)
            fpstate_initial((char *)uc->mc.fpstate);
    }
}

/* The PC is not in the shim's own text. A stub belongs to the program from where the call is done. */
static bool settle_stub(struct mcontext *m)
{
    const struct intercept_site *s = intercept_find(m->rip);
    if (!s)
        return true;
    if (m->rip < site_after(s))
        return false; /* on the way in */
    if (m->rip == site_after(s) + s->after_len)
        m->rip = s->window + s->window_len; /* the jmp back: as if it were done */
    return true;
}

/* Where the PC stands in the few places where a poke would be lost, move it. True: now in program code. */
static bool settle_pc(struct mcontext *m)
{
    char *pc = (char *)m->rip;
    if (pc >= restorer_check && pc < restorer_end) {
        m->rip = (uint64_t)restorer_check;
        return true;
    }
    if (pc >= sys_intr_look && pc <= sys_intr_syscall) {
        m->rip = (uint64_t)sys_intr_abort;
        return false;
    }
    if (pc >= fast_look && pc <= fast_syscall) {
        m->rip = (uint64_t)fast_look;
        return false;
    }
    if (pc >= fast_check && pc < fast_jump) {
        m->rip = (uint64_t)fast_check;
        return false;
    }
    if (pc == fast_jump || pc == pass_jump || pc == exit_jump) {
        m->rip = m->rcx;
        return settle_stub(m);
    }
    if (pc >= pass_check && pc < pass_jump) {
        m->rip = (uint64_t)pass_check;
        return false;
    }
    if (pc >= exit_check && pc < exit_jump) {
        if (pc >= exit_rsp)
            m->rbp = m->rsp;
        m->rip = (uint64_t)exit_check;
        return false;
    }
    if (in_shim(m->rip))
        return false;
    return settle_stub(m);
}

/* ---- to a home, out of the midst of program code ----
 *
 * Who was wired by another and computes goes there as if a signal handler had run: one of ours, on the user thread's own stack,
 * which parks it. The return from it, on the home by then, is that of any handler. Where the stack cannot take a frame it
 * stays until its next system call. */
static void move_handler(int sig)
{
    (void)sig;
    hook_enter();
    wire_move();
    hook_exit();
}

static void deliver_move(struct uthread *u, struct ucontext *uc)
{
    struct kaction a = {.handler = (uint64_t)move_handler, .flags = SA_NODEFER};
    struct info info = {.signo = POKE_SIGNAL};
    struct regs r = {.mc = uc->mc};
    uint64_t sp;
    saved_vectors(&r, uc);
    if (!build_frame(u, &info, &a, &r, 0, u->sigmask, &sp))
        return;
    uc->mc.rdi = POKE_SIGNAL;
    uc->mc.rsp = sp;
    uc->mc.rip = a.handler;
    uc->mc.eflags &= ~0x500ull;
}

void signal_move(struct uthread *u)
{
    fetch_or(&u->attn, (uint32_t)ATTN_YIELD);
    membarrier(); /* attn before the look at where it runs; pairs with dispatch */
    struct worker *on = load_relaxed(&u->worker);
    if (on && load_relaxed(&on->cur) == u && on != worker_or_null())
        worker_poke(on);
}

static void back_from_vfork(struct worker *w, struct ucontext *uc)
{
    process_vforked(w);
    uc->sigmask = worker_mask;
}

static void on_poke(int ksig, struct info *kinfo, struct ucontext *uc)
{
    (void)ksig;
    (void)kinfo;
    struct worker *w = worker_or_null();
    setxid_here();
    if (w)
        xchg(&w->poked, 0u); /* before the looks */
    if (!w || !w->cur)
        return;
    memset(uc->mc.reserved, 0, sizeof uc->mc.reserved); /* the kernel leaves there what was on the stack */
    if (unlikely(w->native)) { /* a vfork child's, or the parent's that has made no call since */
        if (sys0(__NR_gettid) != w->ktid)
            return;
        back_from_vfork(w, uc);
    }
    struct uthread *u = w->cur;
    bool moves = u->wired && u->home != w;
    if (!(load_relaxed(&u->attn) & ATTN_SIGNAL) && !moves)
        return;
    bool user = settle_pc(&uc->mc);
    if (!user || load_relaxed(&w->hook) || load_relaxed(&w->in_clock))
        return;
    if (moves && u->home) { /* signals that wait are looked at when it leaves the hook there */
        deliver_move(u, uc);
        return;
    }
    fetch_and(&u->attn, ~(uint32_t)ATTN_SIGNAL);
    struct info info;
    struct kaction a;
    int sig = next_signal(u, &info, &a);
    if (sig)
        deliver_async(w, uc, sig, &info, &a);
}

/* Signals for the process that came where they cannot be posted, one of each number: more are merged, as the kernel does. The kernel lets
 * nobody pass on what a process or it itself sent (rt_sigqueueinfo(2)). */
static struct handed {
    uint32_t state; /* atomic */
    struct info info;
} handed[SIGRTMIN];
enum { HANDED_FREE, HANDED_FILLING, HANDED_FULL };

/* Signal-safe, any thread. */
static void hand_to_sigd(const struct info *info)
{
    struct handed *h = &handed[info->signo];
    if (!cas(&h->state, (uint32_t)HANDED_FREE, (uint32_t)HANDED_FILLING))
        return;
    h->info = *info;
    store_release(&h->state, (uint32_t)HANDED_FULL); /* pairs with the acquire in take_handed */
    sys3(__NR_tgkill, stats->pid, sigd_tid, SIGD_WAKE);
}

/* Behind a `syscall` that makes a call of the program's as it is. No lock is held there. */
static bool at_call_of_program(const struct mcontext *m)
{
    const char *pc = (const char *)m->rip;
    return pc == fast_syscall + 2 || pc == pass_check || pc == sys_intr_syscall + 2;
}

/* Such a call was refused by a filter that has the program make it itself (seccomp(2), SECCOMP_RET_TRAP): it ends with ENOSYS here, and the way
 * out of the hook runs the handler, with the registers as at the site (hook_exit_slow). */
static void trapped(struct uthread *u, const struct info *info, struct mcontext *m)
{
    m->rax = (uint64_t)-ENOSYS;
    lock_take(&sig_lock);
    enqueue(&u->sig, info);
    lock_drop(&sig_lock);
    fetch_or(&u->attn, (uint32_t)ATTN_SIGNAL);
}

/* A hook came to the end of the user thread's stack: natively the program would have a little later. */
static bool stack_used_up(const struct worker *w, const struct mcontext *m)
{
    enum { NEAR = 65536 };
    return w && w->cur && m->cr2 - (m->rsp - NEAR) < 2 * NEAR && m->rsp - (uint64_t)w->g0_base >= w->g0_top - (uint64_t)w->g0_base;
}

/* SIGSEGV and its like, on any thread. */
static void on_fault(int sig, struct info *info, struct ucontext *uc)
{
    char *pc = (char *)uc->mc.rip;
    struct worker *w = worker_or_null();
    /* By no other signal: that may have come on top of the fault, which must then find the base as it was. */
    if (sig == SIGSEGV && info->code > 0 && w && w->cur && bases_reloaded(w->cur->fsbase)) {
        COUNT_SHARED(tls_reloads);
        return;
    }
    if (pc >= uaccess_begin && pc < uaccess_end && info->code > 0) {
        uc->mc.rip = (uint64_t)uaccess_fault;
        return;
    }
    if (sig == SIGD_WAKE && sent_by_us(info)) {
        on_poke(POKE_SIGNAL, info, uc);
        return;
    }
    struct kaction a = actions[sig];
    memset(uc->mc.reserved, 0, sizeof uc->mc.reserved);
    if (info->code <= 0 && (!w || !w->native || sys0(__NR_gettid) == w->ktid)) { /* somebody sent it; it is not a vfork child's */
        if (w && w->native)
            back_from_vfork(w, uc);
        if (!w || !w->cur || load_relaxed(&w->hook) || !settle_pc(&uc->mc)) {
            hand_to_sigd(info); /* in shim code no lock may be taken */
            return;
        }
        post_process(info);
        on_poke(POKE_SIGNAL, info, uc);
        return;
    }
    if (w && w->native && w->cur && sys0(__NR_gettid) == w->ktid) /* the parent's first act */
        back_from_vfork(w, uc);
    bool blocked = w && w->cur && !w->native && (w->cur->sigmask & SIG(sig));
    if (sig == SIGSYS && w && w->cur && !w->native && at_call_of_program(&uc->mc) && a.handler > SIG_IGN && !blocked) {
        trapped(w->cur, info, &uc->mc);
        return;
    }
    if ((char *)uc->mc.rip == entry_probe) { /* r11 -> stub: nothing is done yet */
        uc->mc.rip = uc->mc.reserved[RESERVED_SHOWN] = *(const uint64_t *)(uc->mc.r11 + STUB_SITE_END) - 2;
        uc->mc.reserved[RESERVED_TARGET] = uc->mc.r11 + STUB_ENTER;
    }
    bool program = (!in_shim(uc->mc.rip) && !(w && load_relaxed(&w->hook))) || (sig == SIGSYS && at_call_of_program(&uc->mc)) ||
                   (a.handler <= SIG_IGN && stack_used_up(w, &uc->mc));
    if (!program) {
        fatal("signal %d in shim code at %p (shim + 0x%lx), address 0x%lx", sig, (void *)uc->mc.rip,
              uc->mc.rip - (uint64_t)shim_text_begin, uc->mc.cr2);
    }
    if (a.handler <= SIG_IGN || blocked) {
        /* As the kernel: a blocked or ignored fault kills. Back to the faulting instruction without us. */
        struct kaction dfl = {0};
        kernel_action(sig, &dfl);
        stats_remove();
        futex_process_ends();
        if (uc->mc.reserved[RESERVED_SHOWN])
            uc->mc.rip = uc->mc.reserved[RESERVED_TARGET];
        if (info->code <= 0 || sig == SIGTRAP) /* would not come again by itself */
            sys3(__NR_tgkill, sys0(__NR_getpid), sys0(__NR_gettid), sig);
        return;
    }
    if (!w || w->native) { /* a foreign thread, or a vfork child */
        store_seq(&gs_doubtful, 1u);
        ((void (*)(int, struct info *, struct ucontext *))a.handler)(sig, info, uc);
        return;
    }
    if (a.flags & SA_RESETHAND)
        actions[sig].handler = SIG_DFL;
    deliver_async(w, uc, sig, info, &a);
}

/* A handled signal that the kernel gave to a thread that is not ours; or to a worker in the moments around vfork,
 * when it has the program's mask. */
static void on_foreign(int sig, struct info *info, struct ucontext *uc)
{
    struct worker *w = worker_or_null();
    struct kaction a = actions[sig];
    if (w && !w->native)
        return;
    if (w && w->cur && sys0(__NR_gettid) == w->ktid) { /* the parent: to whom it may concern */
        back_from_vfork(w, uc);
        kernel_post(info);
        return;
    }
    if (a.handler > SIG_IGN) {
        store_seq(&gs_doubtful, 1u);
        ((void (*)(int, struct info *, struct ucontext *))a.handler)(sig, info, uc);
    }
}

/* ---- sigd ---- */

/* A signal for the process that was dequeued from the kernel. */
static void from_kernel(const struct info *info)
{
    if (options.dump_signal == info->signo) {
        stats_dump();
        return;
    }
    if (info->signo == SIGCHLD)
        kwait_child(info->pid);
    int tid = info->code == SI_TIMER ? timer_owner(info->pid) : 0;
    if (tid)
        post_tid(tid, info->signo, info);
    else
        post_process(info);
}

static void take_handed(void)
{
    for (struct handed *h = handed; h < handed + SIGRTMIN; h++)
        if (load_acquire(&h->state) == HANDED_FULL) {
            struct info info = h->info;
            store_release(&h->state, (uint32_t)HANDED_FREE);
            from_kernel(&info);
        }
}

/* What is pending outlives exec: from here on it is in the kernel, and stays there. */
static uint32_t exec_holds; /* atomic: threads in execve; sigd takes nothing */

/* Ours are the handlers of faults, where the program ignores them: exec would make the default of that. But other threads run on, and some need ours. */
static void faults_ignored(bool natively)
{
    for (int sig = 1; sig < SIGRTMIN; sig++)
        if ((SYNC_SIGNALS & SIG(sig)) && actions[sig].handler == SIG_IGN && !(sig == SIGSEGV && bases_kind == BASES_RELOAD)) {
            if (natively)
                kernel_action(sig, &actions[sig]);
            else
                install(sig);
        }
}

/* Returns which of them were the thread's own. */
uint64_t signal_exec_begin(struct uthread *u)
{
    struct info info;
    int sig;
    uint64_t own = u->sig.mask & u->sigmask;
    faults_ignored(true);
    add_fetch(&exec_holds, 1u);
    sigd_review(true);
    do {
        lock_take(&sig_lock);
        sig = dequeue(&u->sig, u->sigmask, &info);
        if (!sig)
            sig = dequeue(&process, u->sigmask, &info);
        hint();
        lock_drop(&sig_lock);
        if (sig)
            kernel_post(&info);
    } while (sig);
    return own;
}

void signal_exec_failed(struct uthread *u, uint64_t own)
{
    struct info info;
    faults_ignored(false);
    while (own && kernel_take(own, &info)) {
        lock_take(&sig_lock);
        enqueue(&u->sig, &info);
        lock_drop(&sig_lock);
    }
    add_fetch(&exec_holds, (uint32_t)-1);
    sigd_review(false);
}

static int sigd_main(void *arg)
{
    (void)arg;
    signal_mask_native(~SIG(POKE_SIGNAL));
    for (;;) {
        uint32_t asked = load_acquire(&review_asked); /* before the look at masks */
        uint64_t set = ~SIG(POKE_SIGNAL), fds = load_relaxed(&signalfd_mask);
        if (unlikely(load_acquire(&exec_holds)))
            set = SIG(SIGD_WAKE);
        if (unlikely(fds)) {
            lock_take(&sig_lock);
            set &= ~(fds & ~wanted(fds));
            lock_drop(&sig_lock);
        }
        if (load_relaxed(&review_done) != asked) {
            store_release(&review_done, asked);
            sys6(__NR_futex, P(&review_done), 129, INT32_MAX, 0, 0, 0);
        }
        struct info info;
        long r = sys4(__NR_rt_sigtimedwait, P(&set), P(&info), 0, 8);
        if (r <= 0)
            continue;
        if (r == SIGD_WAKE && sent_by_us(&info)) {
            wire_births(); /* sigd_review, sigd_births, hand_to_sigd, send_poke */
            take_handed();
            setxid_here();
            continue;
        }
        from_kernel(&info);
    }
    return 0;
}

/* ---- the calls ---- */

static void install(int sig)
{
    const struct kaction *a = &actions[sig];
    struct kaction k = {0};
    if (sig == 32 || sig == POKE_SIGNAL)
        return;
    if (SYNC_SIGNALS & SIG(sig)) {
        k.handler = (uint64_t)on_fault;
        k.flags = SA_SIGINFO | SA_ONSTACK | SA_RESTORER;
        k.restorer = (uint64_t)kernel_restorer;
        k.mask = ~MEMORY_SIGNALS;
    } else if (a->handler <= SIG_IGN)
        k = *a;
    else {
        k.handler = (uint64_t)on_foreign;
        k.flags = SA_SIGINFO | SA_ONSTACK | SA_RESTORER | SA_RESTART | (a->flags & (SA_NOCLDSTOP | SA_NOCLDWAIT));
        k.restorer = (uint64_t)kernel_restorer;
        k.mask = ~SYNC_SIGNALS;
    }
    kernel_action(sig, &k);
}

/* What the kernel has sent to the process until now is posted when this returns. Natively it is so by itself: a signal that
 * kill sent to oneself, or that a timer sent before it was stopped, is pending or delivered when the call returns. Here it may
 * lie in the kernel's queue, or sigd may have taken it and not have posted it yet: take the one, wait for the other. */
static void settle(uint64_t set)
{
    struct info info;
    set &= ~(UNBLOCKABLE | SIG(POKE_SIGNAL));
    uint64_t take = set & ~(load_relaxed(&signalfd_mask) & uthread_self()->sigmask); /* else it may be the kernel's to keep */
    if (!set)
        return;
    hook_enter();
    while (take && kernel_take(take, &info))
        from_kernel(&info);
    sigd_review(true);
    hook_exit();
}

/* SIGCHLD is sent before wait4(2) can tell of the child: who handles, or waits for, the one finds it when the other returns. And who does neither
 * yet has lost it by then. */
void signal_child_waited(void)
{
    settle(SIG(SIGCHLD));
}

long signal_stop(int sig)
{
    uint64_t handler = load_relaxed(&actions[sig].handler);
    if (handler == SIG_IGN || (uthread_self()->sigmask & SIG(sig)))
        return -EINVAL;
    if (handler != SIG_DFL) {
        signal_raise_self(sig);
        return -ERESTARTSYS;
    }
    sys2(__NR_kill, 0, sig);
    settle(SIG(sig));
    return 0;
}

static uint64_t sig_bit(int sig)
{
    return sig >= 1 && sig <= NSIG ? SIG(sig) : 0;
}

static uint64_t hex16(const char *digits)
{
    uint64_t v = 0;
    for (int k = 0; k < 16; k++)
        v = v << 4 | (uint64_t)(digits[k] <= '9' ? digits[k] - '0' : digits[k] - 'a' + 10);
    return v;
}

/* Under sig_lock, or before there are threads. */
static void action_learn(int sig)
{
    if (actions_known & SIG(sig))
        return;
    actions_known |= SIG(sig);
    if (sys4(__NR_rt_sigaction, sig, 0, P(&actions[sig]), 8) < 0)
        memset(&actions[sig], 0, sizeof actions[sig]);
}

/* Signals that are ignored or have a handler, as /proc/self/status says: to ask for each of 64 is as many calls. */
static uint64_t signals_not_default(void)
{
    static const char *const lines[] = {"\nSigIgn:\t", "\nSigCgt:\t"};
    char text[3072];
    uint64_t found = 0;
    int seen = 0;
    long fd = sys4(__NR_openat, -100, P("/proc/self/status"), 02000000, 0);
    long n = fd < 0 ? 0 : sys3(__NR_read, fd, P(text), sizeof text);
    if (fd >= 0)
        sys1(__NR_close, fd);
    for (long i = 0; i + 9 + 16 <= n; i++)
        if (text[i] == '\n' && text[i + 1] == 'S' && (!memcmp(text + i, lines[0], 9) || !memcmp(text + i, lines[1], 9))) {
            found |= hex16(text + i + 9);
            seen++;
        }
    return seen == 2 ? found : ~0ull;
}

long emul_rt_sigaction(struct frame *f)
{
    int sig = (int)f->rdi;
    struct kaction a, old;
    if (f->r10 != 8 || sig < 1 || sig > NSIG)
        return -EINVAL;
    if (f->rsi) {
        if (sig == SIGKILL || sig == SIGSTOP)
            return -EINVAL;
        if (uaccess_copy(&a, (void *)f->rsi, sizeof a))
            return -EFAULT;
        a.mask &= ~UNBLOCKABLE;
        struct uthread *u = uthread_self();
        if (a.handler <= SIG_IGN && actions[sig].handler > SIG_IGN && !(u->sigmask & SIG(sig))) {
            /* What was sent while there was a handler is the handler's: else it might kill now. */
            settle(SIG(sig));
            if ((load_relaxed(&u->sig.mask) | load_relaxed(&process_mask_hint)) & SIG(sig)) {
                fetch_or(&u->attn, (uint32_t)ATTN_SIGNAL);
                return -ERESTARTNOINTR; /* first the handler, then this call */
            }
        }
    }
    lock_take(&sig_lock);
    action_learn(sig);
    old = actions[sig];
    if (f->rsi) {
        bool kernel_same = a.handler > SIG_IGN && old.handler > SIG_IGN && a.flags == old.flags;
        actions[sig] = a;
        if (!kernel_same)
            install(sig);
        if (a.handler == SIG_IGN || (a.handler == SIG_DFL && default_ignored(sig))) {
            drop_pending(&process, SIG(sig));
            hint();
            lock_take(&uthreads_lock);
            for (struct uthread *u = uthreads_all; u; u = u->all_next)
                drop_pending(&u->sig, SIG(sig));
            lock_drop(&uthreads_lock);
        }
    }
    lock_drop(&sig_lock);
    if (f->rdx && uaccess_copy((void *)f->rdx, &old, sizeof old))
        return -EFAULT;
    return 0;
}

long emul_rt_sigprocmask(struct frame *f)
{
    struct uthread *u = uthread_self();
    uint64_t old = u->sigmask, set;
    if (f->r10 != 8)
        return -EINVAL;
    if (f->rsi) {
        if (uaccess_copy(&set, (void *)f->rsi, 8))
            return -EFAULT;
        switch ((int)f->rdi) {
        case 0: set |= old; break;
        case 1: set = old & ~set; break;
        case 2: break;
        default: return -EINVAL;
        }
        set_mask(u, set, true);
    }
    if (f->rdx && uaccess_copy((void *)f->rdx, &old, 8))
        return -EFAULT;
    return 0;
}

long emul_rt_sigpending(struct frame *f)
{
    struct uthread *u = uthread_self();
    uint64_t kernel = 0;
    if (f->rsi > 8)
        return -EINVAL;
    settle(u->sigmask);
    sys2(__NR_rt_sigpending, P(&kernel), 8);
    uint64_t set = (u->sig.mask | process.mask | (kernel & signalfd_mask)) & u->sigmask;
    return uaccess_copy((void *)f->rdi, &set, f->rsi);
}

long emul_rt_sigsuspend(struct frame *f)
{
    struct uthread *u = uthread_self();
    uint64_t set;
    if (f->rsi != 8)
        return -EINVAL;
    if (uaccess_copy(&set, (void *)f->rdi, 8))
        return -EFAULT;
    signal_mask_push(u, set);
    hook_enter();
    COUNT(park_signal);
    wait_open(u);
    park(WAIT_SIGNAL, 0, INT64_MAX, NULL, NULL);
    hook_exit();
    return -ERESTARTNOHAND;
}

static void commit_sig_unlock(struct uthread *u, void *arg)
{
    (void)u;
    lock_drop(arg);
}

long emul_rt_sigtimedwait(struct frame *f)
{
    struct uthread *u = uthread_self();
    uint64_t set;
    struct info info;
    int64_t deadline = INT64_MAX;
    if (f->r10 != 8)
        return -EINVAL;
    if (uaccess_copy(&set, (void *)f->rdi, 8))
        return -EFAULT;
    set &= ~UNBLOCKABLE;
    if (f->rdx) {
        struct timespec64 t;
        if (uaccess_copy(&t, (void *)f->rdx, sizeof t))
            return -EFAULT;
        if (t.sec < 0 || t.nsec < 0 || t.nsec >= NSEC_PER_SEC)
            return -EINVAL;
        deadline = u->restart_when                ? u->restart_when /* made again since no handler ran: to the same end */
                   : t.sec == 0 && t.nsec == 0 ? 0
                   : t.sec > (1ll << 32)       ? INT64_MAX - 1
                                               : now_ns() + t.sec * NSEC_PER_SEC + t.nsec;
    }
    u->restart_when = 0;
    if (deadline == 0)
        settle(set);
    hook_enter();
    lock_take(&sig_lock);
    int sig = dequeue(&u->sig, set, &info);
    if (!sig) {
        sig = dequeue(&process, set, &info);
        hint();
    }
    uint64_t fds = load_relaxed(&signalfd_mask) & set;
    if (!sig && fds)
        sig = kernel_take(fds, &info);
    long r = sig;
    if (sig || deadline == 0) {
        lock_drop(&sig_lock);
        r = sig ? sig : -EAGAIN;
    } else {
        struct sigwaiter w = {.u = u, .set = set, .info = &info};
        w.seq = wait_open(u);
        list_append(&waiters, &w);
        u->sigwait = &w;
        if (fds)
            sigd_review(false); /* it sees us once the lock is dropped */
        COUNT(park_signal);
        enum wake why = park(WAIT_SIGNAL, 0, deadline, commit_sig_unlock, &sig_lock);
        if (why != WAKE_EVENT) {
            lock_take(&sig_lock);
            list_remove(&waiters, &w);
            u->sigwait = NULL;
            lock_drop(&sig_lock);
        }
        r = why == WAKE_EVENT ? w.got : why == WAKE_TIMEOUT ? -EAGAIN : -ERESTARTNOHAND;
        if (r == -ERESTARTNOHAND && deadline != INT64_MAX)
            u->restart_when = deadline;
    }
    hook_exit();
    if (r > 0 && f->rsi && uaccess_copy((void *)f->rsi, &info, sizeof info))
        return -EFAULT;
    return r;
}

long emul_sigaltstack(struct frame *f)
{
    struct uthread *u = uthread_self();
    struct {
        uint64_t sp;
        int32_t flags, pad;
        uint64_t size;
    } old = {u->altstack.sp, altstack_flags(u, frame_rsp(f)), 0, u->altstack.size}, new;
    if (f->rdi) {
        if (uaccess_copy(&new, (void *)f->rdi, sizeof new))
            return -EFAULT;
        long r = altstack_set(u, frame_rsp(f), new.sp, new.flags, new.size);
        if (r)
            return r;
    }
    if (f->rsi && uaccess_copy((void *)f->rsi, &old, sizeof old))
        return -EFAULT;
    return 0;
}

/* RLIMIT_SIGPENDING, for what would have to be queued. (The kernel counts for all processes of a user; we for this one.) */
static bool no_room(int sig, const struct info *info)
{
    uint64_t limit[2] = {0, 0};
    return sig >= SIGRTMIN && info->code != SI_USER && actions[sig].handler != SIG_IGN &&
           sys4(__NR_prlimit64, 0, 11 /* RLIMIT_SIGPENDING */, 0, P(limit)) == 0 && load_relaxed(&nqueued) >= limit[0];
}

static long to_thread(int tid, int sig, const struct info *info)
{
    bool whole = sig == SIGKILL || sig == SIGSTOP; /* these act on the process, whichever thread they name */
    if (no_room(sig, info))
        return -EAGAIN;
    hook_enter();
    long r = post_tid(tid, whole ? 0 : sig, info);
    hook_exit();
    return r == 0 && whole ? sys2(__NR_kill, stats->pid, sig) : r;
}

static bool ours(int tid)
{
    return tid >= TID_BASE || tid == stats->pid;
}

long emul_tgkill(struct frame *f)
{
    int tgid = (int)f->rdi, tid = (int)f->rsi, sig = (int)f->rdx;
    if (tid <= 0 || tgid <= 0 || sig < 0 || sig > NSIG)
        return -EINVAL;
    if (tgid != stats->pid || !ours(tid))
        return sys_intr(f);
    struct info i = user_info(sig, SI_TKILL);
    return to_thread(tid, sig, &i);
}

long emul_tkill(struct frame *f)
{
    int tid = (int)f->rdi, sig = (int)f->rsi;
    if (tid <= 0 || sig < 0 || sig > NSIG)
        return -EINVAL;
    if (!ours(tid))
        return sys_intr(f);
    struct info i = user_info(sig, -6);
    return to_thread(tid, sig, &i);
}

long emul_rt_tgsigqueueinfo(struct frame *f)
{
    int tgid = (int)f->rdi, tid = (int)f->rsi, sig = (int)f->rdx;
    struct info i;
    if (tgid != stats->pid || !ours(tid))
        return sys_intr(f);
    if (uaccess_copy(&i, (void *)f->r10, sizeof i))
        return -EFAULT;
    if (sig < 0 || sig > NSIG)
        return -EINVAL;
    i.signo = sig;
    return to_thread(tid, sig, &i);
}

static long to_self(int sig, const struct info *info)
{
    if (no_room(sig, info))
        return -EAGAIN;
    hook_enter();
    post_process(info);
    hook_exit();
    (void)sig;
    return 0;
}

/* A pidfd may name this process. */
long emul_pidfd_send_signal(struct frame *f)
{
    long r = sys_intr(f);
    if (r == 0)
        settle(sig_bit((int)f->rsi));
    return r;
}

long emul_kill(struct frame *f)
{
    int pid = (int)f->rdi, sig = (int)f->rsi;
    if (sig < 0 || sig > NSIG)
        return -EINVAL;
    if (pid >= TID_BASE) { /* Linux takes any thread's id for its process */
        lock_take(&uthreads_lock);
        bool lives = uthread_by_tid(pid) != NULL;
        lock_drop(&uthreads_lock);
        if (!lives)
            return -ESRCH;
        pid = stats->pid;
    }
    if (pid == 0 || (pid < -1 && -pid == (int)sys0(__NR_getpgrp))) {
        long r = sys_intr(f);
        if (r == 0)
            settle(sig_bit(sig));
        return r;
    }
    if (pid != stats->pid || sig == 0 || sig == SIGKILL || sig == SIGSTOP)
        return sys_intr(f);
    struct info i = user_info(sig, 0);
    return to_self(sig, &i);
}

long emul_rt_sigqueueinfo(struct frame *f)
{
    int pid = (int)f->rdi, sig = (int)f->rsi;
    struct info i;
    if (pid != stats->pid || sig < 1 || sig > NSIG || sig == SIGKILL || sig == SIGSTOP)
        return sys_intr(f);
    if (uaccess_copy(&i, (void *)f->rdx, sizeof i))
        return -EFAULT;
    i.signo = sig;
    return to_self(sig, &i);
}

/* What is pending here and is for the kernel from now on: there. */
static void signalfd_add(uint64_t set)
{
    struct info info;
    set &= ~SIG(SIGD_WAKE);
    uint64_t added = set & ~UNBLOCKABLE & ~fetch_or(&signalfd_mask, set & ~UNBLOCKABLE);
    if (!added)
        return;
    sigd_review(true);
    for (;;) {
        lock_take(&sig_lock);
        int sig = dequeue(&process, added & ~wanted(added), &info);
        hint();
        lock_drop(&sig_lock);
        if (!sig)
            return;
        post_process(&info);
    }
}

long emul_signalfd(struct frame *f)
{
    uint64_t set;
    if (!uaccess_copy(&set, (void *)f->rsi, 8))
        signalfd_add(set);
    return sys_intr(f);
}

/* Those made before the first thread: /proc/self/fdinfo has their sets. */
/* The signals of a signalfd, by its name among /proc/self/fd; 0: it is something else. */
static uint64_t signals_of(const char *name)
{
    char path[64], text[256];
    uint64_t set = 0;
    format(path, sizeof path, "/proc/self/fd/%s", name);
    long len = sys3(__NR_readlink, P(path), P(text), sizeof text - 1);
    if (len != 21 || memcmp(text, "anon_inode:[signalfd]", 21))
        return 0;
    format(path, sizeof path, "/proc/self/fdinfo/%s", name);
    long fd = sys4(__NR_openat, -100, P(path), 02000000, 0);
    len = fd < 0 ? 0 : sys3(__NR_read, fd, P(text), sizeof text - 1);
    sys1(__NR_close, fd);
    for (long i = 0; i + 9 + 16 <= len; i++)
        if (memcmp(text + i, "sigmask:\t", 9) == 0)
            set = hex16(text + i + 9);
    return set;
}

/* What fstat(2) says of a descriptor, or of a path if fd is -1: the two fields that are wanted. */
static long stat_of(long fd, const char *path, uint32_t *mode, int64_t *size)
{
    struct {
        uint64_t dev, ino, nlink;
        uint32_t mode, uid, gid, pad;
        uint64_t rdev;
        int64_t size, more[11];
    } st;
    long r = fd >= 0 ? sys2(__NR_fstat, fd, P(&st)) : sys4(__NR_newfstatat, -100, P(path), P(&st), 0);
    if (r == 0) {
        *mode = st.mode;
        *size = st.size;
    }
    return r;
}

static uint64_t signalfds_open(void)
{
    enum { OF_MODE = 0170000 };
    uint64_t found = 0;
    uint32_t mode;
    int64_t left = 0, size;
    char dir[2048], name[16];
    /* Linux 6.2 and later say how many there are, and mostly those are the lowest. */
    stat_of(-1, "/proc/self/fd", &mode, &left);
    for (unsigned own = netpoll_next_own(0); own != UINT32_MAX; own = netpoll_next_own(own + 1))
        left--; /* out there at the upper end */
    for (int64_t fd = 0, end = 4 * left + 32; left > 0 && fd < end; fd++)
        if (stat_of(fd, NULL, &mode, &size) == 0) {
            left--;
            if (!(mode & OF_MODE)) { /* an anonymous inode */
                format(name, sizeof name, "%ld", fd);
                found |= signals_of(name);
            }
            if (!left)
                return found & ~UNBLOCKABLE & ~SIG(SIGD_WAKE);
        }
    long d = sys4(__NR_openat, -100, P("/proc/self/fd"), 02200000 /* O_DIRECTORY | O_CLOEXEC */, 0), n;
    if (d < 0)
        return 0;
    while ((n = sys3(__NR_getdents64, d, P(dir), sizeof dir)) > 0)
        for (long at = 0; at < n; at += *(uint16_t *)(dir + at + 16))
            found |= signals_of(dir + at + 19);
    sys1(__NR_close, d);
    return found & ~UNBLOCKABLE & ~SIG(SIGD_WAKE);
}

/* SIGEV_THREAD_ID names a user thread: the kernel is told to signal the process; sigd finds by the timer's id whom it
 * was for. */
long emul_timer_create(struct frame *f)
{
    struct {
        uint64_t value;
        int32_t signo, notify, tid, pad;
        char rest[40];
    } ev;
    int32_t id, tid = 0, signo = 14; /* SIGALRM */
    struct frame own = *f;
    if (f->rsi && !uaccess_copy(&ev, (void *)f->rsi, sizeof ev))
        signo = ev.notify == 1 /* SIGEV_NONE */ ? 0 : ev.signo;
    own.rdi = (uint64_t)(int64_t)wire_clock((int)f->rdi);
    f = &own;
    struct frame g = *f;
    if (f->rsi && !uaccess_copy(&ev, (void *)f->rsi, sizeof ev) && ev.notify == 4 && ours(ev.tid)) {
        tid = ev.tid;
        ev.notify = 0; /* SIGEV_SIGNAL */
        g.rsi = (uint64_t)&ev;
    }
    long r = sys_intr(&g);
    if (r == 0 && !uaccess_copy(&id, (void *)f->rdx, sizeof id)) {
        lock_take(&sig_lock);
        timers_known[(uint32_t)id % TIMERS] = (struct timer_known){.id = id, .tid = tid, .signo = signo};
        timers_any = true;
        lock_drop(&sig_lock);
    }
    return r;
}

long emul_timer_getoverrun(struct frame *f)
{
    long r = sys_intr(f);
    if (r < 0)
        return r;
    lock_take(&sig_lock);
    struct timer_known *t = timer_known((int32_t)f->rdi);
    if (t && t->delivered)
        r = t->overrun;
    lock_drop(&sig_lock);
    return r;
}

/* ---- timers that are set or stopped ----
 *
 * Once such a call has returned, nothing comes of what the timer was set to before: programs free what their handler uses,
 * or leave the frame it jumps to. So a signal that is on the way is posted before. One that was not due yet needs no
 * look: the call tells the old setting.
 */
struct timerspec {
    struct timespec64 interval, value; /* of itimerval, microseconds */
};
static bool is_zero(const struct timespec64 *t)
{
    return t->sec == 0 && t->nsec == 0;
}
static bool may_have_expired(const struct timerspec *old)
{
    return is_zero(&old->value) || !is_zero(&old->interval);
}

static void itimer_changed(int which, bool expired, bool armed, bool repeats)
{
    static const uint8_t signals[3] = {14 /* SIGALRM */, SIGVTALRM, SIGPROF};
    uint32_t bit = 1u << which;
    bool was = load_relaxed(&itimers_armed) & bit;
    if (armed)
        fetch_or(&itimers_armed, bit);
    else
        fetch_and(&itimers_armed, ~bit);
    if (repeats)
        fetch_or(&itimers_repeat, bit);
    else
        fetch_and(&itimers_repeat, ~bit);
    if (was && expired)
        settle(SIG(signals[which]));
}

long emul_setitimer(struct frame *f)
{
    struct timerspec new = {0}, old = {0};
    if (f->rdi > 2 || (f->rsi && uaccess_copy(&new, (void *)f->rsi, sizeof new)))
        return sys_intr(f);
    struct frame g = *f;
    g.rdx = (uint64_t)&old;
    long r = sys_intr(&g);
    if (r)
        return r;
    itimer_changed((int)f->rdi, may_have_expired(&old), !is_zero(&new.value), !is_zero(&new.interval));
    return f->rdx ? uaccess_copy((void *)f->rdx, &old, sizeof old) : 0;
}

long emul_alarm(struct frame *f)
{
    long r = sys_intr(f);
    if (r >= 0)
        itimer_changed(0, r == 0 || (load_relaxed(&itimers_repeat) & 1), (uint32_t)f->rdi != 0, false);
    return r;
}

static void timer_changed(int32_t id, bool expired, bool armed)
{
    lock_take(&sig_lock);
    struct timer_known *t = timer_known(id);
    int signo = t && t->armed ? t->signo : 0;
    if (t)
        t->armed = armed;
    lock_drop(&sig_lock);
    if (expired)
        settle(sig_bit(signo));
}

long emul_timer_settime(struct frame *f)
{
    struct timerspec new, old = {0};
    if (uaccess_copy(&new, (void *)f->rdx, sizeof new))
        return sys_intr(f);
    struct frame g = *f;
    g.r10 = (uint64_t)&old;
    long r = sys_intr(&g);
    if (r)
        return r;
    timer_changed((int32_t)f->rdi, may_have_expired(&old), !is_zero(&new.value));
    return f->r10 ? uaccess_copy((void *)f->r10, &old, sizeof old) : 0;
}

long emul_timer_delete(struct frame *f)
{
    long r = sys_intr(f);
    if (r == 0)
        timer_changed((int32_t)f->rdi, true, false);
    return r;
}

/* ---- credentials ----
 *
 * setuid and its family change a kernel thread. glibc makes every thread of the program repeat the call; which workers
 * those land on is chance, and our helpers would keep the old credentials. So the first to ask makes the call
 * itself, then has every other kernel thread of ours make it too, in on_poke, and waits for them. The repetitions that
 * glibc asks for find it done. No worker is born meanwhile: it would inherit from one not yet changed.
 */
static struct {
    struct lock lock;     /* one at a time */
    struct frame call;    /* stored before any `due` is raised (CAS on both sides) */
    uint32_t left;        /* atomic, futex word: who has still to do it; set before any setxid_due is raised */
    bool made;            /* call has been made everywhere */
} setxid;

static long setxid_call(const struct frame *f)
{
    return sys3((long)f->nr, (long)f->rdi, (long)f->rsi, (long)f->rdx);
}

/* In on_poke, on a worker or helper: whatever was interrupted, this touches only the kernel's state. Who we are
 * is the kernel's tid, not the GS base: that of a thread just born is still its creator's for some instructions. */
static void setxid_here(void)
{
    if (likely(!load_relaxed(&setxid.left)))
        return;
    int32_t tid = (int32_t)sys0(__NR_gettid);
    uint32_t *due = NULL;
    for (uint32_t i = 0; !due && i < load_acquire(&nhelpers); i++)
        if (helpers[i].tid == tid)
            due = &helpers[i].setxid_due;
    for (uint32_t i = 0; !due && i < load_relaxed(&sched.nworkers); i++)
        if (sched.workers[i].ktid == tid)
            due = &sched.workers[i].setxid_due;
    if (!due || !load_relaxed(due) || !cas(due, 1u, 0u))
        return;
    if (setxid_call(&setxid.call) < 0)
        fatal("signal: credentials could be changed on one kernel thread and not on another");
    if (add_fetch(&setxid.left, (uint32_t)-1) == 0)
        sys6(__NR_futex, P(&setxid.left), 129, 1, 0, 0, 0);
}

static void setxid_ask(uint32_t *due, int32_t ktid)
{
    xchg(due, 1u);
    send_poke(ktid);
}

long signal_all_workers(struct frame *f);
long signal_all_workers(struct frame *f)
{
    hook_enter();
    lock_take(&setxid.lock);
    struct worker *me = worker_or_null();
    bool repeated = setxid.made && setxid.call.nr == f->nr && setxid.call.rdi == f->rdi && setxid.call.rsi == f->rsi &&
                    setxid.call.rdx == f->rdx && f->nr != __NR_setgroups;
    long r = setxid_call(f);
    if (r == 0 && !repeated) {
        lock_take(&worker_birth);
        uint32_t n = load_relaxed(&sched.nworkers), nh = nhelpers, count = nh;
        for (uint32_t i = 0; i < n; i++)
            count += sched.workers[i].ktid && &sched.workers[i] != me;
        setxid.call = *f;
        setxid.made = true;
        store_seq(&setxid.left, count);
        for (uint32_t i = 0; i < n; i++)
            if (sched.workers[i].ktid && &sched.workers[i] != me)
                setxid_ask(&sched.workers[i].setxid_due, sched.workers[i].ktid);
        for (uint32_t i = 0; i < nh; i++)
            setxid_ask(&helpers[i].setxid_due, helpers[i].tid);
        uint32_t left;
        while ((left = load_acquire(&setxid.left)))
            sys6(__NR_futex, P(&setxid.left), 128, left, 0, 0, 0);
        lock_drop(&worker_birth);
    }
    lock_drop(&setxid.lock);
    hook_exit();
    return r;
}

/* ---- start and end ---- */

uint64_t emul_sigstack_size(void)
{
    extern unsigned long getauxval(unsigned long);
    static uint64_t size;
    if (!size)
        size = ALIGN_UP(getauxval(51 /* AT_MINSIGSTKSZ */) + 16384, PAGE_SIZE);
    return size;
}

void emul_worker_init(struct worker *w)
{
    struct {
        void *sp;
        int32_t flags, pad;
        uint64_t size;
    } ss = {w->sigstack, 0, 0, w->sigstack_size};
    sys2(__NR_sigaltstack, P(&ss), 0);
    signal_mask_native(worker_mask);
    sys2(__NR_prctl, 29 /* PR_SET_TIMERSLACK */, 1);
}

/* A process that confined itself before its first thread (seccomp(2); Chromium's renderers do) may answer what it never
 * calls itself with SIGSYS. While that is blocked, as all signals are during activation, the kernel ends the process; and
 * the process's handler might do so, too. So the signal is ours for that time: such a call fails, ENOSYS. */
static struct kaction trap_action; /* the process's own */
static bool trap_other;            /* a SIGSYS that somebody sent */
static bool traps_fail;

static void on_trap(int sig, struct info *info, struct ucontext *uc)
{
    (void)sig;
    if (info->code == SYS_SECCOMP)
        uc->mc.rax = (uint64_t)-ENOSYS;
    else
        trap_other = true;
}

void signal_traps_fail(void)
{
    struct kaction a = {(uint64_t)on_trap, SA_SIGINFO | SA_RESTORER, (uint64_t)kernel_restorer, ~0ull};
    trap_other = false;
    traps_fail = sys4(__NR_rt_sigaction, SIGSYS, P(&a), P(&trap_action), 8) == 0;
    if (traps_fail)
        signal_mask_native(~SIG(SIGSYS));
}

void signal_traps_back(void)
{
    if (!traps_fail)
        return;
    traps_fail = false;
    signal_mask_native(~0ull);
    kernel_action(SIGSYS, &trap_action);
    if (trap_other)
        sys2(__NR_kill, sys0(__NR_getpid), SIGSYS);
}

int signal_activate(struct uthread *u, uint64_t mask)
{
    struct {
        uint64_t sp;
        int32_t flags, pad;
        uint64_t size;
    } ss;
    signalfd_mask = signalfds_open(); /* these two open files, which a filter may not allow */
    const uint64_t set = signals_not_default() | SYNC_SIGNALS | SIG(SIGCHLD) | SIG(POKE_SIGNAL);
    signal_traps_back();
    sig_lock = (struct lock){0};
    process = (struct sigpending){0};
    process_mask_hint = 0;
    queue_free = NULL;
    nqueued = 0;
    waiters.head = waiters.tail = NULL;
    memset(handed, 0, sizeof handed);
    review_asked = review_done = exec_holds = 0;
    memset(&setxid, 0, sizeof setxid);
    if (timers_any)
        memset(timers_known, 0, sizeof timers_known);
    timers_any = false;
    itimers_armed = itimers_repeat = 7; /* perhaps, before */
    sigd_tid = 0;
    worker_mask = ~(SYNC_SIGNALS | SIG(POKE_SIGNAL) | UNBLOCKABLE);
    memset(actions, 0, sizeof actions);
    actions_known = 0;
    for (int s = 1; s <= NSIG; s++)
        if (set & SIG(s))
            action_learn(s);
    struct kaction poke = {(uint64_t)on_poke, SA_SIGINFO | SA_ONSTACK | SA_RESTORER, (uint64_t)kernel_restorer,
                           ~MEMORY_SIGNALS};
    kernel_action(POKE_SIGNAL, &poke);
    for (int s = 1; s <= NSIG; s++)
        if (s != SIGKILL && s != SIGSTOP && ((SYNC_SIGNALS & SIG(s)) || actions[s].handler > SIG_IGN))
            install(s);
    sys2(__NR_sigaltstack, 0, P(&ss));
    if (ss.flags != 2) {
        u->altstack.sp = ss.sp;
        u->altstack.size = ss.size;
        u->altstack.flags = ss.flags & SS_AUTODISARM;
    }
    u->sigmask = mask;
    long r = helper_start(sigd_main, NULL, 64 * 1024); /* everything is blocked still: SIGD_WAKE may come at once */
    if (r < 0)
        return (int)r;
    sigd_tid = (int32_t)r;
    sys4(__NR_rt_sigprocmask, 2, P(&worker_mask), 0, 8);
    emul_worker_init(&sched.workers[0]);
    sched_up.births = sigd_births;
    sched_up.move = signal_move;
    return 0;
}

/* In a fork child, still on the forking thread's stack. */
void signal_child(const struct uthread *u)
{
    sig_lock = (struct lock){0};
    struct kaction dfl = {0};
    for (int s = 1; s <= NSIG; s++)
        if (s != SIGKILL && s != SIGSTOP && s != 32 && ((SYNC_SIGNALS & SIG(s)) || actions[s].handler > SIG_IGN))
            kernel_action(s, s == POKE_SIGNAL ? &dfl : &actions[s]);
    kernel_action(POKE_SIGNAL, &actions[POKE_SIGNAL]);
    struct {
        void *sp;
        int32_t flags, pad;
        uint64_t size;
    } ss = {(void *)u->altstack.sp, u->altstack.size ? u->altstack.flags & SS_AUTODISARM : SS_DISABLE, 0, u->altstack.size};
    sys2(__NR_sigaltstack, P(&ss), 0);
    signal_mask_native(u->sigmask);
}
