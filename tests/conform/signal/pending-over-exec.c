/* Signals that are pending outlive exec, those to the process and those to the thread; an exec that fails loses none. */
#include "../t.h"

static volatile sig_atomic_t handled;

static void count(int sig)
{
    (void)sig;
    handled++;
}

static void *idles(void *arg)
{
    pause();
    return arg;
}

static int after_exec(void)
{
    sigset_t now, set;
    struct timespec zero = {0, 0};
    siginfo_t info;
    CHECK_OK(sigpending(&now));
    CHECK_EQ(sigismember(&now, SIGUSR1), 1);
    CHECK_EQ(sigismember(&now, SIGUSR2), 1);
    CHECK_EQ(sigismember(&now, SIGTERM), 0);
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(sigtimedwait(&set, &info, &zero), SIGRTMIN);
        CHECK_EQ(info.si_value.sival_int, i);
    }
    CHECK_ERR(sigtimedwait(&set, &info, &zero), EAGAIN);
    return 0;
}

int main(int argc, char **argv)
{
    sigset_t set, usr1;
    if (argc > 1)
        return after_exec();
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGRTMIN);
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
    signal(SIGUSR1, count);
    signal(SIGTERM, SIG_IGN);
    t_go(idles, NULL);
    CHECK_OK(raise(SIGUSR1));

    CHECK_ERR(execl("/nonexistent", "x", (char *)NULL), ENOENT);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    CHECK_OK(pthread_sigmask(SIG_UNBLOCK, &usr1, NULL));
    while (!handled)
        sched_yield();
    CHECK_EQ(handled, 1);
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &usr1, NULL));

    CHECK_OK(raise(SIGUSR1));
    CHECK_OK(kill(getpid(), SIGUSR2));
    for (int i = 0; i < 3; i++)
        CHECK_OK(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i}));
    execl("/proc/self/exe", argv[0], "again", (char *)NULL);
    CHECK(0);
}
