/* The emulated kernel: what NPTL and the program ask of Linux, per user thread.
 *
 * A handler takes the program's registers at the call and returns its result or -errno, as the kernel
 * would in rax. It is entered from entry.S on the user thread's stack with hook == 0 and leaves so; between
 * hook_enter and hook_exit it may touch the proc and park. ERESTART* results (below) are settled on
 * the way out (signal.c) and never reach the program.
 */
#ifndef HANDOFF_EMUL_H
#define HANDOFF_EMUL_H

#include "../arch/x86_64/frame.h"
#include "../base/base.h"
#include "../base/sys.h"
#include "../options.h"
#include "../sched/sched.h"

#define EPERM 1
#define ESRCH 3
#define EINTR 4
#define EBADF 9
#define ECHILD 10
#define EAGAIN 11
#define ENOMEM 12
#define EFAULT 14
#define EINVAL 22
#define EPIPE 32
#define EDEADLK 35
#define ENOSYS 38
#define ENOTSOCK 88
#define EOPNOTSUPP 95
#define EISCONN 106
#define ENOTCONN 107
#define ETIMEDOUT 110
#define EALREADY 114
#define EINPROGRESS 115
/* As in the kernel: SYS restarts unless a handler without SA_RESTART ran; NOHAND restarts only
 * when no handler ran. */
#define ERESTARTSYS 512
#define ERESTARTNOINTR 513
#define ERESTARTNOHAND 514

typedef long (*emul_handler)(struct frame *f);

#define EMUL(name, handler) long handler(struct frame *f);
#define SYS(name)
#define BLOCK(name)
#include "../syscalls.def"
#undef EMUL
#undef SYS
#undef BLOCK

/* Who handles a call; NULL: nobody. */
extern const int32_t handlers[SYSCALL_TABLE_SIZE]; /* arch/x86_64/table.S */
static inline emul_handler emul_handler_of(uint64_t nr)
{
    return nr < SYSCALL_TABLE_SIZE && handlers[nr] ? (emul_handler)((uintptr_t)handlers + (uintptr_t)(intptr_t)handlers[nr]) : NULL;
}

/* ---- native calls (native.c) ---- */
long sys_intr(struct frame *f); /* entry.S: the call, unless a signal waits */
/* The call in f natively, in system call state; EINTR from a poke becomes ERESTART*. From
 * hook == 0 (native_sys) or hook state (native_in_hook, which returns to hook state). */
long native_sys(struct frame *f);
long native_block(struct frame *f);
/* The same for an event loop, which goes on as an ordinary kernel thread, at no more cost than natively, until it needs the scheduler
 * (hook_enter): the kernel is fair to it, and what it does in between keeps nobody from a proc. From hook == 0. */
long native_wait(struct frame *f);
long native_block_in_hook(struct frame *f);
/* As native_block_in_hook, unless too many workers stand in the kernel (sched.h, block_admit): then false. `again`: see there. */
bool native_block_admitted(struct frame *f, bool again, long *result);
/* What a call of sys_intr's that ended with r answers: EINTR becomes ERESTART*, EPIPE brings SIGPIPE. */
long native_settle(struct frame *f, long r);
/* signal(7): does this call, when interrupted, start again after a handler with SA_RESTART? */
bool call_restarts(long nr);

/* ---- floating point and vector state (thread.c, switch.S) ---- */
extern int vec_kind;         /* how it is saved: 0 xgetbv(1) and xsavec, 1 xsave, 2 fxsave */
extern int vec_pku;          /* 1: the kernel has protection keys on */
extern uint32_t vec_pkru_at; /* in an XSAVE area of the standard form */
/* What a signal's frame holds, and its size; where there are tiles (AMX) in use. */
extern struct vec_frame {
    uint64_t components; /* as in XCR0 */
    uint32_t size;
} vec_frame, vec_frame_tiles;

/* ---- memory of the program (switch.S): 0 or -EFAULT ---- */
long uaccess_copy(void *dst, const void *src, size_t n);
long uaccess_load32(const uint32_t *p, uint32_t *out);
long uaccess_cas32(uint32_t *p, uint32_t expect, uint32_t v, uint32_t *seen);
long uaccess_probe_write(void *p);

struct timespec64 {
    int64_t sec, nsec;
};

/* ---- where a frame came from ---- */
static inline uint64_t frame_rsp(const struct frame *f)
{
    return (uint64_t)f + FRAME_ABOVE + 128;
}
uint64_t frame_resume(const struct frame *f);  /* where the program goes on */
uint64_t frame_restart(const struct frame *f); /* where it makes the call again (rax = nr) */
_Noreturn void frame_jump(const struct frame *f);

/* ---- CPU time (cputime.c) ---- */
/* A CPU clock of one thread of ours? Then *u is that user thread, or NULL if it is gone. */
bool cputime_clock(int id, struct uthread **u);
bool cputime_is_thread_clock(int id);
long cputime_nanosleep(struct frame *f);

