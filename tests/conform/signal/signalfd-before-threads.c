/* A signalfd made before the first thread, for a signal that is blocked only later: it tells of the signal. */
#include "../t.h"
#include <sys/signalfd.h>

static pthread_barrier_t blocked;
static sigset_t set;
static int fd, over[2];

static void *waits(void *arg)
{
    char byte;
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
    CHECK(pthread_barrier_wait(&blocked) >= PTHREAD_BARRIER_SERIAL_THREAD);
    CHECK_EQ(read(over[0], &byte, 1), 1);
    return arg;
}

int main(void)
{
    struct signalfd_siginfo info;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    CHECK((fd = signalfd(-1, &set, 0)) >= 0);
    CHECK_OK(pipe(over));
    CHECK_OK(pthread_barrier_init(&blocked, NULL, 2));
    pthread_t thread = t_go(waits, NULL);
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
    CHECK(pthread_barrier_wait(&blocked) >= PTHREAD_BARRIER_SERIAL_THREAD);
    for (int i = 0; i < 10; i++) {
        struct pollfd ready = {fd, POLLIN, 0};
        CHECK_OK(kill(getpid(), SIGUSR1));
        if (i % 2)
            CHECK_EQ(poll(&ready, 1, -1), 1);
        CHECK_EQ(read(fd, &info, sizeof info), sizeof info);
        CHECK_EQ(info.ssi_signo, SIGUSR1);
        CHECK_EQ(info.ssi_pid, getpid());
    }
    CHECK_EQ(write(over[1], "x", 1), 1);
    t_join(thread);
    return 0;
}
