/* A new thread has its creator's mask; pthread_sigmask changes only one's own, and it stays over
 * every wait. */
#include "../t.h"

static int ends[2];

static void *grandchild(void *arg)
{
    sigset_t now;
    CHECK_OK(pthread_sigmask(SIG_BLOCK, NULL, &now));
    CHECK_EQ(sigismember(&now, SIGUSR1), 1);
    CHECK_EQ(sigismember(&now, SIGUSR2), 1);
    CHECK_EQ(sigismember(&now, SIGTERM), 0);
    return arg;
}

static void *child(void *arg)
{
    sigset_t now, set;
    char byte;
    CHECK_OK(pthread_sigmask(SIG_BLOCK, NULL, &now));
    CHECK_EQ(sigismember(&now, SIGUSR1), 1);
    CHECK_EQ(sigismember(&now, SIGUSR2), 0);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
    for (int i = 0; i < 20; i++) {
        CHECK_EQ(read(ends[0], &byte, 1), 1);
        sched_yield();
        CHECK_OK(pthread_sigmask(SIG_BLOCK, NULL, &now));
        CHECK_EQ(sigismember(&now, SIGUSR1), 1);
        CHECK_EQ(sigismember(&now, SIGUSR2), 1);
    }
    t_join(t_go(grandchild, NULL));
    return arg;
}

int main(void)
{
    pthread_t threads[10];
    sigset_t set, now;
    t_pair(ends);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
    for (int i = 0; i < 10; i++)
        threads[i] = t_go(child, NULL);
    for (int i = 0; i < 200; i++)
        CHECK_EQ(write(ends[1], "x", 1), 1);
    for (int i = 0; i < 10; i++)
        t_join(threads[i]);
    CHECK_OK(pthread_sigmask(SIG_BLOCK, NULL, &now));
    CHECK_EQ(sigismember(&now, SIGUSR1), 1);
    CHECK_EQ(sigismember(&now, SIGUSR2), 0);
    CHECK_EQ(pthread_sigmask(99, &set, NULL), EINVAL);
    return 0;
}
