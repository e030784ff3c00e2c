/* The scheduler: user threads on procs, procs on workers.
 *
 * Words (Go's in brackets)
 *   uthread [G]  one pthread of the program
 *   proc    [P]  the right to run user threads: run queue, timers, counters
 *   worker  [M]  a kernel thread that runs user threads; its struct is at the GS base
 *
 * Contexts named below
 *   hook      on a user thread's stack, in shim code, holding a proc (between hook_enter and
 *             hook_exit), w->hook == 1
 *   g0        on a worker's system stack (schedule loop, commit functions)
 *   any       any kernel thread: worker, sysmon, sigd, a foreign thread
 *
 * Who owns what
 *   uthread.state RUNNING   owned by the worker it runs on
 *                 RUNNABLE  owned by the run queue it is in
 *                 PARKED    owned by its wait word: who wins the CAS in wait_claim owns it
 *   proc                    owned by the worker named in proc.worker, unless worker.claim says
 *                           that it was taken (proc.c, "Taking a proc")
 */
#ifndef HANDOFF_SCHED_H
#define HANDOFF_SCHED_H

#include "../arch/x86_64/frame.h"
#include "../base/atomic.h"
#include "../base/base.h"
#include "../base/lock.h"
#include "../stats/page.h"

struct uthread;
struct proc;

/* ---- waiting ------------------------------------------------------------------------------ */

/* Why a parked user thread was readied. */
enum wake { WAKE_NONE, WAKE_EVENT, WAKE_TIMEOUT, WAKE_SIGNAL, WAKE_CLOSED };

/* One word decides every race for a parked user thread: the sequence number of the wait in the
 * upper bits, and below it WAIT_OPEN while nobody has claimed it, or the enum wake of who did. */
#define WAITW_OPEN  15u
#define WAITW_SHIFT 4
/* Of a wait word: claimed. (14: it is being prepared.) */
#define wait_over(w) (((w) & 15) < 14)

enum { TIMER_SLACK = 50000 }; /* the kernel's default, ns */

struct timer {
    int64_t when;       /* at the earliest. CLOCK_MONOTONIC, ns */
    uint64_t seq;       /* of the wait that it ends, of the user thread that it is in */
    int32_t index;      /* in the heap; -1: not armed */
    struct proc *proc;  /* whose heap */
};

/* ---- user thread -------------------------------------------------------------------------- */

/* The lower half is looked at on every way out of a hook. ATTN_BLOCKS: some native calls of it are likely to block (native.c); entry.S
 * makes none of them without C. */
enum { ATTN_SIGNAL = 1, ATTN_YIELD = 2, ATTN_BLOCKS = 1 << 16 };

/* What vector state is saved, and where (switch.S). */
enum { VEC_NONE, VEC_SSE, VEC_FULL, VEC_NEW, VEC_STACK, VEC_SSE_ONLY };

struct sigpending {
    uint64_t mask;
    struct sigqueued *queue; /* real-time signals and siginfo, oldest first */
};

/* A wait for a futex (emul/futex.c) */
struct futex_waiter {
    struct futex_waiter *next, *prev;
    struct bucket *bucket; /* NULL once unlinked; changed under the bucket's lock */
    uint32_t *addr;
    struct uthread *u;     /* NULL: a foreign thread */
    uint64_t seq;
    uint32_t *requeue_pi;  /* WAIT_REQUEUE_PI: the PI futex it may be moved to */
    uint32_t bitset;
    bool pi;               /* waits for ownership of addr */
    bool many;             /* one of several (futex_waitv): may be found before its wait is open */
    bool lock;             /* a lock's, it seems (contend.c) */
    /* seldom used: */
    uint32_t foreign_word; /* 0 waits, 1 woken */
    int tid;
};

