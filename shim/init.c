/* Dormant, activation, and the symbols that we interpose.
 *
 * Activation, in the first pthread_create, in ordinary user code of what is then (almost always) the only thread. Each
 * step can be undone until the one marked (*); a failure leaves the process native, with a reason.
 *
 *   1 look        CPU (FSGSBASE), kernel (membarrier), other threads, MATCH       nothing changed
 *   2 plan        intercept_scan: sites, windows, stubs, those of the vDSO too    memory only
 *   3 page        statistics, clock                                               a file
 *   4 build       procs, worker 0, tables, poller                                 memory, two descriptors
 *   5 patch       intercept_apply: the stubs pass everything while GS is 0        text; reverted on failure
 *   6 signals     mask, actions, sigd                                             (*)
 *   7 thread 1    rseq and tid address of the kernel thread let go, GS set: hooks are live
 *   8 sysmon is due, and starts once there is another thread
 *
 * A fork child is dormant again, its text patched already: it begins at 1 and skips 2 and 5.
 */
#define _GNU_SOURCE
#include "arch/x86_64/bases.h"
#include "base/arena.h"
#include "base/base.h"
#include "base/sys.h"
#include "emul/emul.h"
#include "emul/fd.h"
#include "intercept/intercept.h"
#include "options.h"
#include "sched/cpus.h"
#include "sched/internal.h"
#include "stats/stats.h"

#undef EPERM
#undef ESRCH
#undef EINTR
#undef EBADF
#undef ECHILD
#undef EAGAIN
#undef ENOMEM
#undef EFAULT
#undef EINVAL
#undef EPIPE
#undef EDEADLK
#undef ENOSYS
#undef ENOTSOCK
#undef EOPNOTSUPP
#undef EISCONN
#undef ENOTCONN
#undef ETIMEDOUT
#undef EALREADY
#undef EINPROGRESS
#undef P
#include <errno.h>
#include <dlfcn.h>
#include <fnmatch.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>
#include <unistd.h>
#undef P
#define P(x) ((long)(uintptr_t)(x))

void handoff_entry(void);
void handoff_vdso_entry(void);

static bool loaded;
static bool enabled;
static bool patched;
static bool tried;
static char why_not[256];
static int procs_asked;
static uint32_t procs_most; /* that there may ever be in use */
/* While new objects are searched and patched. Recursive: a handler may interrupt that, and fork. */
static pthread_mutex_t objects_lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

/* ---- activation ---- */

/* Other threads of the process now. */
static int other_threads(void)
{
    char buf[2048];
    int n = 0;
    if (stats_threads() == 1)
        return 0;
    long fd = sys4(__NR_openat, -100, P("/proc/self/task"), 0200000 | 02000000, 0);
    if (fd < 0)
        return 0;
    for (;;) {
        long r = sys3(__NR_getdents64, fd, P(buf), sizeof buf);
        if (r <= 0)
            break;
        for (long at = 0; at < r;) {
            unsigned short len;
            memcpy(&len, buf + at + 16, 2);
            n += buf[at + 19] != '.';
            at += len;
        }
    }
    sys1(__NR_close, fd);
    return n - 1;
}

static int want_site(int nr, const char *object, void *context)
{
    (void)object;
    (void)context;
    return nr >= 0 && emul_handler_of((uint64_t)nr) ? INTERCEPT_PATCH : INTERCEPT_NATIVE;
}

/* The vDSO asks the kernel for CPU clocks, by an instruction of its own (emul/cputime.c). Where it cannot be written to
 * (a kernel that seals it), CLOCK_THREAD_CPUTIME_ID stays the worker's. */
static int want_cpu_clocks(int nr, const char *object, void *context)
{
    (void)object;
    (void)context;
    return nr == __NR_clock_gettime || nr == __NR_clock_getres ? INTERCEPT_PATCH : INTERCEPT_NATIVE;
}

