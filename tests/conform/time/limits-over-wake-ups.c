/* A timed call that a signal wakes, which is then ignored, is made again: to the same end, which is not that of the thread's next call. */
#include "../t.h"

static _Atomic int stop;

static void on_signal(int number)
{
    (void)number;
}

static void *sleeps_then_polls(void *arg)
{
    while (!stop) {
        struct timespec until = t_spec(t_now(CLOCK_MONOTONIC) + 5 * MSEC);
        if (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0)
            continue;
        int64_t start = t_now(CLOCK_MONOTONIC);
        if (poll(NULL, 0, 20) == 0)
            CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 20 * MSEC);
    }
    return arg;
}

int main(void)
{
    struct sigaction handles = {.sa_handler = on_signal}, ignores = {.sa_handler = SIG_IGN};
    pthread_t thread = t_go(sleeps_then_polls, NULL);
    for (int i = 0; i < 40; i++) {
        struct timespec t = {0, (1 + i % 23) * MSEC};
        nanosleep(&t, NULL);
        CHECK_OK(sigaction(SIGUSR1, &handles, NULL));
        CHECK_OK(pthread_kill(thread, SIGUSR1));
        CHECK_OK(sigaction(SIGUSR1, &ignores, NULL));
        int64_t until = t_now(CLOCK_MONOTONIC) + 6 * MSEC;
        while (t_now(CLOCK_MONOTONIC) < until) /* so that, with one proc, its end passes before it is made again */
            ;
    }
    stop = 1;
    t_join(thread);
    return 0;
}