struct uthread {
    /* line 0: switching. Owner only, but attn (atomic). */
    uint64_t rsp;    /* while not running */
    uint64_t fsbase;
    uint32_t attn;   /* ATTN_* */
    uint8_t vec, vec_lines; /* VEC_*; of VEC_STACK the size in cache lines */
    uint8_t pad;
    uint8_t site;    /* entry.S: what ctx_park may leave out */
    struct uthread *next; /* in a queue; owned by the queue */
    struct stats_uthread *pub;
    struct worker *worker; /* where it runs or ran last; written by the worker, read by any */
    uint32_t ready_tsc;    /* low half, 0: not sampled */
    uint32_t index : 24;
    uint32_t wired : 1; /* runs on `home` only (wire.c); set under uthreads_lock or by the owner */
    int32_t tid;
    uint32_t gen;

    /* line 1: waiting */
    uint64_t waitw cacheline; /* atomic */
    uint64_t wait_missed; /* atomic: the wait that somebody wanted to claim before it was open */
    struct timer timer;       /* guarded by timer.proc's timer lock */
    uint8_t wake_soon;        /* predictor, sched_ready */
    uint8_t long_turn;        /* owner: its last turn was long, or it has had none */
    uint8_t in_create;        /* inside pthread_create: stacks come from the slab */
    uint8_t exiting;
    uint8_t futex_again;  /* waits in a row on futex_last with no wake-up made between */
    const void *ahead;    /* what it touches first when it runs again, besides its stack: a hint for prefetch_following */

    /* line 2: in a bucket while it waits for one futex */
    struct futex_waiter futex cacheline;

    /* line 3, begun by the end of the waiter: the rest of what is used often. No switch touches it, nor what follows: with thousands of user threads
     * each line is a miss */
    void *xsave; /* for VEC_FULL */
    uint32_t *futex_last;
    uint8_t blocks[16]; /* how likely its native calls block (native.c) */

    /* owner only */
    uint64_t sigmask cacheline; /* written by the owner, read by any under sig.lock's rules */
    uint64_t sigmask_saved;     /* to put back after sigsuspend, ppoll, ... */
    bool sigmask_restore;
    int64_t restart_when;       /* deadline of a call that is made again since no handler ran; 0: none */
    uint32_t *ctid; /* CLONE_CHILD_CLEARTID, set_tid_address */
    void *robust;   /* set_robust_list */
    uint64_t robust_len;
    struct {
        uint64_t sp, size;
        int32_t flags;
    } altstack;
    void *pi_held;  /* private PI futexes it owns (futex.c) */
    struct {           /* CPU time once somebody asked (cputime.c); written by the owner */
        uint32_t seq;  /* odd while the rest changes */
        int64_t ns;    /* the worker's kernel clock over finished turns, and the estimate below */
        uint64_t counted; /* of pub->ran: in ns already, as an estimate */
        int64_t mark;  /* that clock when this turn began; -1: the turn is counted by the TSC */
        int64_t usage[8], usage_mark[8]; /* likewise, enum usage */
        int64_t utime; /* as last told: never less */
        int64_t told;  /* atomic, by any: likewise of the whole */
    } cpu;
    struct sigpending sig; /* under sig lock */
    struct sigwaiter *sigwait; /* likewise: it waits for signals (signal.c); NULL: not */
    struct uthread *all_next, *all_prev; /* under uthreads lock */
    struct worker *home; /* if wired. Stays until the user thread has ended */
    uint8_t tainted;     /* wired for good; under uthreads_lock, or before it first runs */
    uint64_t timer_slack; /* PR_SET_TIMERSLACK; 0: the default */
};

struct timer_entry {
    int64_t latest; /* somebody looks at the timer then */
    struct timer *timer;
};

/* ---- proc --------------------------------------------------------------------------------- */

enum { RUNQ_SIZE = 256 };

struct event {
    uint64_t tsc;
    int32_t tid;
    uint16_t kind;
    uint16_t worker;
};
enum { EVENT_RING = 256 };

