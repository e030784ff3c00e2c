/* Threads that sleep for a moment wake in time beside pairs that wake each other all the time, and one that yields in a loop. */
#include "../t.h"
#include <sched.h>

enum { PAIRS = 10, SLEEPERS = 3, NAPS = 200 };

static sem_t turn[2 * PAIRS];
static volatile int stop;

static void *plays(void *arg)
{
    long i = (long)arg;
    while (!stop) {
        CHECK_OK(sem_post(&turn[i ^ 1]));
        CHECK_OK(sem_wait(&turn[i]));
    }
    CHECK_OK(sem_post(&turn[i ^ 1]));
    return arg;
}

static void *yields(void *arg)
{
    while (!stop)
        sched_yield();
    return arg;
}

static void *naps(void *arg)
{
    for (int i = 0; i < NAPS; i++) {
        struct timespec t = {0, MSEC};
        nanosleep(&t, NULL);
    }
    return arg;
}

int main(void)
{
    pthread_t players[2 * PAIRS], yielder, sleepers[SLEEPERS];
    for (int i = 0; i < 2 * PAIRS; i++)
        CHECK_OK(sem_init(&turn[i], 0, 0));
    for (long i = 0; i < 2 * PAIRS; i++)
        players[i] = t_go(plays, (void *)i);
    yielder = t_go(yields, NULL);
    for (int i = 0; i < SLEEPERS; i++)
        sleepers[i] = t_go(naps, NULL);
    for (int i = 0; i < SLEEPERS; i++)
        t_join(sleepers[i]);
    stop = 1;
    t_join(yielder);
    for (int i = 0; i < 2 * PAIRS; i++)
        t_join(players[i]);
    return 0;
}
