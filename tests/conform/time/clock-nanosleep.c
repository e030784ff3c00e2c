/* clock_nanosleep: relative and absolute on each clock, the past returns at once, errors are
 * returned. */
#include "../t.h"

static void *body(void *arg)
{
    static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_TAI};
    for (int c = 0; c < 4; c++) {
        clockid_t clock = clocks[c];
        int64_t start = t_now(clock);
        struct timespec span = t_spec(5 * MSEC), past = {1, 0};
        CHECK_OK(clock_nanosleep(clock, 0, &span, NULL));
        CHECK_GE(t_now(clock) - start, 5 * MSEC);
        struct timespec until = t_spec(t_now(clock) + 5 * MSEC);
        CHECK_OK(clock_nanosleep(clock, TIMER_ABSTIME, &until, NULL));
        CHECK_GE(t_now(clock), until.tv_sec * NSEC + until.tv_nsec);
        CHECK_OK(clock_nanosleep(clock, TIMER_ABSTIME, &past, NULL));
        struct timespec bad = {0, -1};
        CHECK_EQ(clock_nanosleep(clock, 0, &bad, NULL), EINVAL);
    }
    struct timespec span = {0, 1};
    CHECK_EQ(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &span, NULL), EINVAL);
    CHECK_EQ(clock_nanosleep(99, 0, &span, NULL), EINVAL);
    return arg;
}

int main(void)
{
    pthread_t threads[10];
    for (int i = 0; i < 10; i++)
        threads[i] = t_go(body, NULL);
    for (int i = 0; i < 10; i++)
        t_join(threads[i]);
    body(NULL);
    return 0;
}