struct proc {
    /* owner only, but the counters in *st, which any may read */
    struct stats_proc *st;
    uint32_t index;
    uint32_t tick;        /* dispatches */
    struct worker *worker;
    struct proc *idle_next; /* under sched.lock */
    bool unused;            /* under sched.lock: out of use, in no list, held by nobody */
    uint32_t birth_spins;   /* in sched.births */
    uint32_t rand;
    uint32_t event_at;
    const uint32_t *contended; /* the lock at which the thread failed that ran last; NULL: none (contend.c) */
    uint16_t contend_put_off, contend_leave, contend_left;
    uint32_t owed;        /* user threads that were displaced from the next slot, and are to run before it is used again (runq.c) */
    uint32_t vain_polls;  /* looks at descriptors in a row that found nothing */
    uint64_t slice_start; /* tsc; the next slot inherits it */
    struct event *events;

    /* atomic: the run queue */
    uint32_t head cacheline; /* taken from by any */
    uint32_t tail;           /* owner */
    struct uthread *next;    /* runs next; inherits the slice */
    uint64_t next_tsc;       /* when it came there */
    struct uthread *runq[RUNQ_SIZE];

    /* timers */
    struct lock timer_lock cacheline;
    uint32_t ntimers, timers_cap;
    struct timer_entry *timers;
    int64_t timer_min; /* atomic; INT64_MAX when none */

    /* sysmon's own */
    uint32_t seen_tick cacheline;
    uint32_t seen_sys;
    uint64_t seen_dispatches; /* fewer.c */
    int64_t seen_since;
    bool seen_in_sys;
};

/* ---- worker ------------------------------------------------------------------------------- */

enum { CLAIM_HELD, CLAIM_ASKED, CLAIM_LOST };
enum { BLOCK_NOT, BLOCK_COUNTED, BLOCK_AGAIN /* ... and may be interrupted, to be made again */ };

struct worker {
    /* line 0: entry.S and the hooks; owner only, but what is named atomic */
    struct uthread *cur;   /* NULL on the scheduler stack */
    uint64_t g0_top;
    uint32_t native;       /* a vfork child borrows this worker: every call native */
    uint32_t hook;         /* atomic. 1: shim code that may touch the proc runs. Pairs with claim */
    struct proc *proc;     /* NULL: none. Not to be trusted while claim is CLAIM_LOST */
    uint32_t sysno1;       /* atomic: system call in progress + 1; 0: none */
    uint32_t systick;      /* atomic: counts them */
    uint32_t claim;        /* atomic: CLAIM_* */
    uint32_t emuls;        /* atomic: counts emulated calls (entry.S) */
    uint64_t vec_inuse;    /* components in use since the last park (switch.S) */
    uint64_t now_tsc;      /* clock of the last switch */

    struct worker *self;   /* this struct: what the GS base is */
    int32_t ktid;
    uint32_t index;
    uint32_t wake;         /* futex word, atomic: 1 = wake up */
    uint32_t spinning;     /* owner; by its waker while it sleeps */
    struct proc *given;    /* the proc a waker hands over; written before wake */
    struct worker *idle_next; /* under sched.lock */
    struct stats_worker *pub;
    void *g0_base;
    void *sigstack;
    uint64_t sigstack_size;
    void (*commit)(struct uthread *u, void *arg);
    void *commit_arg;
    int64_t commit_deadline;
    uint64_t cpu_seen;     /* sysmon's own */
    uint32_t setxid_due;   /* atomic: a change of credentials is to be made here (signal.c) */
    uint32_t in_clock;     /* we are in the vDSO for ourselves (entry.S, signal.c) */
    int64_t cpu_last;      /* the kernel's CPU clock of this thread at the end of the last turn (cputime.c) */
    uint64_t cpu_last_tsc; /* when that was */
    uint64_t slice_began;  /* the kernel's time slice (slice.c), TSC */
    int64_t slice_cpu;     /* our CPU clock then; 0: not known */
    uint32_t in_block;     /* atomic; owner: BLOCK_*, counted in sched.nblocked */
    uint32_t stuck;        /* atomic: counted in sched.nstuck (proc_take) */
    struct uthread *wired; /* the only user thread it runs; before it runs it for the first time */
    uint32_t bound;        /* it runs `wired` only, and must not make workers: they would inherit (wire.c). Owner */
    uint32_t quit;         /* atomic: end when woken */
    uint32_t poked;        /* atomic: a poke is on its way (worker_poke) */
    uint32_t alive;        /* 0 once its kernel thread has left its stack for good (CLONE_CHILD_CLEARTID) */
    int64_t stall_since, stall_cpu; /* sysmon's own: when it last looked whether the kernel runs it, and its CPU time then */
    int64_t cpu_still;     /* sysmon's own */
    int64_t commit_slack;
    uint32_t calls_seen;   /* ticks.c, and the next */
    int64_t calls_cpu;
} cacheline;

