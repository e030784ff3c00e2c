/* A storm of timer signals over threads that switch, wait and compute: the handler runs often and
 * nothing else changes. */
#include "../t.h"
#include <sys/time.h>

static _Atomic long hits;
static int ends[2];
static sem_t ping, pong;
static _Atomic int stop;

static void handler(int number)
{
    (void)number;
    int saved = errno;
    hits++;
    errno = saved;
}

static void *pings(void *arg)
{
    while (!stop) {
        CHECK_OK(sem_post(&ping));
        while (sem_wait(&pong) != 0)
            CHECK_EQ(errno, EINTR);
    }
    CHECK_OK(sem_post(&ping));
    return arg;
}

static void *pongs(void *arg)
{
    while (!stop) {
        while (sem_wait(&ping) != 0)
            CHECK_EQ(errno, EINTR);
        CHECK_OK(sem_post(&pong));
    }
    return arg;
}

static void *reads(void *arg)
{
    uint32_t value;
    for (uint32_t i = 0; i < 20000; i++) {
        t_read_all(ends[0], &value, sizeof value);
        CHECK_EQ(value, i);
    }
    return arg;
}

static void *computes(void *arg)
{
    double sum = 0;
    for (long i = 1; !stop; i++)
        sum += 1.0 / (double)i;
    CHECK(sum > 0);
    return arg;
}

int main(void)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    struct itimerval timer = {{0, 500}, {0, 500}}, off = {{0, 0}, {0, 0}};
    CHECK_OK(sigaction(SIGALRM, &action, NULL));
    CHECK_OK(sem_init(&ping, 0, 0));
    CHECK_OK(sem_init(&pong, 0, 0));
    t_pair(ends);
    CHECK_OK(setitimer(ITIMER_REAL, &timer, NULL));
    pthread_t a = t_go(pings, NULL), b = t_go(pongs, NULL), c = t_go(reads, NULL),
              d = t_go(computes, NULL);
    for (uint32_t i = 0; i < 20000; i++)
        t_write_all(ends[1], &i, sizeof i);
    t_join(c);
    while (hits < 50)
        sched_yield();
    CHECK_OK(setitimer(ITIMER_REAL, &off, NULL));
    stop = 1;
    CHECK_OK(sem_post(&pong));
    CHECK_OK(sem_post(&ping));
    t_join(a);
    t_join(b);
    t_join(d);
    return 0;
}
