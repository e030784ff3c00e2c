/* signalfd: a thread reads the signals sent to the process, waits for them in read and poll, and
 * takes several at once; O_NONBLOCK is EAGAIN; a mask changed under a waiting thread counts. */
#include "../t.h"
#include <sys/signalfd.h>

static int fd;

static void *reads(void *arg)
{
    struct signalfd_siginfo info[4];
    CHECK_EQ(read(fd, info, sizeof info), sizeof info[0]);
    CHECK_EQ(info[0].ssi_signo, SIGUSR1);
    CHECK_EQ(info[0].ssi_pid, getpid());
    CHECK_EQ(info[0].ssi_code, SI_USER);
    return arg;
}

static void *polls(void *arg)
{
    struct signalfd_siginfo info;
    struct pollfd p = {fd, POLLIN, 0};
    CHECK_EQ(poll(&p, 1, -1), 1);
    CHECK_EQ(p.revents, POLLIN);
    CHECK_EQ(read(fd, &info, sizeof info), sizeof info);
    CHECK_EQ(info.ssi_signo, SIGUSR2);
    return arg;
}

int main(void)
{
    sigset_t set, one;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGRTMIN);
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
    CHECK((fd = signalfd(-1, &set, SFD_CLOEXEC)) >= 0);
    for (int i = 0; i < 10; i++) {
        pthread_t thread = t_go(reads, NULL);
        if (i % 2)
            t_settle();
        CHECK_OK(kill(getpid(), SIGUSR1));
        t_join(thread);
        thread = t_go(polls, NULL);
        if (i % 2)
            t_settle();
        CHECK_OK(kill(getpid(), SIGUSR2));
        t_join(thread);
    }
    /* several at once, with their values, in order */
    struct signalfd_siginfo info[4];
    for (int i = 0; i < 3; i++)
        CHECK_OK(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 40 + i}));
    CHECK_EQ(read(fd, info, sizeof info), 3 * sizeof info[0]);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(info[i].ssi_signo, SIGRTMIN);
        CHECK_EQ(info[i].ssi_int, 40 + i);
    }
    CHECK_ERR(read(fd, info, 10), EINVAL);
    CHECK_OK(fcntl(fd, F_SETFL, O_NONBLOCK));
    CHECK_ERR(read(fd, info, sizeof info), EAGAIN);
    CHECK_OK(fcntl(fd, F_SETFL, 0));

    /* a signal sent by a child process that ends: SIGCHLD */
    sigemptyset(&one);
    sigaddset(&one, SIGCHLD);
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &one, NULL));
    CHECK_EQ(signalfd(fd, &one, 0), fd); /* now this one only */
    pid_t child = fork();
    if (child == 0)
        _exit(3);
    CHECK_EQ(read(fd, info, sizeof info), sizeof info[0]);
    CHECK_EQ(info[0].ssi_signo, SIGCHLD);
    CHECK_EQ(info[0].ssi_pid, child);
    CHECK_EQ(info[0].ssi_status, 3);
    t_expect_exit(child, 3);
    close(fd);
    return 0;
}
