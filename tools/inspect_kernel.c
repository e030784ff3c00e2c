/* What the kernel, the CPU, inherited limits and seccomp filters allow.
 *
 * Filters cannot be read, only felt: a forked child makes each call that the library will need in
 * a harmless form whose proper answer is known. Another answer, or death by SIGSYS, is a refusal.
 */
#include "inspect.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

/* Expected answers: an errno; 0 for any result that is no error; ANY: whatever comes back, if only
 * it does not kill. */
enum { ANY = -2 };
struct probe {
    const char *name;
    const char *why;
    long number;
    long args[6];
    int expected;
};

static uint32_t probe_word;

#define BAD_FD (-1)

/* clone must fail before it makes anything: CLONE_THREAD without CLONE_SIGHAND is EINVAL. */
static const struct probe probes[] = {
    {"clone", "to start workers", SYS_clone, {CLONE_THREAD}, EINVAL},
    {"futex", "to sleep and wake workers", SYS_futex, {(long)&probe_word, 129, 0}, 0},
    {"epoll_create1", "to wait for descriptors", SYS_epoll_create1, {-1}, EINVAL},
    {"epoll_ctl",
     "to wait for descriptors",
     SYS_epoll_ctl,
     {BAD_FD, 1, BAD_FD, (long)&probe_word},
     EBADF},
    {"epoll_wait",
     "to wait for descriptors",
     SYS_epoll_wait,
     {BAD_FD, (long)&probe_word, 1, 0},
     EBADF},
    {"epoll_pwait",
     "to wait for descriptors",
     SYS_epoll_pwait,
     {BAD_FD, (long)&probe_word, 1, 0, 0},
     EBADF},
    {"poll", "to look at descriptors", SYS_poll, {1, 1, 0}, EFAULT},
    {"fcntl", "to look at descriptors", SYS_fcntl, {BAD_FD, F_GETFD}, EBADF},
    {"ioctl", "to look at descriptors", SYS_ioctl, {BAD_FD}, EBADF},
    {"fstat", "to look at descriptors", SYS_fstat, {BAD_FD}, EBADF},
    {"getsockopt", "to look at descriptors", SYS_getsockopt, {BAD_FD}, EBADF},
    {"recvfrom", "to read from sockets", SYS_recvfrom, {BAD_FD}, EBADF},
    {"openat", "to look at itself", SYS_openat, {BAD_FD, (long)"handoff", 0}, EBADF},
    {"pread64", "to patch text", SYS_pread64, {BAD_FD, (long)&probe_word, 1, 0}, EBADF},
    {"pwrite64", "to patch text", SYS_pwrite64, {BAD_FD, (long)&probe_word, 1, 0}, EBADF},
    {"membarrier", "for barriers between workers", SYS_membarrier, {MEMBARRIER_CMD_QUERY}, 0},
    {"set_robust_list", "for worker start", SYS_set_robust_list, {0, -1}, EINVAL},
    {"set_tid_address", "for worker start", SYS_set_tid_address, {0}, 0},
    {"arch_prctl",
     "to switch thread pointers",
     SYS_arch_prctl,
     {0x1003 /* ARCH_GET_FS */, 1},
     EFAULT},
    {"rt_sigprocmask", "for signals", SYS_rt_sigprocmask, {99, 0, 0, 1}, EINVAL},
    {"sigaltstack", "for signals", SYS_sigaltstack, {0, 0}, 0},
    {"tgkill", "for signals", SYS_tgkill, {0, 0, 0}, EINVAL},
    {"rt_tgsigqueueinfo", "for signals", SYS_rt_tgsigqueueinfo, {0, 0, 0, 1}, EFAULT},
    {"rt_sigtimedwait", "for signals", SYS_rt_sigtimedwait, {0, 0, 0, 0}, EINVAL},
    {"prctl", "for names of threads", SYS_prctl, {PR_GET_NAME, 1}, EFAULT},
    {"gettid", "to know workers", SYS_gettid, {0}, 0},
    {"sched_getaffinity", "to count CPUs", SYS_sched_getaffinity, {0, 0, 0}, EINVAL},
    {"eventfd2", "to wake the poller", SYS_eventfd2, {0, -1}, EINVAL},
    {"mmap", "for stacks", SYS_mmap, {0, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0}, EINVAL},
    {"madvise", "for stacks", SYS_madvise, {0, 0, MADV_DONTNEED}, 0},
    /* As shim/init.c, calls_kill. */
    {"getpid", "for signals", SYS_getpid, {0}, ANY},
    {"epoll_pwait2", "to wait for descriptors", SYS_epoll_pwait2, {BAD_FD}, ANY},
    {"sched_yield", "to let others run", SYS_sched_yield, {0}, ANY},
    {"munmap", "for stacks", SYS_munmap, {0}, ANY},
    {"mprotect", "for stacks", SYS_mprotect, {0}, ANY},
    {"rt_sigaction", "for signals", SYS_rt_sigaction, {0}, ANY},
    {"readlink", "to look at itself", SYS_readlink, {1, 1, 1}, ANY},
    {"newfstatat", "to look at itself", SYS_newfstatat, {BAD_FD, 1}, ANY},
    {"getdents64", "to look at itself", SYS_getdents64, {BAD_FD}, ANY},
    {"lstat", "for statistics", SYS_lstat, {1, 1}, ANY},
    {"mkdir", "for statistics", SYS_mkdir, {1}, ANY},
    {"ftruncate", "for statistics", SYS_ftruncate, {BAD_FD}, ANY},
};

