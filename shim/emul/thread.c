/* Threads: clone with CLONE_THREAD makes a user thread, exit ends one, and the small calls by which NPTL
 * tells the kernel about a thread. Facts: clone(2), set_tid_address(2), get_robust_list(2), kernel/fork.c
 * (mm_release: robust list, then ctid, then the wake).
 */
#include "emul.h"

#include "../arch/x86_64/bases.h"
#include "../sched/internal.h"

#define CSIGNAL              0xffu
#define CLONE_VM             0x00000100u
#define CLONE_VFORK          0x00004000u
#define CLONE_THREAD         0x00010000u
#define CLONE_SETTLS         0x00080000u
#define CLONE_PARENT_SETTID  0x00100000u
#define CLONE_CHILD_CLEARTID 0x00200000u
#define CLONE_CHILD_SETTID   0x01000000u

int vec_kind, vec_lean, vec_pku;
enum { TILE_CONFIG = 1 << 17, TILE_DATA = 1 << 18 };
uint32_t vec_pkru_at; /* in an area of XSAVE's standard form */
struct {
    uint8_t legacy[512];
    uint64_t xstate_bv, xcomp_bv, rest[6];
} vec_init_area __attribute__((aligned(64)));

void uthread_start(void);

struct clone_args64 {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
};

/* The first code a new user thread runs, on its own stack: f holds its registers. */
_Noreturn void uthread_begin(struct frame *f);
_Noreturn void uthread_begin(struct frame *f)
{
    hook_exit();
    frame_jump(f);
}

struct inherited { /* switch.S, .Lrest_new */
    uint32_t mxcsr;
    uint16_t fcw, fsw; /* the exceptions of the status word */
    uint32_t pkru, pad;
};
static struct inherited to_inherit(void)
{
    struct inherited e = {0};
    __asm__ volatile("stmxcsr %0; fnstcw %1; fnstsw %2" : "=m"(e.mxcsr), "=m"(e.fcw), "=m"(e.fsw));
    e.fsw &= 0x7f;
    if (vec_pku)
        __asm__ volatile("rdpkru" : "=a"(e.pkru) : "c"(0) : "rdx");
    return e;
}

static long thread_create(struct frame *f, const struct clone_args64 *a)
{
    struct uthread *self = uthread_self(), *u;
    uint64_t top = a->stack;
    if (!top)
        return -EINVAL;
    struct worker *home = NULL;
    if (unlikely(self->wired || chaos(16))) { /* it inherits what its creator was wired for */
        bool inherit = self->wired && wire_self() == 0;
        home = wire_worker(inherit);
    }
    hook_enter();
    u = uthread_alloc();
    if (!u) {
        hook_exit();
        if (home)
            wire_drop(home);
        return -EAGAIN;
    }
    /* Its stack, from above: the registers, and a context that leads to uthread_start, where rsp must be 8 mod 16. */
    struct {
        struct inherited inherited;
        uint64_t saved[6], ret;
        struct frame f;
    } start, *at = (void *)ALIGN_DOWN(top - 64 - sizeof start, 16);
    start.inherited = to_inherit();
    memset(start.saved, 0, sizeof start.saved);
    start.ret = (uint64_t)uthread_start;
    start.f = *f;
    start.f.rax = 0;
    start.f.rsp = top;
    start.f.rip = frame_resume(f);
    int32_t tid = u->tid;
    if (uaccess_copy(at, &start, sizeof start)) {
        uthread_free(u);
        hook_exit();
        if (home)
            wire_drop(home);
        return -EFAULT;
    }
    u->timer_slack = self->timer_slack;
    u->tainted = self->tainted;
    if (home)
        wire_new(u, home);
    u->rsp = (uint64_t)at;
    u->fsbase = a->flags & CLONE_SETTLS ? a->tls : self->fsbase;
    u->vec = VEC_NEW;
    signal_mask_start(u, self->sigmask);
    u->ctid = a->flags & CLONE_CHILD_CLEARTID ? (uint32_t *)a->child_tid : NULL;
    memcpy(u->pub->name, self->pub->name, sizeof u->pub->name);
    if (a->flags & CLONE_PARENT_SETTID)
        uaccess_copy((void *)a->parent_tid, &tid, sizeof tid);
    if (a->flags & CLONE_CHILD_SETTID)
        uaccess_copy((void *)a->child_tid, &tid, sizeof tid);
    COUNT(created);
    event(worker_self()->proc, EV_CREATE, tid);
    sched_ready(u);
    hook_exit();
    return tid;
}

