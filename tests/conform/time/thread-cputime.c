/* CLOCK_THREAD_CPUTIME_ID grows while the thread computes and never runs backwards over waits. */
#include "../t.h"

static void *body(void *arg)
{
    int64_t last = t_now(CLOCK_THREAD_CPUTIME_ID);
    for (int i = 0; i < 20; i++) {
        for (volatile int k = 0; k < 200000; k++)
            ;
        struct timespec tick = {0, 1000};
        nanosleep(&tick, NULL);
    }
    CHECK(t_now(CLOCK_THREAD_CPUTIME_ID) >= last);
    return arg;
}

int main(void)
{
    body(NULL);
    t_join(t_go(body, NULL));
    CHECK(t_now(CLOCK_PROCESS_CPUTIME_ID) > 0);
    return 0;
}