/* To look a symbol up takes 40 us in a new process: only when it is wanted. */
static void *real_dlopen(const char *file, int mode)
{
    static void *(*real)(const char *, int);
    if (!real)
        real = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");
    return real(file, mode);
}

static struct intercept_config intercept_config(bool others)
{
    struct intercept_config c = {.entry = (uintptr_t)handoff_entry, .want = want_site, .known = known_objects, .others = others,
                                 .dlopen = real_dlopen};
    return c;
}

/* What we call once there are threads, in a form that must fail: a filter that refuses it has to show now, when we can
 * still stay out. An answer that only the kernel itself gives means that the call came through. */
static const char *refused_call(void)
{
    static const uint64_t zeros[16], bad[3] = {0, ~0ull /* the flags */, 0};
    const struct {
        const char *name;
        long nr, a, b, c, d;
    } calls[] = { /* No bad addresses: for the kernel to find out about one takes it microseconds. */
        {"clone", __NR_clone, 0x10000 /* CLONE_THREAD alone */, 0, 0, 0},
        {"futex", __NR_futex, 1 /* not aligned */, 129 /* FUTEX_WAKE_PRIVATE */, 0, 0},
        {"epoll_create1", __NR_epoll_create1, -1, 0, 0, 0},
        {"epoll_ctl", __NR_epoll_ctl, -1, 2 /* EPOLL_CTL_DEL */, -1, 0},
        {"epoll_pwait", __NR_epoll_pwait, -1, 0, 0, 0},
        {"eventfd2", __NR_eventfd2, 0, -1, 0, 0},
        {"tgkill", __NR_tgkill, 0, 0, 0, 0},
        {"rt_sigtimedwait", __NR_rt_sigtimedwait, 0, 0, 0, 0},
        {"rt_tgsigqueueinfo", __NR_rt_tgsigqueueinfo, 0, 0, 0, P(zeros)},
        {"sigaltstack", __NR_sigaltstack, P(bad), 0, 0, 0},
        {"getsockopt", __NR_getsockopt, -1, 0, 0, 0},
        {"recvfrom", __NR_recvfrom, -1, 0, 0, 0},
        {"poll", __NR_poll, P(zeros), -1, 0, 0},
        {"fcntl", __NR_fcntl, -1, 1 /* F_GETFD */, 0, 0},
        {"ioctl", __NR_ioctl, -1, 0, 0, 0},
        {"fstat", __NR_fstat, -1, 0, 0, 0},
        {"prctl", __NR_prctl, 1 /* PR_SET_PDEATHSIG */, -1, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
        long r = -sys4(calls[i].nr, calls[i].a, calls[i].b, calls[i].c, calls[i].d);
        if (r != 22 /* EINVAL */ && r != 9 /* EBADF */ && r != 14 /* EFAULT */)
            return calls[i].name;
    }
    /* There is no form of this that fails: once more what it is. */
    long address = 0;
    if (sys2(__NR_prctl, 40 /* PR_GET_TID_ADDRESS */, P(&address)) == 0 && sys1(__NR_set_tid_address, address) < 0)
        return "set_tid_address";
    return NULL;
}

/* A seccomp filter may kill who makes a call that it forbids. So where there is one a child tries them, and others that we make anyway: true, it
 * was killed. It sends no SIGCHLD, and nobody but us waits for such a child. (handoff check tries the same: tools/inspect_kernel.c.) */
static bool calls_kill(void)
{
    enum { WALL = 0x40000000, NO_CORE = 4 /* RLIMIT_CORE */ };
    static const struct {
        long nr, a, b, c;
    } calls[] = {
        {__NR_membarrier, 0 /* QUERY */, 0, 0}, {__NR_getpid, 0, 0, 0},        {__NR_gettid, 0, 0, 0},
        {__NR_epoll_wait, -1, 0, 0},            {__NR_epoll_pwait2, -1, 0, 0}, {__NR_sched_yield, 0, 0, 0},
        {__NR_sched_getaffinity, 0, 0, 0},      {__NR_mmap, 0, 0, 0},          {__NR_munmap, 0, 0, 0},
        {__NR_mprotect, 0, 0, 0},               {__NR_madvise, 0, 0, 4},       {__NR_rt_sigprocmask, 99, 0, 0},
        {__NR_rt_sigaction, 0, 0, 0},           {__NR_openat, -1, 1, 0},       {__NR_readlink, 1, 1, 1},
        {__NR_newfstatat, -1, 1, 0},            {__NR_lstat, 1, 1, 0},         {__NR_mkdir, 1, 0, 0},
        {__NR_ftruncate, -1, 0, 0},             {__NR_getdents64, -1, 0, 0},
    };
    if (sys2(__NR_prctl, 21 /* PR_GET_SECCOMP */, 0) <= 0)
        return false;
    long child = sys5(__NR_clone, 0, 0, 0, 0, 0);
    if (child == 0) {
        uint64_t none[2] = {0, 0};
        sys4(__NR_prlimit64, 0, NO_CORE, P(none), 0);
        for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
            sys3(calls[i].nr, calls[i].a, calls[i].b, calls[i].c);
        refused_call();
        bases_try(options.debug.arch_prctl);
        sys1(__NR_exit_group, 0);
    }
    int status = 0; /* every signal is blocked: nothing interrupts us */
    return child > 0 && sys4(__NR_wait4, child, P(&status), WALL, 0) == child && (status & 0x7f) != 0;
}

/* ld: our code lies between. */
extern __attribute__((visibility("hidden"))) char __ehdr_start[], etext[];

#define SPACE_LEAST (2ul << 30)

/* Resolved by ld.so: a dlsym takes 20 us in a new process, and one that finds nothing makes an error message first. */
extern __attribute__((weak, visibility("default"))) void __asan_init(void), __tsan_init(void), __msan_init(void);
extern __attribute__((weak, visibility("default"))) const ptrdiff_t __rseq_offset; /* glibc 2.35 */
extern __attribute__((weak, visibility("default"))) const unsigned int __rseq_size;

static bool look(void)
{
    uint64_t gs = 1;
    const char *why;
    if (!bases_probe(options.debug.arch_prctl, &why)) {
        snprintf(why_not, sizeof why_not, "%s", why);
        return false;
    }
    __asm__ volatile("rdgsbase %0" : "=r"(gs));
    if (gs) {
        snprintf(why_not, sizeof why_not, "the program uses the GS base itself");
        return false;
    }
    if (sys3(__NR_membarrier, 16 /* REGISTER_PRIVATE_EXPEDITED */, 0, 0) < 0) {
        snprintf(why_not, sizeof why_not, "membarrier(2) is not to be had (Linux 4.14 and later; seccomp?)");
        return false;
    }
    const char *call = refused_call();
    if (call) {
        snprintf(why_not, sizeof why_not, "the system call %s is refused (seccomp?)", call);
        return false;
    }
    /* The tables are large and hardly touched; what is mapped of them when one does not fit would be missing to the program. */
    uint64_t space[2] = {~0ull, ~0ull};
    sys4(__NR_prlimit64, 0, 9 /* RLIMIT_AS */, 0, P(space));
    if (space[0] < SPACE_LEAST) {
        snprintf(why_not, sizeof why_not, "the address space is limited (ulimit -v) to %lu MB: handoff's tables need %lu", (unsigned long)(space[0] >> 20),
                 (unsigned long)(SPACE_LEAST >> 20));
        return false;
    }
    int others = other_threads();
    if (others > 0) {
        snprintf(why_not, sizeof why_not, "the process already has %d other thread(s) that were not made by pthread_create",
                 others);
        return false;
    }
    const char *sanitizer = __asan_init ? "__asan_init" : __tsan_init ? "__tsan_init" : __msan_init ? "__msan_init" : NULL;
    if (sanitizer) {
        snprintf(why_not, sizeof why_not, "the program is built with a sanitizer (%s)", sanitizer);
        return false;
    }
    const char *preload = getenv("LD_PRELOAD");
    if (preload && strstr(preload, "vgpreload")) {
        snprintf(why_not, sizeof why_not, "the program runs under valgrind");
        return false;
    }
    return true;
}

/* The kernel thread of main becomes worker 0: what the kernel keeps of the old main thread must go, for it would
 * go on writing there whoever runs on the worker. Not its list of robust mutexes, which the kernel looks at once, when the process is
 * gone: this thread's id is the main thread's, so what main holds is given back then (emul/thread.c). */
static void let_go(void)
{
    static int dummy_tid;
    if (&__rseq_offset && &__rseq_size && __rseq_size) {
        char *area = (char *)__builtin_thread_pointer() + __rseq_offset;
        unsigned sizes[] = {32, __rseq_size, (__rseq_size + 31) & ~31u};
        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
            if (sys4(__NR_rseq, P(area), sizes[i], 1 /* UNREGISTER */, 0x53053053) == 0) {
                ((volatile int *)area)[1] = -1; /* cpu_id: uninitialised */
                ((volatile int *)area)[0] = 0;
                break;
            }
    }
    sys1(__NR_set_tid_address, P(&dummy_tid));
}

static void refuse(const char *fmt, const char *detail, const char *error)
{
    if (!why_not[0])
        snprintf(why_not, sizeof why_not, fmt, detail, error);
    report(LOG_INFO, "staying native: %s", why_not);
    if (!stats)
        stats_init(1, 1, 1);
    if (stats) {
        snprintf(stats->reason, sizeof stats->reason, "%s", why_not);
        stats->state = STATS_REFUSED;
    }
}

/* Sysmon, once a second: no libc. */
static void second(void)
{
    static uint32_t count;
    stats_fold();
    stack_trim();
    if (!procs_asked && ++count % 4 == 0) {
        uint32_t n = cpus_usable();
        procs_wanted(n < procs_most ? n : procs_most);
    }
}

/* What all processes have to be ready for activation. False, with why_not, if it cannot be had. */
static bool plan_all(const struct intercept_known *known, struct intercept_plan **plan, struct intercept_report *rep)
{
    struct intercept_config c = intercept_config(false);
    c.known = known;
    c.vdso_entry = (uintptr_t)handoff_vdso_entry;
    c.want_vdso = want_cpu_clocks;
    const int r = intercept_scan(&c, plan, rep);
    if (r < 0 || rep->critical)
        refuse("cannot intercept system calls: %s (%s)", rep->reason, error_name(-(long)r));
    else if (rep->sets_gs[0])
        refuse("%s sets the GS base (wrgsbase), which handoff needs", rep->sets_gs, "");
    else
        return true;
    intercept_undo_plan(*plan);
    return false;
}

/* 0, or -1 with why_not. */
static int activate_masked(uint64_t mask);
static int activate(void)
{
    /* No handler may run over text that is being patched, nor see half of what follows. */
    uint64_t all = ~0ull, mask = 0;
    sys4(__NR_rt_sigprocmask, 2, P(&all), P(&mask), 8);
    signal_traps_fail();
    int active = activate_masked(mask);
    if (active < 0) {
        signal_traps_back();
        sys4(__NR_rt_sigprocmask, 2, P(&mask), 0, 8);
    } else
        signal_recheck_self();
    return active;
}

/* All signals blocked, but for SIGSYS of our own calls; `mask` is the thread's own. */
static int activate_masked(uint64_t mask)
{
    struct intercept_plan *plan = NULL;
    struct intercept_report rep = {0};
    int64_t start = clock_ns(1);
    const char *step = "";
    int r = 0;

    clock_begin();
    why_not[0] = 0;
    if (calls_kill()) { /* no page either, that would tell of it: to make one takes such calls */
        report(LOG_INFO, "staying native: a seccomp filter kills for a system call that handoff needs (handoff check tells which)");
        return -1;
    }
    populate_read(__ehdr_start, (size_t)(etext - __ehdr_start)); /* we are going to run most of it */
    uint32_t cpus = cpus_usable(), possible = cpus_possible();
    options.procs = procs_asked ? procs_asked : (int)(cpus < PROCS_MAX ? cpus : PROCS_MAX);
    procs_most = procs_asked || possible < (uint32_t)options.procs ? (uint32_t)options.procs
                 : possible < PROCS_MAX                             ? possible
                                                                    : PROCS_MAX;
    if (!look()) {
        refuse("%s", "", "");
        return -1;
    }
    const uint32_t workers_most = (uint32_t)options.max_workers + 1 + WORKERS_BEYOND;
    arena_open(sched.uthreads_end ? 0 : UTHREADS_SIZE, stats_size(procs_most, workers_most, UTHREADS_MAX));
    if (!patched) {
        if (!plan_all(known_objects, &plan, &rep))
            return -1;
    }
    int64_t scanned = clock_ns(1), built;
    if ((r = stats_init(procs_most, workers_most, UTHREADS_MAX)) < 0)
        step = "statistics";
    if (!r)
        clock_init();
    if (!r && (r = sched_init(procs_most)) < 0)
        step = "scheduler";
    if (!r) {
        futex_init();
        if ((r = stack_activate()) < 0)
            step = "stacks";
    }
    if (!r && (r = fd_activate()) < 0)
        step = "poller";
    built = clock_ns(1);
    if (!r && plan) {
        r = intercept_apply(plan, &rep);
        if (r == -ESTALE) { /* libc's build id is one that we know, and its text another */
            intercept_undo_plan(plan);
            if (!plan_all(NULL, &plan, &rep))
                return -1;
            r = intercept_apply(plan, &rep);
        }
        if (r < 0)
            step = "patching";
        else
            patched = true;
        if (patched && rep.vdso[0])
            report(LOG_INFO, "the vDSO stays as it is: %s", rep.vdso);
    }
    if (r < 0) {
        if (plan && !patched)
            intercept_undo_plan(plan);
        refuse("%s: %s", step, error_name(-(long)r));
        return -1;
    }
    if ((r = thread_activate(mask)) < 0) {
        refuse("%s: %s", "thread 1", error_name(-(long)r));
        return -1;
    }
    let_go();
    stats->sites_total = rep.sites;
    stats->sites_patched = rep.patched;
    stats->sites_native = rep.native;
    stats->objects = rep.objects;
    sched_up.tick = second;
    store_seq(&sched_active, 1u);
    bases_worker(&sched.workers[0], sched.workers[0].cur->fsbase);
    store_seq(&gs_doubtful, 0u);
    sched_start();
    futex_guard();
    int64_t end = clock_ns(1);
    stats->activated_ns = (uint64_t)end;
    stats->activation_ns = (uint64_t)(end - start);
    stats->state = STATS_ACTIVE;
    report(LOG_DEBUG, "activation: sites %ld us, tables %ld us, patching and thread 1 %ld us", (scanned - start) / 1000,
           (built - scanned) / 1000, (end - built) / 1000);
    static const char *const bases[] = {[BASES_KEPT] = "", [BASES_RELOAD] = ", the kernel does not keep FS: reloaded after its switches",
                                        [BASES_CALL] = ", FS is switched by arch_prctl"};
    report(LOG_INFO, "active: %d procs, %u of %u sites in %u objects, %ld us%s%s%s", options.procs, rep.patched, rep.sites,
           rep.objects, (long)(end - start) / 1000, bases[bases_kind], rep.reason[0] ? "; native: " : "", rep.reason);
    return 0;
}

/* fork waits for an object that another thread's dlopen brought in: the child would have its text half patched,
 * and the lock held by nobody. What holds the lock takes none that a fork handler of the program may hold. */
static void before_fork(void)
{
    pthread_mutex_lock(&objects_lock);
}
static void in_parent(void)
{
    pthread_mutex_unlock(&objects_lock);
}

/* In a fork child the parent's failure may not hold, and its success does not. */
static void in_child(void)
{
    tried = why_not[0] != 0;
    objects_lock = (pthread_mutex_t)PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
}

static void activate_once(void)
{
    if (load_relaxed(&sched_active) || tried)
        return;
    tried = true;
    activate();
}

/* ---- loading ---- */

/* crtbeginS.o would have it (meson.build). */
__attribute__((visibility("hidden"))) void *__dso_handle = &__dso_handle;
/* What pthread_atfork calls, which is a function that is linked into each object, to a page of its own here. */
int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *dso);