long emul_clone(struct frame *f)
{
    struct clone_args64 a = {.flags = f->rdi & ~(uint64_t)CSIGNAL,
                             .exit_signal = f->rdi & CSIGNAL,
                             .stack = f->rsi,
                             .parent_tid = f->rdx,
                             .child_tid = f->r10,
                             .tls = f->r8};
    if (a.flags & CLONE_THREAD)
        return thread_create(f, &a);
    return process_clone(f, a.flags, a.stack != 0);
}

long emul_clone3(struct frame *f)
{
    struct clone_args64 a = {0};
    uint64_t size = f->rsi;
    if (size < 64 || size > PAGE_SIZE)
        return sys_intr(f); /* the kernel says what is wrong */
    if (uaccess_copy(&a, (void *)f->rdi, sizeof a))
        return -EFAULT;
    if (a.flags & CLONE_THREAD) {
        a.stack += a.stack ? a.stack_size : 0;
        return thread_create(f, &a);
    }
    return process_clone(f, a.flags, a.stack != 0);
}

/* On g0: u has left its stack for good. */
static void thread_ended(struct uthread *u, void *arg)
{
    (void)arg;
    uint32_t *ctid = u->ctid, zero = 0;
    futex_exit_robust(u);
    signal_uthread_exit(u);
    /* The moment that ctid is 0 the joiner may unmap the stack and glibc may reuse it: u itself is ours. Only then
     * is the tid let go: while ctid names it, a joiner's wait must find it (futex.c, is_ctid), or he would sleep in
     * the kernel, where nobody wakes him. */
    if (ctid && !uaccess_copy(ctid, &zero, sizeof zero))
        futex_wake_addr(ctid, 1, ~0u);
    if (u->tid == stats->pid) /* main keeps its slot: its tid must not be reused */
        store_relaxed(&u->pub->state, UTHREAD_EXITING);
    else
        uthread_free(u);
}

static void last_exit(void)
{
    sys1(__NR_exit_group, 0);
}

long emul_exit(struct frame *f)
{
    struct uthread *u = uthread_self();
    hook_enter();
    stack_note_exit(u);
    lock_take(&uthreads_lock);
    u->exiting = 1;
    bool last = true;
    for (struct uthread *o = uthreads_all; o && last; o = o->all_next)
        last = o->exiting;
    lock_drop(&uthreads_lock);
    if (last) { /* as the kernel: the process ends with the last thread's status */
        futex_exit_robust(u);
        stats_remove();
        sys1(__NR_exit_group, (long)(int)f->rdi);
        last_exit();
    }
    uthread_exit(thread_ended, NULL);
}

long emul_exit_group(struct frame *f)
{
    stats_remove();
    futex_process_ends();
    for (;;)
        sys1(__NR_exit_group, (long)f->rdi);
}

long emul_set_tid_address(struct frame *f)
{
    struct uthread *u = uthread_self();
    u->ctid = (uint32_t *)f->rdi;
    return u->tid;
}

long emul_set_robust_list(struct frame *f)
{
    struct uthread *u = uthread_self();
    if (f->rsi != 24)
        return -EINVAL;
    u->robust = (void *)f->rdi;
    u->robust_len = f->rsi;
    if (u->index == 0 && worker_self()->ktid == u->tid) /* main, on its old kernel thread: init.c, let_go */
        return sys_intr(f);
    return 0;
}

