/* Signals that were sent before what this thread has seen: SIGCHLD of a child that was waited for has come, and was ignored, even if somebody
 * wants to know of it right after; what another process sent before it wrote to a pipe is there for who asks without waiting. */
#include "../t.h"

static sigset_t child_set, usr_set;
static int ends[2];

static void *others(void *arg) /* a thread that takes no signals: main is who they are for */
{
    for (;;)
        pause();
    return arg;
}

static pid_t forked(void (*body)(void))
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        body();
        _exit(0);
    }
    return child;
}

static void nothing(void)
{
}

static void signals_and_writes(void)
{
    kill(getppid(), SIGUSR1);
    t_write_all(ends[1], "x", 1);
}

int main(void)
{
    sigset_t all, pending;
    pthread_t thread;
    struct timespec zero = {0, 0};
    siginfo_t info;
    char byte;
    CHECK_OK(sigfillset(&all));
    CHECK_OK(sigemptyset(&child_set));
    CHECK_OK(sigaddset(&child_set, SIGCHLD));
    CHECK_OK(sigemptyset(&usr_set));
    CHECK_OK(sigaddset(&usr_set, SIGUSR1));
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &all, NULL));
    CHECK_OK(pthread_create(&thread, NULL, others, NULL));
    CHECK_OK(pthread_sigmask(SIG_UNBLOCK, &all, NULL));
    CHECK_OK(pipe(ends));
    for (int i = 0; i < 100; i++) {
        pid_t child = forked(nothing);
        CHECK_EQ(waitpid(child, NULL, 0), child);
        CHECK_OK(pthread_sigmask(SIG_BLOCK, &child_set, NULL));
        CHECK_OK(sigpending(&pending));
        CHECK_EQ(sigismember(&pending, SIGCHLD), 0);
        child = forked(nothing);
        CHECK_EQ(sigwaitinfo(&child_set, &info), SIGCHLD);
        CHECK_EQ(info.si_pid, child);
        CHECK_EQ(waitpid(child, NULL, 0), child);
        CHECK_OK(pthread_sigmask(SIG_UNBLOCK, &child_set, NULL));
    }
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &usr_set, NULL));
    for (int i = 0; i < 100; i++) {
        pid_t child = forked(signals_and_writes);
        CHECK_EQ(read(ends[0], &byte, 1), 1);
        CHECK_EQ(sigtimedwait(&usr_set, &info, &zero), SIGUSR1);
        CHECK_EQ(info.si_pid, child);
        CHECK_EQ(waitpid(child, NULL, 0), child);
    }
    return 0;
}