_Static_assert(offsetof(struct worker, cur) == WORKER_CUR, "entry.S");
_Static_assert(offsetof(struct worker, g0_top) == WORKER_G0TOP, "entry.S");
_Static_assert(offsetof(struct worker, native) == WORKER_NATIVE, "entry.S");
_Static_assert(offsetof(struct worker, self) == WORKER_SELF, "worker_self");
_Static_assert(offsetof(struct worker, ktid) == WORKER_KTID, "entry.S");
_Static_assert(offsetof(struct worker, sysno1) == WORKER_SYSNO1, "entry.S");
_Static_assert(offsetof(struct worker, systick) == WORKER_SYSTICK, "entry.S");
_Static_assert(offsetof(struct worker, claim) == WORKER_CLAIM, "entry.S");
_Static_assert(offsetof(struct worker, emuls) == WORKER_EMULS, "entry.S");
_Static_assert(offsetof(struct worker, sigstack) == WORKER_SIGSTACK, "entry.S");
_Static_assert(offsetof(struct worker, in_clock) == WORKER_IN_CLOCK, "entry.S");
_Static_assert(offsetof(struct uthread, rsp) == UTHREAD_RSP, "switch.S");
_Static_assert(offsetof(struct uthread, fsbase) == UTHREAD_FSBASE, "switch.S");
_Static_assert(offsetof(struct uthread, xsave) == UTHREAD_XSAVE, "switch.S");
_Static_assert(offsetof(struct uthread, attn) == UTHREAD_ATTN, "entry.S");
_Static_assert(offsetof(struct uthread, vec) == UTHREAD_VEC, "switch.S");
_Static_assert(offsetof(struct uthread, vec_lines) == UTHREAD_VEC + 1, "switch.S");
_Static_assert(offsetof(struct uthread, site) == UTHREAD_SITE, "entry.S");

struct sched {
    struct lock lock cacheline; /* guards the idle lists and the global queue */
    struct proc *idle_procs;
    struct worker *idle_workers;
    struct uthread *gq_head, *gq_tail;

    uint32_t gq_len cacheline; /* atomic */
    uint32_t nidle_procs;      /* atomic, changed under lock */
    uint64_t slice_tsc;        /* a worker that ran so long yields its CPU (slice.c) */
    uint64_t crowded_until;    /* atomic: till then other kernel threads are taken to want our CPUs */
    uint32_t nspinning;        /* atomic */
    uint32_t nworkers;         /* atomic */
    uint32_t nworkers_idle;
    struct worker *ended_workers; /* under lock: to be used again when no longer alive */
    struct proc *births;          /* under lock: procs that sigd is to start a worker for (wire.c) */
    uint32_t nwired;              /* atomic */
    uint32_t need_worker;      /* atomic: runnable work found no worker (MAX_WORKERS) */
    uint32_t nblocked;         /* atomic: workers in calls known to block (block_admit) */
    uint32_t nstuck;           /* atomic, signed: others that lost their proc in the kernel or computing */
    int64_t need_since;        /* tsc when need_worker became 1; by who made it so */
    uint32_t nlive;            /* user threads alive */
    int64_t poll_until cacheline; /* atomic: a worker sleeps in the poller until then; 0: none */
    uint32_t poller;              /* atomic: 1 while some worker is in the blocking poll */
    uint32_t npollwait;           /* atomic: user threads that only the poller can wake */
    int64_t last_poll;            /* tsc of the last poll */
    uint32_t nprocs;              /* atomic, changed under lock: procs wanted in use */
    uint32_t surplus;             /* atomic, changed under lock: busy procs beyond these, to go out of use */
    uint32_t nprocs_seen;         /* atomic, grows: procs ever in use are procs[0 .. nprocs_seen) */
    uint32_t nprocs_most;         /* length of procs */
    uint32_t max_workers;         /* atomic: HANDOFF_MAX_WORKERS and the main thread's; sysmon may raise it (relieve) */
    uint32_t block_budget;        /* of these, how many may stand in the kernel: block_admit */
    uint32_t sysmon_asleep;       /* atomic futex word */
    int64_t retake_tsc, preempt_tsc;
    int64_t quantum_tsc;          /* who runs for longer, while others wait, gives way at one of its next calls (quantum_look) */
    int64_t long_turn_tsc;        /* who runs so long computes */
    int64_t chain_tsc;            /* the next slot's slice while others wait (runq.c) */
    struct proc *procs;           /* [nprocs_most] */
    struct worker *workers;       /* [max_workers as it was + WORKERS_BEYOND], the slots */
    struct uthread *uthreads_end; /* where slot 0 ends; see uthread_at */
};

