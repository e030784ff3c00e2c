/* A signal for the process whose chosen thread comes to block it before taking it goes to another that does not. */
#include "../t.h"

enum { ROUNDS = 500 };
static _Atomic int hits, round_no, stop;

static void handler(int number)
{
    (void)number;
    hits++;
}
static void nothing(int number)
{
    (void)number;
}

static void *waits(void *arg)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    CHECK_OK(pthread_sigmask(SIG_UNBLOCK, &set, NULL));
    while (!stop)
        pause();
    return arg;
}

static void *sends(void *arg)
{
    for (int i = 1; i <= ROUNDS; i++) {
        while (round_no < i)
            sched_yield();
        CHECK_OK(kill(getpid(), SIGUSR1));
        while (hits < i)
            sched_yield();
    }
    return arg;
}

int main(void)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART}, quit = {.sa_handler = nothing};
    sigset_t set;
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    CHECK_OK(sigaction(SIGUSR2, &quit, NULL));
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
    pthread_t waiter = t_go(waits, NULL), sender = t_go(sends, NULL);
    for (int i = 1; i <= ROUNDS; i++) {
        CHECK_OK(pthread_sigmask(SIG_UNBLOCK, &set, NULL));
        round_no = i;
        for (volatile int spin = 0; spin < i % 50 * 20; spin++)
            ;
        if (i % 4 == 0)
            sched_yield();
        CHECK_OK(pthread_sigmask(SIG_BLOCK, &set, NULL)); /* who was chosen? */
        while (hits < i)
            sched_yield();
        CHECK_EQ(hits, i);
    }
    t_join(sender);
    stop = 1;
    while (pthread_tryjoin_np(waiter, NULL) == EBUSY) {
        pthread_kill(waiter, SIGUSR2);
        sched_yield();
    }
    return 0;
}
