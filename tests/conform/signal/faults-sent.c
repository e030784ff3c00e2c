/* SIGBUS and its like, sent by another process all the time: each is seen as sent, whatever the threads are doing, and nothing else is. */
#include "../t.h"

enum { THREADS = 6, SENT = 2500 };

static __thread volatile long mine;
static _Atomic int stop, seen;

static void handler(int sig, siginfo_t *info, void *context)
{
    (void)context;
    if (info->si_code > 0)
        t_fail(__FILE__, __LINE__, "signal %d of code %d at %p", sig, info->si_code, info->si_addr);
    seen++;
}

static void *works(void *arg)
{
    const struct timespec moment = {0, 1000};
    mine = (long)(intptr_t)arg;
    while (!stop) {
        errno = (int)mine;
        for (volatile int i = 0; i < 30000; i++)
            CHECK(mine == (long)(intptr_t)arg);
        CHECK_EQ(errno, (int)mine);
        if (mine % 3 == 0)
            nanosleep(&moment, NULL);
    }
    return arg;
}

int main(void)
{
    static const int numbers[] = {SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSEGV};
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART};
    for (int i = 0; i < 5; i++)
        CHECK_OK(sigaction(numbers[i], &action, NULL));
    pthread_t threads[THREADS];
    for (long i = 0; i < THREADS; i++)
        threads[i] = t_go(works, (void *)(i + 1));
    pid_t program = getpid(), child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        for (int i = 0; i < SENT; i++) {
            kill(program, numbers[i < SENT / 2 ? 0 : i % 5]);
            usleep(300);
        }
        _exit(0);
    }
    t_expect_exit(child, 0);
    stop = 1;
    for (int i = 0; i < THREADS; i++)
        t_join(threads[i]);
    CHECK(seen > 0);
    return 0;
}