enum { PROBES = sizeof probes / sizeof probes[0], EXEC_PROBE = PROBES, ALL_PROBES };

/* Shared with the child. */
struct probe_results {
    volatile int at;                 /* the probe in progress */
    volatile int answer[ALL_PROBES]; /* errno, 0: success; -1: killed */
};

/* May memory become executable? The stubs and patched sites must (systemd's
 * MemoryDenyWriteExecute= and PR_SET_MDWE forbid it). */
static int probe_exec(void)
{
    long page = sysconf(_SC_PAGESIZE);
    void *p = mmap(NULL, (size_t)page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        return errno;
    *(volatile char *)p = (char)0xc3;
    return mprotect(p, (size_t)page, PROT_READ | PROT_EXEC) ? errno : 0;
}

static void run_probes(struct probe_results *results, int first)
{
    const struct rlimit none = {0, 0};

    setrlimit(RLIMIT_CORE, &none); /* a probe may be deadly */
    signal(SIGSYS, SIG_DFL);
    for (int i = first; i < ALL_PROBES; i++) {
        results->at = i;
        if (i == EXEC_PROBE) {
            results->answer[i] = probe_exec();
        } else {
            const struct probe *p = &probes[i];
            const long *a = p->args;

            errno = 0;
            results->answer[i] =
                syscall(p->number, a[0], a[1], a[2], a[3], a[4], a[5]) < 0 ? errno : 0;
        }
    }
    _exit(0);
}

static void judge_probes(struct report *r, const struct probe_results *results)
{
    static const char advice[] = "start it without the seccomp filter (container or service "
                                 "profile) that refuses this";
    bool all = true;

    for (int i = 0; i < PROBES; i++) {
        int answer = results->answer[i];

        if (answer == probes[i].expected || (answer >= 0 && probes[i].expected == ANY))
            continue;
        all = false;
        report_add(r, FINDING_NATIVE, advice, "the system call %s, needed %s, is refused: %s",
                   probes[i].name, probes[i].why, answer < 0 ? "it kills" : strerror(answer));
    }
    if (results->answer[EXEC_PROBE])
        report_add(r, FINDING_NATIVE,
                   "allow it (systemd: MemoryDenyWriteExecute=no; SELinux: execmem)",
                   "written memory may not be made executable: %s",
                   results->answer[EXEC_PROBE] < 0 ? "trying kills"
                                                   : strerror(results->answer[EXEC_PROBE]));
    else if (all)
        report_add(r, FINDING_OK, NULL, "every system call that handoff needs is allowed");
}

static void inspect_seccomp(struct report *r)
{
    struct probe_results *results =
        mmap(NULL, sizeof *results, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int first = 0, status;

    if (results == MAP_FAILED)
        return;
    while (first < ALL_PROBES) {
        pid_t child = fork();

        if (child == 0)
            run_probes(results, first);
        if (child < 0 || waitpid(child, &status, 0) < 0) {
            report_add(r, FINDING_NOTE, NULL, "system calls could not be tried: %s",
                       strerror(errno));
            munmap(results, sizeof *results);
            return;
        }
        if (WIFEXITED(status))
            break;
        results->answer[results->at] = -1;
        first = results->at + 1;
    }
    judge_probes(r, results);
    munmap(results, sizeof *results);
}

/* Does the CPU take them, whatever the kernel says (shim/arch/x86_64/bases.h)? A child tries. */
static bool cpu_takes_fsgsbase(void)
{
    int status = -1;
    pid_t child = fork();

    if (child == 0) {
        const struct rlimit none = {0, 0};
        unsigned long base;

        setrlimit(RLIMIT_CORE, &none);
        signal(SIGILL, SIG_DFL);
        __asm__ volatile(".byte 0xf3, 0x48, 0x0f, 0xae, 0xc0" : "=a"(base)); /* rdfsbase %rax */
        _exit(0);
    }
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status);
}

/* As shim/init.c: its tables take most of a GB of addresses. */
static void inspect_space(struct report *r)
{
    static const rlim_t least = (rlim_t)2 << 30;
    struct rlimit space;

    if (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur < least)
        report_add(r, FINDING_NATIVE, "raise the limit, or start it without",
                   "the address space is limited (ulimit -v) to %lu MB: handoff's tables need %lu",
                   (unsigned long)(space.rlim_cur >> 20), (unsigned long)(least >> 20));
}

void inspect_kernel(struct report *r)
{
    enum { HWCAP2_FSGSBASE = 2 };
    struct utsname u = {.release = "?"};

    (void)uname(&u);
    if (getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE)
        report_add(r, FINDING_OK, NULL, "kernel %s, FSGSBASE instructions enabled", u.release);
    else if (cpu_takes_fsgsbase())
        report_add(r, FINDING_OK, NULL,
                   "kernel %s; it keeps no FS base, but the CPU takes FSGSBASE instructions",
                   u.release);
    else
        report_add(r, FINDING_NATIVE, "use Linux 5.9 or later on a CPU of 2012 or later",
                   "the FSGSBASE instructions are missing or not enabled");
    inspect_space(r);
    inspect_seccomp(r);
}
