/* An interval timer has one signal pending at most; what expires meanwhile is its overrun, which siginfo and
 * timer_getoverrun tell. Real-time signals, too, do not pile up. */
#include "../t.h"

enum { TIMERS = 3 };

static void *idle(void *arg)
{
    CHECK_OK(sem_wait(arg));
    return NULL;
}

/* Block until the timer has expired at least n times. */
static void until_expired(timer_t timer, int64_t interval, int n)
{
    (void)timer;
    int64_t end = t_now(CLOCK_MONOTONIC) + interval * n;
    while (t_now(CLOCK_MONOTONIC) < end) {
        struct timespec tick = {0, 200000};
        nanosleep(&tick, NULL);
    }
}

static volatile sig_atomic_t hits, overrun;

static void handler(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    hits++;
    overrun = info->si_overrun;
}

int main(void)
{
    sem_t done;
    sigset_t set;
    timer_t timers[TIMERS];
    siginfo_t info;
    const struct timespec now = {0, 0};
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    CHECK_OK(sem_init(&done, 0, 0));
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sigaddset(&set, SIGUSR1);
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
    pthread_t other = t_go(idle, &done);

    /* A real-time signal, taken by sigtimedwait. */
    struct itimerspec every = {{0, MSEC}, {0, MSEC}}, off = {{0, 0}, {0, 0}};
    for (int i = 0; i < TIMERS; i++) {
        struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 40 + i};
        CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &timers[i]));
        CHECK_OK(timer_settime(timers[i], 0, &every, NULL));
    }
    until_expired(timers[0], MSEC, 30);
    int seen[TIMERS] = {0};
    for (int i = 0; i < TIMERS; i++) {
        CHECK_EQ(sigwaitinfo(&set, &info), SIGRTMIN);
        CHECK_EQ(info.si_code, SI_TIMER);
        int which = info.si_value.sival_int - 40;
        CHECK(which >= 0 && which < TIMERS);
        if (!seen[which]++) {
            CHECK_GE(info.si_overrun, 20);
            CHECK_EQ(timer_getoverrun(timers[which]), info.si_overrun);
        }
        CHECK_OK(timer_settime(timers[which], 0, &off, NULL));
    }
    int left = 0; /* at most one more of each, from between the wait and the end of the timer */
    while (sigtimedwait(&set, &info, &now) > 0)
        left++;
    CHECK(left <= TIMERS);
    for (int i = 0; i < TIMERS; i++)
        CHECK_OK(timer_delete(timers[i]));

    /* A standard signal and its handler. */
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &timers[0]));
    CHECK_EQ(timer_getoverrun(timers[0]), 0);
    CHECK_OK(timer_settime(timers[0], 0, &every, NULL));
    until_expired(timers[0], MSEC, 30);
    CHECK_EQ(hits, 0);
    CHECK_OK(pthread_sigmask(SIG_UNBLOCK, &set, NULL));
    CHECK_GE(hits, 1);
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
    CHECK_OK(timer_settime(timers[0], 0, &off, NULL));
    CHECK_OK(timer_delete(timers[0]));
    CHECK_ERR(timer_getoverrun(timers[0]), EINVAL);

    /* To one thread. */
    struct sigevent mine = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 9};
    mine._sigev_un._tid = (int)syscall(SYS_gettid);
    CHECK_OK(timer_create(CLOCK_MONOTONIC, &mine, &timers[0]));
    CHECK_OK(timer_settime(timers[0], 0, &every, NULL));
    until_expired(timers[0], MSEC, 30);
    CHECK_EQ(sigwaitinfo(&set, &info), SIGRTMIN);
    CHECK_EQ(info.si_value.sival_int, 9);
    CHECK_GE(info.si_overrun, 20);
    CHECK_EQ(timer_getoverrun(timers[0]), info.si_overrun);
    CHECK_OK(timer_delete(timers[0]));

    CHECK_OK(sem_post(&done));
    t_join(other);
    return 0;
}