static void complain(const char *line)
{
    report(LOG_WARN, "%s", line);
}

static const char *program_name(char *buf, size_t size)
{
    long n = sys3(__NR_readlink, P("/proc/self/exe"), P(buf), (long)size - 1);
    buf[n > 0 ? n : 0] = 0;
    const char *slash = strrchr(buf, '/');
    return slash ? slash + 1 : buf;
}

static bool matches(const char *patterns)
{
    char exe[512], one[256];
    const char *name = program_name(exe, sizeof exe);
    for (const char *p = patterns; *p;) {
        size_t n = strcspn(p, ",");
        snprintf(one, sizeof one, "%.*s", (int)(n < sizeof one ? n : sizeof one - 1), p);
        if (fnmatch(one, name, 0) == 0)
            return true;
        p += n + (p[n] == ',');
    }
    return false;
}

/* ld.so runs constructors in an order in which those of libraries that we do not need may come before ours: a library
 * that makes threads in its own (OpenBLAS does) is then served before it. The options are parsed by whoever comes first;
 * libc, which sets environ, is initialised before all that depends on it. */
__attribute__((constructor)) static void load(void)
{
    if (loaded)
        return;
    loaded = true;
    int bad = options_parse(environ, complain);
    if (bad && options.strict)
        _exit(125);
    procs_asked = options.procs;
    enabled = options.enable && (!options.match[0] || matches(options.match));
    if (options.debug.dormant)
        report(LOG_ERROR, "loaded, %s", enabled ? "dormant" : "disabled");
    if (enabled) /* before any of the program's: then ours are the last to run before a fork, and wait for nobody who waits for one of those */
        __register_atfork(before_fork, in_parent, in_child, __dso_handle);
}