enum { UTHREADS_MAX = 1 << 18, PROCS_MAX = 1024, WORKERS_BEYOND = 1024 };
/* Virtual tids: above the kernel's PID_MAX_LIMIT (2^22), below FUTEX_TID_MASK's 2^30. */
enum { TID_BASE = 1 << 22, TID_CLOCK = 1 << 29, TID_END = 1 << 30 };

extern struct sched sched;
#define UTHREADS_SIZE (sizeof(struct uthread) * UTHREADS_MAX)
/* The slots of user threads, from slot 0 downwards (base/arena.h). */
static inline struct uthread *uthread_at(uint32_t slot)
{
    return sched.uthreads_end - 1 - slot;
}
static inline uint32_t uthread_slot(const struct uthread *u)
{
    return (uint32_t)(sched.uthreads_end - 1 - u);
}
extern uint32_t sched_active; /* 1: this process is activated (entry.S reads it) */
/* 0: every kernel thread that comes to a stub has a worker at its GS base, so that entry.S need not ask. 1 while the process
 * is dormant, and for good once the program's code runs on a thread without one. */
extern uint32_t gs_doubtful;

/* ---- who am I ----------------------------------------------------------------------------- */

/* The worker under our feet. Volatile: after anything that may park it may be another; never
 * keep it across such a call. Only on a worker (not on a foreign thread, nor a helper). A load: rdgsbase takes some ten cycles. */
static always_inline struct worker *worker_self(void)
{
    struct worker *w;
    __asm__ volatile("mov %%gs:%c1, %0" : "=r"(w) : "i"(WORKER_SELF));
    return w;
}
/* Likewise; NULL where there is none. On any thread of a process that is activated. */
static always_inline struct worker *worker_or_null(void)
{
    struct worker *w;
    __asm__ volatile("rdgsbase %0" : "=r"(w));
    return w;
}
static always_inline struct uthread *uthread_self(void)
{
    struct uthread *u;
    __asm__ volatile("mov %%gs:0, %0" : "=r"(u));
    return u;
}

static always_inline uint64_t tsc_now(void)
{
    uint32_t lo, hi;
    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
    return (uint64_t)hi << 32 | lo;
}
int64_t tsc_to_ns(int64_t delta);
int64_t ns_to_tsc(int64_t ns);
/* CLOCK_MONOTONIC, ns, through the vDSO. Any. */
int64_t now_ns(void);
int64_t clock_ns(int clock); /* any clock; through the vDSO where it has it */

/* ---- hooks: coming from and going to the program (proc.c) ---------------------------------- */

void proc_regain(void); /* slow half of hook_enter */

/* The program called us: from here on the proc is ours to touch. If it was taken meanwhile,
 * waits for another (may switch workers). */
static always_inline void hook_enter(void)
{
    struct worker *w = worker_self();
    store_relaxed(&w->hook, 1u);
    fence_compiler(); /* pairs with the membarrier in proc_take */
    if (unlikely(load_relaxed(&w->claim) != CLAIM_HELD))
        proc_regain();
}
/* Back to the program, or into a native call: the proc may be taken from now on. */
static always_inline void hook_exit(void)
{
    store_release(&worker_self()->hook, 0u); /* pairs with the load of hook in proc_take */
}