/* ---- what is of one kernel thread (wire.c) ---- */
bool wire_prctl(int op); /* does it set such a thing? */
int wire_clock(int id);  /* for a timer: a thread's clock as the kernel has it; wires the thread. Not in a hook */

/* ---- parts ---- */
int uthreads_init(uint64_t xsave_stride);
void emul_worker_init(struct worker *w); /* on a new worker: signal stack, mask */
uint64_t emul_sigstack_size(void);

/* The calling thread becomes user thread 1; `mask` is its signal mask (the kernel blocks all now). */
int thread_activate(uint64_t mask);
void thread_name(struct uthread *u, const char *name);
void thread_set_name(struct uthread *u, const char *name); /* main: the process's as well. Not in a hook */
void thread_name_refresh(struct uthread *u); /* main: others name it by way of /proc */
long procfs_comm_write(struct frame *f);
long procfs_enoent(struct frame *f); /* a native call answered so; the result to give. Not in a hook */

void futex_init(void);
/* Wake up to n waiters on `addr` (private or ctid). hook state, g0, or any kernel thread. */
int futex_wake_addr(uint32_t *addr, int n, uint32_t bitset);
void futex_exit_robust(struct uthread *u); /* g0: walk the robust list of the ended u */
/* Robust mutexes that other processes share (futex.c, the executor). The process is about to end, by exit_group or a fatal signal: signal-safe.
 * The program makes such a mutex: at any time. It has become active, or an exec failed; it is about to exec. */
void futex_process_ends(void);
void futex_robust_shared(void);
void futex_guard(void);
void futex_exec_begin(void);
/* A wait on a process-shared futex (futexd.c), until `deadline`; the call is f. hook == 0. */
long futex_wait_shared(struct frame *f, int64_t deadline);
void futexd_reset(void);    /* in a fork child */
long foreign_dispatch(struct frame *f); /* entry.S: a futex call of a kernel thread that is not ours */

void signal_traps_fail(void); /* before activation, all blocked: what seccomp answers by SIGSYS fails with ENOSYS */
void signal_traps_back(void); /* until here; once is enough */
extern int32_t sigd_tid; /* of the kernel thread that takes signals; it has the affinity, policy and priority of all */
int signal_activate(struct uthread *u, uint64_t mask); /* read actions, install ours, start sigd */
void signal_mask_start(struct uthread *u, uint64_t mask); /* of a new user thread */
void signal_recheck_self(void); /* have the next way out of a hook look for signals */
/* In a fork child: actions, mask and alternate stack as the program has them. */
void signal_child(const struct uthread *u);
/* A mask for the length of one call; sigsuspend(2), ppoll(2). A handler that runs takes the saved one over. */
void signal_mask_push(struct uthread *u, uint64_t set);
void signal_mask_pop(struct uthread *u);
/* The same for a call that is given the address of its mask, 0 for none, and the mask's size: 0 or -errno; and after it, r what it ends
 * with: a handler that ends the call runs before the mask is put back. From hook == 0. */
long signal_mask_begin(uint64_t set_at, uint64_t size);
long signal_mask_end(uint64_t set_at, long r);
void signal_post_thread(struct uthread *u, int sig, const void *info); /* SIGPIPE to oneself */
void signal_raise_self(int sig);
uint64_t signal_exec_begin(struct uthread *u); /* before execve(2); and if it came back, with what it returned. Not in a hook */
void signal_exec_failed(struct uthread *u, uint64_t own);
/* Act on sig, which stops by default, as a terminal has it done to who is in the background. 0: the process was stopped, if it can be; -ERESTARTSYS: the
 * caller has a handler to run; -EINVAL: it blocks or ignores it. From hook == 0. */
long signal_stop(int sig);
void signal_child_waited(void); /* wait4(2) and its kin told of a child: SIGCHLD came before. From hook == 0 */
void signal_move(struct uthread *u); /* it was wired by the caller: have it go to its home soon. Any worker */
void signal_uthread_exit(struct uthread *u);
int signal_mask_native(uint64_t mask); /* set the kernel mask of this kernel thread */
extern uint64_t worker_mask; /* what workers block in the kernel */
enum { POKE_SIGNAL = 33 };

int stack_activate(void);
void stack_reset(void);
void stack_note_exit(struct uthread *u);
void stack_trim(void); /* once a second: give long unused memory back */

void fd_reset(void);
/* Around a fork: no ghost comes or goes. The child calls fd_reset in place of fd_fork_done. hook == 0. */
void fd_fork_begins(void);
void fd_fork_done(void);
int fd_activate(void);
void fd_share_all(void); /* a child is about to know all our descriptions */

void netpoll_reset(void);

int handoff_reactivate(void); /* a dormant (forked) process makes a thread again */
void process_vforked(struct worker *w);
void process_in_child(const struct uthread *u); /* of the one that forked. On its stack */
long process_clone(struct frame *f, uint64_t flags, bool own_stack);

#endif
