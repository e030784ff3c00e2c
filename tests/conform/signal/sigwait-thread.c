/* One thread takes all signals by sigwait, sigwaitinfo and sigtimedwait while all others block
 * them. */
#include "../t.h"

static sem_t got;
static int ends[2];
static sigset_t set;

static void *takes(void *arg)
{
    int number;
    siginfo_t info;
    for (int i = 0; i < 10; i++) {
        CHECK_OK(sigwait(&set, &number));
        CHECK_EQ(number, SIGUSR1);
        CHECK_OK(sem_post(&got));
        CHECK_EQ(sigwaitinfo(&set, &info), SIGUSR2);
        CHECK_EQ(info.si_signo, SIGUSR2);
        CHECK_EQ(info.si_pid, getpid());
        CHECK_OK(sem_post(&got));
    }
    struct timespec wait = t_spec(5 * MSEC), zero = {0, 0};
    int64_t start = t_now(CLOCK_MONOTONIC);
    CHECK_ERR(sigtimedwait(&set, &info, &wait), EAGAIN);
    CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 5 * MSEC);
    CHECK_ERR(sigtimedwait(&set, &info, &zero), EAGAIN);
    CHECK_OK(raise(SIGUSR1)); /* pending on the thread */
    CHECK_EQ(sigtimedwait(&set, &info, &zero), SIGUSR1);
    return arg;
}

static void *reads(void *arg)
{
    char byte;
    CHECK_EQ(read(ends[0], &byte, 1), 1);
    return arg;
}

int main(void)
{
    t_pair(ends);
    CHECK_OK(sem_init(&got, 0, 0));
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
    pthread_t thread = t_go(takes, NULL), reader = t_go(reads, NULL);
    for (int i = 0; i < 10; i++) {
        CHECK_OK(kill(getpid(), SIGUSR1));
        CHECK_OK(sem_wait(&got));
        CHECK_OK(kill(getpid(), SIGUSR2));
        CHECK_OK(sem_wait(&got));
    }
    t_join(thread);
    CHECK_EQ(write(ends[1], "x", 1), 1);
    t_join(reader);
    return 0;
}