/* A native call of the user thread: from hook state. While inside, sysmon may take the proc. */
static always_inline void entersyscall(int nr)
{
    struct worker *w = worker_self();
    store_relaxed(&w->sysno1, (uint32_t)nr + 1);
    store_relaxed(&w->systick, w->systick + 1);
    store_release(&w->hook, 0u);
}
static always_inline void exitsyscall(void)
{
    struct worker *w = worker_self();
    store_relaxed(&w->hook, 1u);
    store_relaxed(&w->sysno1, 0u);
    fence_compiler(); /* pairs with the membarrier in proc_take */
    if (unlikely(load_relaxed(&w->claim) != CLAIM_HELD))
        proc_regain();
}
/* As entersyscall, for a call that is known to block: gives the proc away first, to a worker if work waits. (Kept, it would be
 * taken back by sysmon only, up to 10 ms after new work came.) */
void entersyscall_block(int nr);

/* Workers that stand in the kernel are counted. block_admit: may one more? False when only the last ones
 * would be left, which are kept for user threads that can run: whoever would wake us may be one of them. The caller
 * then waits otherwise (emul/kwait.c). `again`: the call may be interrupted by a poke, and made again. block_begin counts without asking, for calls that cannot be made otherwise. Before
 * entersyscall_block; block_end right after the call. Hook; block_end also without a proc. */
bool block_admit(bool again);
void block_begin(void);
void block_end(void);

/* ---- parking (park.c) ---------------------------------------------------------------------- */

/* Open a wait of the current user thread; returns its sequence number, which wakers pass to
 * wait_claim. From now until park returns it may be claimed. Hook. */
uint64_t wait_open(struct uthread *u);
/* Claim the wait `seq` of u. True: the caller must ready u (and nobody else will). Any. */
bool wait_claim(struct uthread *u, uint64_t seq, enum wake why);

/* For wakers that may come before the wait is open (without the lock that commit drops): the wait is
 * marked as missed, and park claims it itself: for WAKE_TIMEOUT when its deadline has passed, else WAKE_EVENT. */
enum claim { CLAIM_NO, CLAIM_YES, CLAIM_MARKED };
enum claim wait_claim_or_mark(struct uthread *u, uint64_t seq, enum wake why);

/* Park the current user thread, whose wait was opened, until claimed and readied. `commit` runs
 * on g0 once its registers are saved: there it is published to wakers, locks dropped. Returns why
 * it was woken. May return on another worker. Hook.
 * `deadline` (CLOCK_MONOTONIC ns, INT64_MAX none) arms a timer. */
enum wake park(enum stats_wait why, uint64_t object, int64_t deadline,
               void (*commit)(struct uthread *u, void *arg), void *arg);

/* Make a claimed (or new) user thread runnable. Any. */
void sched_ready(struct uthread *u);
/* All of a list linked by ->next, n long. Any. */
void sched_ready_all(struct uthread *head, uint32_t n);
/* Hand over such a list. g0 or hook, with a proc. */
void sched_ready_list(struct uthread *head, uint32_t n);

/* Give way to others, if any wait. Hook. */
void sched_yield_now(void);

/* Where glibc 2.36 has what every cancellation point asks. Only a hint. */
enum { TCB_CANCEL = 0x308 };
/* u, whose struct is at hand, will run soon: have what a switch to it touches first come, in three pages each of which the
 * processor may have to look up: by the dozen, one waits for the other less. Any; u need not be parked. */
static inline void uthread_prefetch(const struct uthread *u)
{
    const char *tcb = (const char *)load_relaxed(&u->fsbase);
    __builtin_prefetch((const void *)load_relaxed(&u->rsp));
    __builtin_prefetch(tcb);
    __builtin_prefetch(tcb + TCB_CANCEL, 1);
    __builtin_prefetch(load_relaxed(&u->pub), 1);
}

