/* conform: also HANDOFF_DEBUG=arch_prctl
 * SIGSEGV, SIGBUS, SIGFPE, SIGILL and abort in a thread end the process with that signal; a handler
 * gets them in that thread with address and code. */
#include "../t.h"
#include <setjmp.h>

static __thread sigjmp_buf back;
static __thread volatile siginfo_t seen;

static void handler(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    memcpy((void *)(uintptr_t)&seen, info, sizeof *info);
    siglongjmp(back, 1);
}

static void fault(int number)
{
    volatile int zero = 0, hundred = 100;
    switch (number) {
    case SIGSEGV:
        *(volatile char *)t_bad() = 1;
        break;
    case SIGFPE:
        zero = hundred / zero;
        break;
    case SIGILL:
        __asm__ volatile("ud2");
        break;
    case SIGTRAP:
        __asm__ volatile("int3");
        break;
    case SIGBUS: {
        int fd = memfd_create("hole", 0);
        volatile char *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
        zero = map[0];
        break;
    }
    default:
        abort();
    }
}

static void *dies(void *arg)
{
    fault((int)(intptr_t)arg);
    return NULL;
}

static void *catches(void *arg)
{
    static const int numbers[] = {SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGBUS};
    for (int i = 0; i < 5; i++) {
        if (sigsetjmp(back, 1) == 0) {
            fault(numbers[i]);
            CHECK(0);
        }
        CHECK_EQ(seen.si_signo, numbers[i]);
        if (numbers[i] == SIGSEGV)
            CHECK(seen.si_addr == (void *)16);
        sched_yield();
    }
    return arg;
}

int main(void)
{
    static const int numbers[] = {SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGBUS, SIGABRT};
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    for (int i = 0; i < 6; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            t_bound();
            t_join(t_go(dies, (void *)(intptr_t)numbers[i]));
            _exit(0);
        }
        t_expect_signal(pid, numbers[i]);
    }
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    for (int i = 0; i < 5; i++)
        CHECK_OK(sigaction(numbers[i], &action, NULL));
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        threads[i] = t_go(catches, NULL);
    for (int i = 0; i < 8; i++)
        t_join(threads[i]);
    return 0;
}
