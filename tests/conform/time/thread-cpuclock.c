/* The CPU clock of any thread: its own time only, from any thread, waits left out, gone with the thread. */
#include <sys/select.h>

#include "../t.h"

enum { WAIT = 100 * MSEC, BURN = 20 * MSEC };
static pthread_barrier_t at;
static clockid_t clocks[3];
static int ends[2];

static void burn(int64_t ns)
{
    int64_t until = t_now(CLOCK_THREAD_CPUTIME_ID) + ns;
    while (t_now(CLOCK_THREAD_CPUTIME_ID) < until)
        ;
}

static int64_t value(clockid_t clock)
{
    struct timespec now;
    CHECK_OK(clock_gettime(clock, &now));
    return now.tv_sec * NSEC + now.tv_nsec;
}

/* A wait takes no CPU time, however it is made. */
static void waits(void)
{
    struct timeval tenth = {0, WAIT / 1000};
    struct timespec spec = t_spec(WAIT);
    int64_t before = t_now(CLOCK_THREAD_CPUTIME_ID);
    CHECK_OK(select(0, NULL, NULL, NULL, &tenth));
    CHECK_OK(nanosleep(&spec, NULL));
    CHECK(t_now(CLOCK_THREAD_CPUTIME_ID) - before < WAIT);
}

static void *computes(void *arg)
{
    int64_t wall = t_now(CLOCK_MONOTONIC);
    burn(BURN);
    waits();
    CHECK(t_now(CLOCK_THREAD_CPUTIME_ID) <= t_now(CLOCK_MONOTONIC) - wall + BURN);
    pthread_barrier_wait(&at);
    pthread_barrier_wait(&at);
    return arg;
}

static void *idles(void *arg)
{
    char c;
    pthread_barrier_wait(&at);
    CHECK_EQ(read(ends[0], &c, 1), 1);
    pthread_barrier_wait(&at);
    return arg;
}

static void *watches(void *arg)
{
    struct timespec spec, tick = {0, MSEC};
    pthread_barrier_wait(&at);
    for (int i = 0; i < 3; i++) {
        CHECK_OK(clock_getres(clocks[i], &spec));
        CHECK(spec.tv_sec == 0 && spec.tv_nsec > 0);
    }
    int64_t own = 0, last[3] = {0};
    for (int i = 0; i < 50; i++) {
        for (int k = 0; k < 3; k++) {
            int64_t now = value(clocks[k]);
            CHECK_GE(now, last[k]);
            last[k] = now;
        }
        CHECK_GE(value(CLOCK_THREAD_CPUTIME_ID), own);
        own = value(CLOCK_THREAD_CPUTIME_ID);
        if (i % 10 == 0)
            nanosleep(&tick, NULL);
    }
    CHECK_GE(last[0], BURN);
    CHECK(last[1] < BURN);
    CHECK(last[0] + last[1] + last[2] <= t_now(CLOCK_PROCESS_CPUTIME_ID) + 2 * MSEC);
    pthread_barrier_wait(&at);
    return arg;
}

int main(void)
{
    clockid_t own;
    CHECK_OK(pipe(ends));
    CHECK_OK(pthread_barrier_init(&at, NULL, 4));
    pthread_t one = t_go(computes, NULL);
    CHECK(t_now(CLOCK_THREAD_CPUTIME_ID) <= t_now(CLOCK_PROCESS_CPUTIME_ID));
    pthread_t two = t_go(idles, NULL), three = t_go(watches, NULL);
    CHECK_OK(pthread_getcpuclockid(one, &clocks[0]));
    CHECK_OK(pthread_getcpuclockid(two, &clocks[1]));
    CHECK_OK(pthread_getcpuclockid(pthread_self(), &clocks[2]));
    CHECK_OK(pthread_getcpuclockid(pthread_self(), &own));
    pthread_barrier_wait(&at);
    int64_t a = value(own), b = value(CLOCK_THREAD_CPUTIME_ID), c = value(own);
    CHECK(a <= b && b <= c);
    CHECK_EQ(write(ends[1], "x", 1), 1);
    pthread_barrier_wait(&at);
    t_join(one);
    t_join(two);
    t_join(three);
    /* Not before it has ended, but then no longer. */
    struct timespec spec;
    while (clock_gettime(clocks[1], &spec) == 0) /* the kernel may take a moment after the join */
        sched_yield();
    CHECK_EQ(errno, EINVAL);
    return 0;
}
