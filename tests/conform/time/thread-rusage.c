/* getrusage(RUSAGE_THREAD): the thread's own time, never backwards, with its waits as voluntary switches. */
#include "../t.h"

static int64_t total(const struct rusage *ru)
{
    return ((ru->ru_utime.tv_sec + ru->ru_stime.tv_sec) * 1000000 + ru->ru_utime.tv_usec + ru->ru_stime.tv_usec) * 1000;
}

static void *body(void *arg)
{
    struct rusage first, last, now;
    struct timespec tick = {0, MSEC};
    CHECK_OK(getrusage(RUSAGE_THREAD, &first));
    last = first;
    int64_t clock = t_now(CLOCK_THREAD_CPUTIME_ID);
    for (int i = 0; i < 20; i++) {
        for (volatile int k = 0; k < 200000; k++)
            ;
        nanosleep(&tick, NULL);
        CHECK_OK(getrusage(RUSAGE_THREAD, &now));
        CHECK_GE(now.ru_utime.tv_sec * 1000000 + now.ru_utime.tv_usec,
                 last.ru_utime.tv_sec * 1000000 + last.ru_utime.tv_usec);
        CHECK_GE(now.ru_stime.tv_sec * 1000000 + now.ru_stime.tv_usec,
                 last.ru_stime.tv_sec * 1000000 + last.ru_stime.tv_usec);
        CHECK_GE(now.ru_minflt, last.ru_minflt);
        CHECK_GE(now.ru_nvcsw, last.ru_nvcsw);
        last = now;
    }
    CHECK_GE(last.ru_nvcsw, first.ru_nvcsw + 10);
    CHECK(total(&last) > total(&first));
    CHECK(total(&last) - total(&first) <= t_now(CLOCK_THREAD_CPUTIME_ID) - clock + 2 * MSEC);
    return arg;
}

int main(void)
{
    pthread_t one = t_go(body, NULL), two = t_go(body, NULL);
    body(NULL);
    t_join(one);
    t_join(two);
    return 0;
}
