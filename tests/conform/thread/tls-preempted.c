/* conform: also HANDOFF_DEBUG=arch_prctl
 * Thread-local storage while the kernel takes CPUs away at any instruction: other processes compute, and the threads themselves sleep in system calls of their
 * own making (an inline `syscall` in memory made executable at run time). What the kernel says of the FS base, what libc keeps there, and what children inherit. */
#include <asm/prctl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "../t.h"

enum { THREADS = 12, HOGS = 3, TURNS = 150 };

extern char **environ;
static __thread long mine;
static __thread char far[3000];
static long (*inline_call)(long nr, long a, long b, long c);

static void check(long id)
{
    unsigned long fs = 0;
    CHECK_EQ(mine, id);
    CHECK_EQ(far[0], (char)id);
    CHECK_EQ(far[sizeof far - 1], (char)id);
    CHECK_OK(syscall(SYS_arch_prctl, ARCH_GET_FS, &fs));
    CHECK(fs == (unsigned long)pthread_self());
}

static void handler(int sig)
{
    (void)sig;
    CHECK_EQ(far[0], (char)mine);
}

static void *works(void *arg)
{
    const long id = (long)(intptr_t)arg;
    const struct timespec moment = {0, 50000};
    mine = id;
    memset(far, (char)id, sizeof far);
    for (int i = 0; i < TURNS; i++) {
        for (volatile int k = 0; k < 20000; k++)
            if (mine != id || far[k % sizeof far] != (char)id)
                t_fail(__FILE__, __LINE__, "another's TLS: %ld in %ld's", mine, id);
        inline_call(SYS_nanosleep, (long)&moment, 0, 0);
        errno = (int)id + 1000;
        CHECK_EQ(mine, id);
        switch ((i + id) % 8) {
        case 0: sched_yield(); break;
        case 1: inline_call(SYS_sched_yield, 0, 0, 0); break;
        case 2: nanosleep(&moment, NULL); break;
        case 3: CHECK_OK(raise(SIGUSR1)); break;
        default: break;
        }
        CHECK_EQ(errno, (int)id + 1000);
        check(id);
        if (i == 20 + id * 8) {
            pid_t child = fork();
            CHECK(child >= 0);
            if (child == 0) {
                check(id);
                _exit(0);
            }
            t_expect_exit(child, 0);
            check(id);
        }
        if (i == 24 + id * 8) {
            char *const argv[] = {"true", NULL};
            pid_t child;
            CHECK_EQ(posix_spawnp(&child, "true", NULL, NULL, argv, environ), 0);
            check(id);
            t_expect_exit(child, 0);
        }
    }
    return arg;
}

int main(void)
{
    static const unsigned char code[] = {0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0x48, 0x89, 0xd6, 0x48, 0x89, 0xca, 0x0f, 0x05, 0xc3};
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    memcpy(page, code, sizeof code); /* rax = rdi, rdi = rsi, rsi = rdx, rdx = rcx; syscall; ret */
    CHECK_OK(mprotect(page, 4096, PROT_READ | PROT_EXEC));
    inline_call = (long (*)(long, long, long, long))page;
    signal(SIGUSR1, handler);

    pid_t hogs[HOGS];
    for (int i = 0; i < HOGS; i++) {
        hogs[i] = fork();
        CHECK(hogs[i] >= 0);
        if (hogs[i] == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            for (;;)
                __asm__ volatile("");
        }
    }
    pthread_t threads[THREADS];
    for (long i = 0; i < THREADS; i++)
        threads[i] = t_go(works, (void *)(i + 1));
    for (int i = 0; i < THREADS; i++)
        t_join(threads[i]);
    for (int i = 0; i < HOGS; i++) {
        kill(hogs[i], SIGKILL);
        t_expect_signal(hogs[i], SIGKILL);
    }
    return 0;
}
