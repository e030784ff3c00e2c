/* sigsuspend unblocks, waits, runs the handler, answers EINTR and puts the mask back. */
#include "../t.h"

static __thread volatile int ran;

static void handler(int number)
{
    ran = number;
}

static void *body(void *arg)
{
    sigset_t open_set, now;
    (void)arg;
    sigfillset(&open_set);
    sigdelset(&open_set, SIGUSR1);
    for (int i = 0; i < 20; i++) {
        ran = 0;
        CHECK_OK(raise(SIGUSR1)); /* blocked: pending */
        CHECK_EQ(ran, 0);
        CHECK_ERR(sigsuspend(&open_set), EINTR);
        CHECK_EQ(ran, SIGUSR1);
        CHECK_OK(pthread_sigmask(SIG_BLOCK, NULL, &now));
        CHECK_EQ(sigismember(&now, SIGUSR1), 1);
        CHECK_EQ(sigismember(&now, SIGUSR2), 0);
    }
    return NULL;
}

int main(void)
{
    sigset_t set;
    pthread_t threads[5];
    struct sigaction action = {.sa_handler = handler};
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
    body(NULL);
    for (int i = 0; i < 5; i++)
        threads[i] = t_go(body, NULL);
    for (int i = 0; i < 5; i++)
        t_join(threads[i]);
    return 0;
}