long emul_get_robust_list(struct frame *f)
{
    int tid = (int)f->rdi;
    lock_take(&uthreads_lock);
    struct uthread *u = tid ? uthread_by_tid(tid) : uthread_self();
    void *head = u ? u->robust : NULL;
    lock_drop(&uthreads_lock);
    if (!u)
        return tid >= TID_BASE ? -ESRCH : sys_intr(f);
    uint64_t len = 24;
    if (uaccess_copy((void *)f->rsi, &head, 8) || uaccess_copy((void *)f->rdx, &len, 8))
        return -EFAULT;
    return 0;
}

/* Restartable sequences cannot follow a user thread; but glibc aborts when a later thread is refused after
 * the first was not. It takes 0 for success, and cpu_id stays at "uninitialised". */
long emul_rseq(struct frame *f)
{
    (void)f;
    return 0;
}

long emul_gettid(struct frame *f)
{
    (void)f;
    return uthread_self()->tid;
}

void thread_name(struct uthread *u, const char *name)
{
    char c[16] = {0};
    for (int i = 0; i < 15 && name[i]; i++)
        c[i] = name[i];
    memcpy(u->pub->name, c, sizeof c);
}

long emul_prctl(struct frame *f)
{
    struct uthread *u = uthread_self();
    switch ((int)f->rdi) {
    case 15: { /* PR_SET_NAME */
        char name[16] = {0};
        for (int i = 0; i < 15; i++)
            if (uaccess_copy(&name[i], (void *)(f->rsi + (uint64_t)i), 1))
                return -EFAULT;
            else if (!name[i])
                break;
        thread_set_name(u, name);
        return 0;
    }
    case 16: /* PR_GET_NAME */
        if (u->tid == stats->pid)
            thread_name_refresh(u);
        return uaccess_copy((void *)f->rsi, u->pub->name, 16);
    case 40: /* PR_GET_TID_ADDRESS */
        return uaccess_copy((void *)f->rsi, &u->ctid, 8);
    case 29: /* PR_SET_TIMERSLACK: what workers wait with is ours to choose */
        u->timer_slack = (int64_t)f->rsi > 0 ? f->rsi : 0;
        return 0;
    case 30: /* PR_GET_TIMERSLACK */
        return u->timer_slack ? (long)u->timer_slack : TIMER_SLACK;
    }
    if ((int)f->rdi == 22 /* PR_SET_SECCOMP */)
        cputime_confined();
    return wire_prctl((int)f->rdi) ? emul_wired(f) : sys_intr(f);
}

long emul_arch_prctl(struct frame *f)
{
    uint64_t old;
    long r;
    switch ((int)f->rdi) {
    case 0x1002: /* ARCH_SET_FS */
        old = uthread_self()->fsbase;
        store_relaxed(&uthread_self()->fsbase, f->rsi); /* first: a fault in between writes what stands here */
        r = bases_set_fs(f->rsi);
        if (r)
            store_relaxed(&uthread_self()->fsbase, old);
        return r;
    case 0x1003: /* ARCH_GET_FS: the kernel might not know */
        return uaccess_copy((void *)f->rsi, &uthread_self()->fsbase, 8);
    case 0x1001: /* ARCH_SET_GS: ours */
        return -EPERM;
    case 0x1004: { /* ARCH_GET_GS */
        uint64_t zero = 0;
        return uaccess_copy((void *)f->rsi, &zero, 8);
    }
    case 0x1023: /* ARCH_REQ_XCOMP_PERM: it may have tiles from now on */
        store_relaxed(&vec_lean, 0);
    }
    return sys_intr(f);
}

/* ---- activation ---- */

static void cpuid(uint32_t leaf, uint32_t sub, uint32_t r[4])
{
    __asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "0"(leaf), "2"(sub));
}

struct vec_frame vec_frame = {0, 512}, vec_frame_tiles;

