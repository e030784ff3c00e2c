/* Timers and sleeps on the CPU clock of a thread: they go by what it uses, not by what passes. */
#include "../t.h"

static volatile sig_atomic_t fired;
static volatile int stop;

static void count(int sig)
{
    (void)sig;
    fired++;
}

static void *burns(void *arg)
{
    while (!stop)
        ;
    return arg;
}

static timer_t timer_on(clockid_t clock)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct itimerspec in = {.it_value = {0, 20 * MSEC}};
    timer_t timer;
    CHECK_OK(timer_create(clock, &event, &timer));
    CHECK_OK(timer_settime(timer, 0, &in, NULL));
    return timer;
}

static void *own(void *arg)
{
    struct timespec wait = {0, 60 * MSEC};
    timer_t timer = timer_on(CLOCK_THREAD_CPUTIME_ID);
    CHECK_OK(nanosleep(&wait, NULL)); /* uses nothing */
    CHECK_EQ(fired, 0);
    int64_t before = t_now(CLOCK_THREAD_CPUTIME_ID);
    while (!fired)
        ;
    CHECK_GE(t_now(CLOCK_THREAD_CPUTIME_ID) - before, 10 * MSEC);
    CHECK_EQ(fired, 1);
    CHECK_OK(timer_delete(timer));
    return arg;
}

int main(void)
{
    struct timespec spec = {0, 20 * MSEC}, tick = {0, MSEC};
    clockid_t clock, mine;
    signal(SIGUSR1, count);
    t_join(t_go(own, NULL));
    CHECK_EQ(fired, 1);

    pthread_t other = t_go(burns, NULL);
    CHECK_OK(pthread_getcpuclockid(other, &clock));
    CHECK_OK(pthread_getcpuclockid(pthread_self(), &mine));
    CHECK_EQ(clock_nanosleep(mine, 0, &spec, NULL), EINVAL);
    int64_t before = t_now(clock);
    int rc;
    while ((rc = clock_nanosleep(clock, 0, &spec, NULL)) == EINTR)
        ;
    CHECK_EQ(rc, 0);
    CHECK_GE(t_now(clock) - before, 20 * MSEC);
    timer_t timer = timer_on(clock);
    while (fired < 2)
        nanosleep(&tick, NULL);
    CHECK_OK(timer_delete(timer));
    stop = 1;
    t_join(other);
    return 0;
}
