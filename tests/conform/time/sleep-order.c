/* Two hundred sleepers with absolute deadlines all wake, none before its time, though made in
 * reverse. */
#include "../t.h"

static int64_t base;

static void *body(void *arg)
{
    struct timespec until = t_spec(base + (intptr_t)arg * MSEC / 4);
    CHECK_OK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL));
    CHECK_GE(t_now(CLOCK_MONOTONIC), until.tv_sec * NSEC + until.tv_nsec);
    return NULL;
}

int main(void)
{
    pthread_t threads[200];
    base = t_now(CLOCK_MONOTONIC) + 20 * MSEC;
    for (intptr_t i = 199; i >= 0; i--)
        threads[i] = t_go(body, (void *)(i * 37 % 200));
    for (int i = 0; i < 200; i++)
        t_join(threads[i]);
    return 0;
}
