/* What the files of sched/ share among themselves. */
#ifndef HANDOFF_SCHED_INTERNAL_H
#define HANDOFF_SCHED_INTERNAL_H

#include "sched.h"

#include "../base/sys.h"
#include "../options.h"
#include "../stats/stats.h"

/* switch.S */
void ctx_park(struct uthread *u, uint64_t g0_top, void (*fn)(struct uthread *u), uint64_t *inuse);
void ctx_resume(struct uthread *u, uint64_t inuse); /* see schedule */
_Noreturn void g0_enter(void (*fn)(void *), void *arg, uint64_t stack_top);
long thread_clone(unsigned long flags, void *stack_top, int *tid, int (*fn)(void *), void *arg);
long uaccess_load32(const uint32_t *p, uint32_t *out); /* memory of the program: 0 or -EFAULT */

/* runq.c: the local run queue. Owner: the worker that holds p. */
bool runq_put_tail(struct proc *p, struct uthread *u); /* owner; false: full, half went global */
bool runq_put_next(struct proc *p, struct uthread *u, bool owes); /* owner; true: somebody was displaced. A full barrier */
struct uthread *runq_get(struct proc *p, bool *inherit); /* owner */
uint32_t runq_steal(struct proc *p, struct proc *victim, bool next_too, struct uthread **out);
struct uthread *runq_take(struct proc *v); /* any: the next of v's, as a thief; NULL: none */
void gq_put(struct uthread *u);                                   /* any */
void gq_put_list(struct uthread *head, struct uthread *tail, uint32_t n); /* any */
struct uthread *gq_get(struct proc *p, uint32_t max);             /* owner of p; rest to p's queue */

/* timer.c */
/* It fires at `when` at the earliest, and as soon as somebody looks from when + slack on, or for another that is due. */
void timer_arm(struct proc *p, struct uthread *u, uint64_t seq, int64_t when, int64_t slack);
void timer_disarm(struct timer *t); /* no effect when not armed */
uint32_t timers_run(struct proc *p, int64_t now); /* fires what is due; returns how many */
int64_t timers_min(void);           /* the earliest of all procs at which somebody has to look */

/* proc.c */
void schedule(void); /* does not return. Not _Noreturn, and called last: so it is jumped to (docs/design/switch.md, "Returns") */
void proc_acquire(struct worker *w, struct proc *p);
struct proc *proc_take(struct proc *p); /* sysmon: from a worker in program code or the kernel */
void proc_give(struct proc *p);         /* to a worker if there is a use, else idle */
bool work_waits(struct proc *p);
bool worker_for(struct proc *p, bool spinning);
void worker_none(struct proc *p, bool spinning); /* none to be had for p: idle, until one is free */
struct worker *worker_spawn(struct proc *p, bool spinning, struct uthread *bound, bool is_bound);
void proc_release(struct worker *w); /* w's proc to others, if it has one. g0 */
bool proc_pass_on(struct worker *w); /* w's proc to another worker. False: none is to be had, w keeps it. g0 */
void wire_hand_over(struct worker *w, struct uthread *u); /* g0: u is wired; w's proc goes to its home */
struct uthread *wire_wait(struct worker *w);              /* g0, bound: until it is handed over; may end w */
void wire_reset(void);
void wire_ended(struct worker *w, struct worker *home);   /* g0: home's user thread has ended */
extern const char *const event_names[];

/* fewer.c: sysmon */
int64_t fewer_look(int64_t now); /* returns for how long nothing has to be looked at, ns */
void fewer_reset(void);          /* at the start: sched.nprocs are wanted */

/* contend.c: u, which p's worker is about to run, waited for a lock, perhaps, and somebody has just failed at one here: is it to wait for a
 * moment? True: time has passed. */
bool contend_look(struct proc *p, struct uthread *u);

/* slice.c */
void slices_init(void);
void slice_over(struct worker *w); /* w, which has a proc and runs nobody, has had its slice. It may have no proc after it. g0 */
/* w begins to run after a sleep. */
static inline void slice_begins(struct worker *w)
{
    w->slice_began = tsc_now();
    w->slice_cpu = 0;
}
int64_t own_cpu_ns(void); /* cputime.c */

int64_t thread_cpu_ns(int32_t ktid); /* of a kernel thread of ours; -1: gone */

/* ticks.c */
void ticks_crowded(uint64_t tsc); /* now: the caller's CPU is. A worker */
void ticks_look(int64_t tsc);     /* sysmon */
void ticks_reset(void);

int sysmon_main(void *arg);

/* Any; approximate. The next slot counts. */
static inline uint32_t runq_len(struct proc *p)
{
    uint32_t n = load_relaxed(&p->tail) - load_relaxed(&p->head);
    if (n > RUNQ_SIZE)
        n = RUNQ_SIZE;
    return n + (load_relaxed(&p->next) != NULL);
}

static inline uint32_t proc_random(struct proc *p)
{
    uint32_t x = p->rand;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return p->rand = x;
}

static inline void futex_wake_kernel(uint32_t *word, int n)
{
    sys6(__NR_futex, P(word), 129 /* WAKE|PRIVATE */, n, 0, 0, 0);
}
static inline void futex_wait_kernel(uint32_t *word, uint32_t v, const void *timespec)
{
    sys6(__NR_futex, P(word), 128 /* WAIT|PRIVATE */, v, P(timespec), 0, 0);
}

#endif