/* A signal became pending for u: interrupt its wait or its program code. Any. */
void uthread_poke(struct uthread *u);
/* Interrupt w where it is, program code or the kernel: it looks what is asked of it, which was written before. Any, signal-safe. */
void worker_poke(struct worker *w);

/* ---- user threads (uthread.c) --------------------------------------------------------------- */

struct uthread *uthread_alloc(void); /* NULL: too many */
/* On g0, after it left its stack. */
void uthread_free(struct uthread *u);
struct uthread *uthread_by_tid(int tid); /* NULL: none. The caller must hold uthreads_lock to keep it */
extern struct lock uthreads_lock;
extern struct uthread *uthreads_all;

/* End the current user thread: `last` runs on g0 and frees what is left. Hook. */
_Noreturn void uthread_exit(void (*last)(struct uthread *u, void *arg), void *arg);

/* ---- wired user threads (wire.c) ------------------------------------------------------------- */

/* Wire the calling user thread, and be on its home. -EAGAIN: too many are, or no kernel thread is to be had. Not in a hook;
 * may change the worker. */
int wire_self(void);
/* The contrary, for a home whose kernel thread is as it was: a worker like others again. pre: on its home; under uthreads_lock, in
 * which it was seen to be so. */
void unwire_self(void);
/* A kernel thread that is to become a home: asleep. `inherit`: with all that the kernel gives to children of the
 * calling one. NULL: none to be had. Not in a hook. */
struct worker *wire_worker(bool inherit);
void wire_drop(struct worker *w); /* it does not after all */
/* Make w the home of u, a user thread other than the caller, with this tid. False: it has ended, or has a home. It moves there when it is next
 * dispatched. Any worker, not in a hook. */
bool wire_other(struct uthread *u, int32_t tid, struct worker *w, bool taints);
/* Likewise a new one, that has not been readied. */
void wire_new(struct uthread *u, struct worker *w);
/* To its home, if it is not there. Hook. */
void wire_move(void);
/* sigd's part: workers that bound ones need. */
void wire_births(void);

/* ---- CPU time (cputime.c) ------------------------------------------------------------------- */

/* Nobody has asked for the CPU time of a user thread: turns on workers are added up in TSC ticks (pub->ran), which
 * counts what the kernel gave to others meanwhile. From the first question on (bit 1; bit 2: getrusage as well) each
 * turn is measured with the worker's kernel clock, at a system call per switch. Never goes back. */
extern uint32_t cputime_level;
void cputime_end_turn(struct worker *w, struct uthread *u, uint64_t now); /* hook or g0, level > 0 */
void cputime_begin_turn(struct worker *w, struct uthread *u, uint64_t now);
/* The user thread has left, or is about to leave, its worker. */
static always_inline void turn_ends(struct worker *w, struct uthread *u)
{
    uint64_t now = tsc_now();
    if (unlikely(load_relaxed(&cputime_level)))
        cputime_end_turn(w, u, now);
    else
        store_relaxed(&u->pub->ran, u->pub->ran + (now - w->now_tsc));
    u->long_turn = now - w->now_tsc > (uint64_t)sched.long_turn_tsc;
    w->now_tsc = now;
}
enum usage { USAGE_STIME, USAGE_MINFLT, USAGE_MAJFLT, USAGE_INBLOCK, USAGE_OUBLOCK, USAGE_NVCSW, USAGE_NIVCSW };
/* CPU time of u, ns. Never goes back. Any; not in a hook if u is the caller. */
int64_t cputime_of(struct uthread *u);
void cputime_activate(struct worker *w, struct uthread *u); /* main: with what it used before */
/* *n: how often the calling kernel thread has slept in the kernel. Any. A system call, under 1 us. False: cannot be asked, since the
 * process has confined itself, or is about to (seccomp(2); cputime_confined), and a filter may kill who asks. */
bool own_waits(uint64_t *n);
void cputime_confined(void);
/* Adds the caller's usage since its start to out; enum usage. Not in a hook. */
void cputime_usage_self(int64_t out[8]);

/* ---- workers, procs, sysmon ------------------------------------------------------------------ */

