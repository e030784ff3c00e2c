/* A signal that a thread sends to its own process, by group or pidfd, has been handled when the call returns, if only
 * that thread does not block it (kill(2), Notes). */
#include "../t.h"
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif

static volatile sig_atomic_t hits, code;

static void handler(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    code = info->si_code;
    hits++;
}

static void *idle(void *arg)
{
    sigset_t set;
    int number;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    CHECK_OK(sigwait(&set, &number));
    return arg;
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_RESTART | SA_SIGINFO};
    sigset_t set;
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    CHECK(setpgid(0, 0) == 0 || errno == EPERM); /* a session's leader leads its group */
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
    pthread_t other = t_go(idle, NULL);
    sigdelset(&set, SIGUSR2);
    CHECK_OK(pthread_sigmask(SIG_UNBLOCK, &set, NULL));
    int self = (int)syscall(SYS_pidfd_open, getpid(), 0), expect = 0;
    char path[32];
    snprintf(path, sizeof path, "/proc/%d", getpid());
    int dir = open(path, O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < 200; i++) {
        CHECK_OK(kill(0, SIGUSR1));
        CHECK_EQ(hits, ++expect);
        CHECK_OK(kill(-getpgrp(), SIGUSR1));
        CHECK_EQ(hits, ++expect);
        CHECK_EQ(code, SI_USER);
        CHECK_OK(killpg(0, SIGUSR1));
        CHECK_EQ(hits, ++expect);
        if (self >= 0) {
            CHECK_OK(syscall(SYS_pidfd_send_signal, self, SIGUSR1, NULL, 0));
            CHECK_EQ(hits, ++expect);
            CHECK_OK(syscall(SYS_pidfd_send_signal, dir, SIGUSR1, NULL, 0));
            CHECK_EQ(hits, ++expect);
        }
    }
    CHECK_ERR(syscall(SYS_pidfd_send_signal, 0, SIGUSR1, NULL, 0), EBADF);
    pthread_kill(other, SIGUSR2);
    t_join(other);
    return 0;
}
