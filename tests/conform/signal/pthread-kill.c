/* pthread_kill runs the handler in that thread, whether it waits, sleeps or computes. */
#include "../t.h"

static _Atomic int hits, stop, started;
static __thread int me;
static _Atomic int hit_by[4];
static sem_t never;
static int ends[2];

static void handler(int number)
{
    (void)number;
    hit_by[me]++;
    hits++;
}

static void *computes(void *arg)
{
    me = 0;
    started++;
    while (!stop)
        ;
    return arg;
}

static void *waits(void *arg)
{
    me = 1;
    started++;
    while (!stop)
        CHECK(sem_wait(&never) == 0 || errno == EINTR);
    return arg;
}

static void *reads(void *arg)
{
    char byte;
    me = 2;
    started++;
    CHECK_EQ(read(ends[0], &byte, 1), 1); /* SA_RESTART */
    return arg;
}

static void *yields(void *arg)
{
    me = 3;
    started++;
    while (!stop)
        sched_yield();
    return arg;
}

int main(void)
{
    void *(*bodies[])(void *) = {computes, waits, reads, yields};
    pthread_t threads[4];
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    CHECK_OK(sem_init(&never, 0, 0));
    t_pair(ends);
    for (int i = 0; i < 4; i++)
        threads[i] = t_go(bodies[i], NULL);
    while (started < 4)
        sched_yield();
    for (int round = 1; round <= 20; round++)
        for (int i = 0; i < 4; i++) {
            int before = hits;
            CHECK_OK(pthread_kill(threads[i], SIGUSR1));
            while (hits == before)
                sched_yield();
            CHECK_EQ(hits, before + 1);
        }
    for (int i = 0; i < 4; i++)
        CHECK_EQ(hit_by[i], 20);
    stop = 1;
    CHECK_OK(sem_post(&never));
    CHECK_EQ(write(ends[1], "x", 1), 1);
    for (int i = 0; i < 4; i++)
        t_join(threads[i]);
    return 0;
}
