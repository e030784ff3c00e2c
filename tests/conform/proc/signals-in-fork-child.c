/* The child of a fork that a thread made while others wait: its threads' signals are handled, by those that compute and by
 * those that wait. */
#include "../t.h"

static int ends[2], own[2];
static _Atomic int handled, ready;
static pthread_t forker;

static void handler(int number)
{
    (void)number;
    handled++;
}

static void *waits(void *arg)
{
    char byte;
    ready = 1;
    CHECK_EQ(read(*(int *)arg, &byte, 1), 1);
    return arg;
}

static void *sends(void *arg)
{
    for (int i = 0; i < 50; i++) {
        int before = handled;
        CHECK_OK(pthread_kill(forker, SIGUSR1));
        while (handled == before)
            sched_yield();
    }
    return arg;
}

static void in_child(void)
{
    t_bound();
    handled = ready = 0;
    CHECK_OK(pipe(own));
    pthread_t waiter = t_go(waits, &own[0]);
    for (int i = 1; i <= 50; i++) {
        CHECK_OK(raise(SIGUSR1));
        CHECK_EQ(handled, i);
    }
    while (!ready)
        ;
    for (int i = 51; i <= 100; i++) {
        CHECK_OK(pthread_kill(waiter, SIGUSR1));
        while (handled < i)
            ;
    }
    pthread_t sender = t_go(sends, NULL);
    while (handled < 150)
        ;
    t_join(sender);
    CHECK_EQ(write(own[1], "x", 1), 1);
    t_join(waiter);
    CHECK_EQ(handled, 150);
    _exit(3);
}

static void *forks(void *arg)
{
    forker = pthread_self();
    for (int i = 0; i < 3; i++) {
        t_settle();
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0)
            in_child();
        t_expect_exit(child, 3);
    }
    return arg;
}

int main(void)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    CHECK_OK(pipe(ends));
    pthread_t waiter = t_go(waits, &ends[0]);
    t_join(t_go(forks, NULL));
    CHECK_EQ(write(ends[1], "x", 1), 1);
    t_join(waiter);
    return 0;
}