/* An XSAVE area of the standard form with these components of XCR0's. */
static struct vec_frame vec_frame_of(uint64_t components)
{
    struct vec_frame v = {components, 576};
    uint32_t r[4];
    for (uint32_t i = 2; i < 63; i++)
        if (components >> i & 1) {
            cpuid(13, i, r);
            if (r[0] + r[1] > v.size)
                v.size = r[0] + r[1];
        }
    return v;
}

/* May ctx_park leave out xgetbv(1) where all but SSE and x87's control and status is dead? Where the kernel has turned on nothing that switch.S
 * does not know, and nobody was permitted tiles: their instructions fault then. */
static void vec_lean_look(void)
{
    enum { KNOWN = 0x2e7 };
    uint32_t lo, hi;
    vec_lean = 0;
    if (vec_kind != 0)
        return;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    if (lo & TILE_DATA) {
        uint64_t permitted = ~0ull;
        if (sys2(__NR_arch_prctl, 0x1022 /* ARCH_GET_XCOMP_PERM */, P(&permitted)) == 0 && !(permitted & TILE_DATA))
            lo &= ~(uint32_t)(TILE_CONFIG | TILE_DATA);
    }
    vec_lean = !(lo & ~(uint32_t)KNOWN) && !hi;
}

static uint64_t vec_setup(void)
{
    uint32_t r[4], size = 512;
    vec_kind = 2;
    cpuid(1, 0, r);
    if (r[2] & (1u << 27)) { /* OSXSAVE */
        vec_kind = 1;
        cpuid(13, 0, r);
        size = r[1];
        uint32_t xlo, xhi;
        __asm__ volatile("xgetbv" : "=a"(xlo), "=d"(xhi) : "c"(0));
        vec_frame = vec_frame_tiles = (struct vec_frame){(uint64_t)xhi << 32 | xlo, size};
        if (xlo & TILE_DATA) /* else not: a guest may pay microseconds for each cpuid */
            vec_frame = vec_frame_of(vec_frame.components & ~(uint64_t)TILE_DATA);
        uint64_t all = (uint64_t)r[3] << 32 | r[0];
        cpuid(13, 1, r);
        if ((r[0] & 6) == 6) { /* XSAVEC and XGETBV(1) */
            uint32_t lo, hi;
            vec_kind = 0;
            size = r[1];
            __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
            vec_init_area.xcomp_bv = 1ull << 63 | (((uint64_t)hi << 32 | lo) & all);
        }
        cpuid(7, 0, r);
        vec_pku = r[2] >> 4 & 1; /* OSPKE */
        if (vec_pku) {
            cpuid(13, 9, r);
            vec_pkru_at = r[1];
        }
        vec_lean_look();
    }
    return size + 64;
}

int thread_activate(uint64_t mask)
{
    int r = uthreads_init(vec_setup());
    if (r)
        return r;
    struct uthread *u = uthread_alloc();
    if (!u || u->index != 0)
        return -ENOMEM;
    /* Thread 1 keeps the process's id. */
    u->tid = stats->pid;
    store_relaxed(&u->pub->tid, u->tid);
    uint64_t fs;
    __asm__ volatile("rdfsbase %0" : "=r"(fs));
    u->fsbase = fs;
    char name[16] = {0};
    sys2(__NR_prctl, 16, P(name));
    memcpy(u->pub->name, name, sizeof name);
    uint64_t head = 0, len = 0;
    sys3(__NR_get_robust_list, 0, P(&head), P(&len));
    u->robust = (void *)head;
    uint32_t *ctid = NULL;
    if (sys2(__NR_prctl, 40 /* PR_GET_TID_ADDRESS */, P(&ctid)) == 0)
        u->ctid = ctid;
    struct worker *w = &sched.workers[0];
    u->worker = w;
    w->cur = u;
    cputime_activate(w, u);
    store_relaxed(&u->pub->state, UTHREAD_RUNNING);
    store_relaxed(&u->pub->worker, 0);
    store_relaxed(&u->pub->since, tsc_now());
    return signal_activate(u, mask);
}
