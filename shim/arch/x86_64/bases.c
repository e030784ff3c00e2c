/* See bases.h. */
#include "bases.h"

#include "../../base/base.h"
#include "../../base/sys.h"

extern unsigned long getauxval(unsigned long);

enum { SET_GS = 0x1001, SET_FS = 0x1002, GET_FS = 0x1003 };

uint32_t bases_kind = BASES_KEPT;

static uint64_t fs_read(void)
{
    uint64_t fs;
    __asm__ volatile("rdfsbase %0" : "=r"(fs));
    return fs;
}
static void fs_write(uint64_t fs)
{
    __asm__ volatile("wrfsbase %0" : : "r"(fs) : "memory");
}
static long tell(int what, uint64_t base)
{
    return sys2(__NR_arch_prctl, what, (long)base);
}
/* A filter that was put on since then refuses: nothing would be right any more. */
static void must_tell(int what, uint64_t base)
{
    if (tell(what, base) < 0)
        fatal("bases: the system call arch_prctl is refused (seccomp?), which this kernel makes necessary");
}

/* SIGILL's handler: over the instruction, all of those tried are 5 bytes, with carry as a sign. */
static void refused(int sig, void *info, void *context)
{
    enum { GREGS = 40, RIP = 16, EFL = 17, CARRY = 1 };
    uint64_t *gregs = (uint64_t *)((char *)context + GREGS);
    (void)sig;
    (void)info;
    gregs[RIP] += 5;
    gregs[EFL] |= CARRY;
}

/* Does the CPU take them although the kernel does not say so? Only trying tells: CPUID speaks of the hardware, or for the hypervisor, and what counts is a
 * bit of CR4. */
static bool cpu_takes(void)
{
    void kernel_restorer(void);
    struct {
        void (*handler)(int, void *, void *);
        uint64_t flags;
        void (*restorer)(void);
        uint64_t mask;
    } try = {refused, 0x04000004 /* SA_SIGINFO | SA_RESTORER */, kernel_restorer, 0}, old;
    enum { SIGILL = 4 };
    uint64_t only = 1ull << (SIGILL - 1), mask, read = 0;
    bool carry;

    if (sys4(__NR_rt_sigaction, SIGILL, P(&try), P(&old), 8) < 0)
        return false;
    sys4(__NR_rt_sigprocmask, 1 /* SIG_UNBLOCK */, P(&only), P(&mask), 8);
    __asm__ volatile("clc; rdfsbase %0" : "+r"(read), "=@ccc"(carry));
    uint64_t told = 0;
    bool good = !carry && sys2(__NR_arch_prctl, GET_FS, P(&told)) == 0 && told == read;
    if (good) {
        /* And a base that it does not know stays, or becomes what it does know. Nothing here uses FS. */
        fs_write(read + 64);
        sys0(__NR_sched_yield);
        uint64_t after = fs_read();
        fs_write(read);
        good = after == read + 64 || after == read;
    }
    sys4(__NR_rt_sigprocmask, 2, P(&mask), 0, 8);
    sys4(__NR_rt_sigaction, SIGILL, P(&old), 0, 8);
    return good;
}

/* TracerPid in /proc/self/status. */
static bool traced(void)
{
    static const char name[] = "\nTracerPid:\t";
    char buf[1024];
    long fd = sys4(__NR_openat, -100, P("/proc/self/status"), 02000000 /* O_CLOEXEC */, 0);
    long n = fd < 0 ? 0 : sys3(__NR_read, fd, P(buf), sizeof buf);
    if (fd >= 0)
        sys1(__NR_close, fd);
    for (long i = 0; i + (long)sizeof name <= n; i++)
        if (memcmp(buf + i, name, sizeof name - 1) == 0)
            return buf[i + (long)sizeof name - 1] != '0';
    return false;
}

static bool kernel_keeps(void)
{
    enum { AT_HWCAP2 = 26, HWCAP2_FSGSBASE = 2 };
    return getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE;
}

void bases_try(bool call)
{
    if (kernel_keeps() && !call)
        return;
    tell(0, 0);
    sys3(__NR_mincore, 1 /* not aligned */, 0, 0);
}

bool bases_probe(bool call, const char **why)
{
    uint8_t page_0;
    bool kept = kernel_keeps();
    if (!kept && !cpu_takes()) {
        *why = "this CPU or kernel has no FSGSBASE instructions (Linux 5.9 and later have)";
        return false;
    }
    if (kept && !call)
        bases_kind = BASES_KEPT;
    else
        bases_kind = call || traced() ? BASES_CALL : BASES_RELOAD;
    if (bases_kind == BASES_RELOAD && sys3(__NR_mincore, 0, PAGE_SIZE, P(&page_0)) == 0) {
        *why = "the kernel does not keep the FS base, and page 0 is mapped";
        return false;
    }
    if (bases_kind != BASES_KEPT && tell(SET_GS, 0) < 0) {
        *why = "the system call arch_prctl is refused (seccomp?)";
        return false;
    }
    return true;
}

static void gs_set(const void *worker)
{
    if (bases_kind == BASES_KEPT)
        __asm__ volatile("wrgsbase %0" : : "r"(worker) : "memory");
    else
        must_tell(SET_GS, (uint64_t)worker);
}

void bases_worker(const void *worker, uint64_t fs)
{
    gs_set(worker);
    if (bases_kind == BASES_RELOAD) {
        must_tell(SET_FS, FS_STALE); /* it knew the creator's: a helper's perhaps, or the program's */
        fs_write(fs);
    }
}

void bases_leave(uint64_t fs)
{
    gs_set(NULL);
    if (bases_kind == BASES_RELOAD)
        must_tell(SET_FS, fs);
}

/* Where a filter refuses these two, the child begins with FS_STALE: its faults are ours until it resets their handler. */
void bases_lend(uint64_t fs)
{
    if (bases_kind == BASES_RELOAD)
        tell(SET_FS, fs);
}

void bases_back(uint64_t fs)
{
    if (bases_kind == BASES_RELOAD && tell(SET_FS, FS_STALE) == 0)
        fs_write(fs);
}

bool bases_reloaded(uint64_t fs)
{
    if (bases_kind != BASES_RELOAD || fs_read() != FS_STALE)
        return false;
    fs_write(fs);
    return true;
}

long bases_set_fs(uint64_t fs)
{
    enum { EPERM_ = 1 };
    if (bases_kind != BASES_RELOAD)
        return tell(SET_FS, fs);
    if (fs >= (1ull << 47) - 4096)
        return -EPERM_;
    fs_write(fs);
    return 0;
}
