/* kill of the process runs the handler once each, in a thread that does not block the signal. */
#include "../t.h"

static _Atomic int hits, wrong;
static __thread int blocks;
static _Atomic int stop;

static void handler(int number)
{
    (void)number;
    if (blocks)
        wrong++;
    hits++;
}

static void *body(void *arg)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    blocks = arg != NULL;
    CHECK_OK(pthread_sigmask(blocks ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL));
    while (!stop)
        usleep(100);
    return NULL;
}

int main(void)
{
    pthread_t threads[6];
    sigset_t set;
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    blocks = 1;
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
    for (int i = 0; i < 6; i++)
        threads[i] = t_go(body, i % 3 ? &set : NULL);
    for (int i = 1; i <= 50; i++) {
        CHECK_OK(kill(getpid(), SIGUSR1));
        while (hits < i)
            sched_yield();
        CHECK_EQ(hits, i);
    }
    stop = 1;
    for (int i = 0; i < 6; i++)
        t_join(threads[i]);
    CHECK_EQ(wrong, 0);
    /* Blocked by all now: it stays pending until unblocked. */
    CHECK_OK(kill(getpid(), SIGUSR1));
    sigset_t pending;
    CHECK_OK(sigpending(&pending));
    CHECK_EQ(sigismember(&pending, SIGUSR1), 1);
    CHECK_EQ(hits, 50);
    blocks = 0;
    CHECK_OK(pthread_sigmask(SIG_UNBLOCK, &set, NULL));
    CHECK_EQ(hits, 51);
    return 0;
}