/* The page of a process that stayed native is its own to remove: it makes no call that is seen. (_exit(2) leaves it for `handoff ps`.) */
__attribute__((destructor)) static void unload(void)
{
    if (tried && stats && stats->state == STATS_REFUSED && stats->pid == (int32_t)sys0(__NR_getpid))
        stats_remove();
}

/* ---- interposed symbols ---- */

static struct uthread *current(void)
{
    struct worker *w;
    if (!load_relaxed(&sched_active))
        return NULL;
    w = worker_or_null();
    return w ? w->cur : NULL;
}

export int pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (!real)
        real = (int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))dlsym(RTLD_NEXT, "pthread_create");
    load();
    if (enabled)
        activate_once();
    struct uthread *u = current();
    if (u)
        u->in_create++;
    int r = real(t, attr, fn, arg);
    if (u) {
        u->in_create--;
        sched_started();
    }
    return r;
}

/* Robust, and for other processes as well: they are to get it back even if we are killed (emul/futex.c, the executor). */
export int pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attr)
{
    static int (*real)(pthread_mutex_t *, const pthread_mutexattr_t *);
    int robust = 0, shared = 0;
    if (!real)
        real = (int (*)(pthread_mutex_t *, const pthread_mutexattr_t *))dlsym(RTLD_NEXT, "pthread_mutex_init");
    if (unlikely(attr) && pthread_mutexattr_getrobust(attr, &robust) == 0 && robust == PTHREAD_MUTEX_ROBUST &&
        pthread_mutexattr_getpshared(attr, &shared) == 0 && shared == PTHREAD_PROCESS_SHARED)
        futex_robust_shared();
    return real(mutex, attr);
}