/* Build procs, options.procs in use and `most` ever, and worker 0 around the calling thread; 0 or -errno. */
int sched_init(uint32_t most);
/* Have n procs in use, 1 to sched.nprocs_most (proc.c, "How many"). Sysmon only. */
void procs_resize(uint32_t n);
/* So many are wanted: fewer may be in use (fewer.c). Sysmon only. */
void procs_wanted(uint32_t n);
/* sysmon is due: the first worker to be born starts it, or, where none is, sched_started. (A kernel thread more that has just
 * begun, on the process's page tables, makes all that touches memory dearer meanwhile: where the hypervisor watches these, by
 * 0.4 ms in the first pthread_create.) sched_started: whoever made the process's first thread has done so. */
void sched_start(void);
void sched_started(void);
extern struct lock worker_birth; /* held while a worker or a helper is cloned */
void sched_reset(void); /* in a fork child: forget everything */
/* Kernel threads of ours that are no workers: sysmon, sigd, futexd, ticks. They never end. */
struct helper {
    int32_t tid;
    uint32_t setxid_due; /* atomic: signal.c */
};
enum { HELPERS_MAX = 72 };
extern struct helper helpers[HELPERS_MAX];
extern uint32_t nhelpers; /* atomic; grows under worker_birth */
/* Clone one, with the signal mask of the caller. Returns its tid or -errno. Any, without worker_birth. */
long helper_start(int (*fn)(void *), void *arg, size_t stack);
/* The worker came back from the kernel without its proc: may the user thread go on so, as an ordinary kernel thread, until its next
 * hook? Not where workers run short. hook == 0. */
bool run_without_proc(void);
void proc_handoff_if_work(void);
void sched_wake_one(void); /* some work came from outside: see that a worker looks. Any */
bool sched_other_work(void); /* would somebody else run if we gave the proc away? any */
struct proc *proc_any(void);

/* Counters: of the held proc, else of the shared set. */
#define COUNT(name)                                                                                \
    do {                                                                                           \
        struct proc *count_p_ = worker_self()->proc;                                               \
        store_relaxed(&count_p_->st->name, count_p_->st->name + 1);                                \
    } while (0)
#define COUNT_SHARED(name) ((void)__atomic_fetch_add(&stats_shared->name, 1, __ATOMIC_RELAXED))
extern struct stats_proc *stats_shared;

/* ---- events, for the dump -------------------------------------------------------------------- */

enum event_kind {
    EV_RUN, EV_PARK, EV_READY, EV_YIELD, EV_TAKE, EV_LOST, EV_REGAIN, EV_SLEEP, EV_WAKE, EV_STEAL,
    EV_EXIT, EV_CREATE, EV_POLL, EV_SYSCALL, EV_SIGNAL, EV_TIMER
};
static always_inline void event(struct proc *p, enum event_kind k, int tid)
{
    struct event *e = &p->events[p->event_at++ % EVENT_RING];
    e->tsc = p->worker ? p->worker->now_tsc : 0;
    e->tid = tid;
    e->kind = (uint16_t)k;
    e->worker = p->worker ? (uint16_t)p->worker->index : 0xffff;
}

/* ---- chaos ------------------------------------------------------------------------------------- */

extern bool chaos_on;
/* True once in n, from the seed; false always when chaos is off. Any worker. */
bool chaos_slow(unsigned n);
static always_inline bool chaos(unsigned n)
{
    return unlikely(chaos_on) && chaos_slow(n);
}

/* ---- hooks the layers above provide (set by emul/, netpoll/) ------------------------------------ */

struct sched_upcalls {
    /* Collect ready user threads: delta <0 block, 0 don't, >0 ns at most. Returns the list. g0. */
    struct uthread *(*poll)(int64_t delta_ns, uint32_t *n);
    /* Wake the blocked poller. Any. */
    void (*poll_break)(void);
    /* About to dispatch u on this worker (from g0). */
    void (*tick)(void); /* sysmon's once a second */
    void (*births)(void); /* have sigd call wire_births. Any */
    void (*move)(struct uthread *u); /* it has a home now, and may run elsewhere: have it go there. Any worker */
};
extern struct sched_upcalls sched_up;

#endif