export int thrd_create(thrd_t *t, thrd_start_t fn, void *arg)
{
    static int (*real)(thrd_t *, thrd_start_t, void *);
    if (!real)
        real = (int (*)(thrd_t *, thrd_start_t, void *))dlsym(RTLD_NEXT, "thrd_create");
    load();
    if (enabled)
        activate_once();
    struct uthread *u = current();
    if (u)
        u->in_create++;
    int r = real(t, fn, arg);
    if (u) {
        u->in_create--;
        sched_started();
    }
    return r;
}

/* What dlopen brought in: its system calls are to be ours too. */
static void look_at_new_objects(bool threads_made)
{
    struct intercept_config c = intercept_config(threads_made);
    struct intercept_plan *plan = NULL;
    struct intercept_report rep = {0};
    pthread_mutex_lock(&objects_lock);
    if (intercept_scan(&c, &plan, &rep) == 0 && plan && intercept_apply(plan, &rep) == 0) {
        stats->sites_total += rep.sites;
        stats->sites_patched += rep.patched;
        stats->sites_native += rep.native;
        stats->objects += rep.objects;
    } else
        intercept_undo_plan(plan);
    if (rep.sets_gs[0])
        report(LOG_WARN, "%s may set the GS base (wrgsbase), which handoff needs: if this process ends with signal 11, run it with "
                         "HANDOFF_ENABLE=0", rep.sets_gs);
    pthread_mutex_unlock(&objects_lock);
}

/* ld.so looks for a bare name along the RUNPATH of the object that calls dlopen: which is us now. Do
 * for the real caller what it would have done. */
static bool along_runpath(const char *file, void *caller, char *out, size_t size)
{
    Dl_info info;
    struct link_map *map = NULL;
    const char *strtab = NULL, *path = NULL;
    size_t off = 0;
    bool have = false;
    if (!dladdr1(caller, &info, (void **)&map, RTLD_DL_LINKMAP) || !map || !map->l_ld)
        return false;
    for (const ElfW(Dyn) *d = map->l_ld; d->d_tag; d++) {
        if (d->d_tag == DT_STRTAB)
            strtab = (const char *)d->d_un.d_ptr;
        if (d->d_tag == DT_RUNPATH || d->d_tag == DT_RPATH) {
            off = d->d_un.d_val;
            have = true;
        }
    }
    if (!have || !strtab)
        return false;
    char origin[512];
    snprintf(origin, sizeof origin, "%s", map->l_name && map->l_name[0] ? map->l_name : "");
    if (!origin[0]) {
        ssize_t n = readlink("/proc/self/exe", origin, sizeof origin - 1);
        origin[n > 0 ? n : 0] = 0;
    }
    char *slash = strrchr(origin, '/');
    if (slash)
        *slash = 0;
    for (path = strtab + off; *path;) {
        size_t n = strcspn(path, ":");
        if (n >= 7 && !strncmp(path, "$ORIGIN", 7))
            snprintf(out, size, "%s%.*s/%s", origin, (int)n - 7, path + 7, file);
        else
            snprintf(out, size, "%.*s/%s", (int)n, path, file);
        if (access(out, R_OK) == 0)
            return true;
        path += n + (path[n] == ':');
    }
    return false;
}

export void *dlopen(const char *file, int mode)
{
    char path[1024];
    if (file && file[0] && !strchr(file, '/') && along_runpath(file, __builtin_return_address(0), path, sizeof path))
        file = path;
    uint64_t before = current() ? stats->uthreads_live : 0;
    void *h = real_dlopen(file, mode);
    if (h && file && current())
        look_at_new_objects(stats->uthreads_live != before);
    return h;
}
