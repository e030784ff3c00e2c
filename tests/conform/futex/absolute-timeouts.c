/* FUTEX_WAIT_BITSET takes an absolute time, monotonic or (FUTEX_CLOCK_REALTIME) of the wall. */
#include "futex.h"

static void *body(void *arg)
{
    uint32_t word = 0;
    static const clockid_t clocks[] = {CLOCK_MONOTONIC, CLOCK_REALTIME};
    for (int c = 0; c < 2; c++)
        for (int flag = 0; flag <= PRIVATE; flag += PRIVATE) {
            int op = FUTEX_WAIT_BITSET | flag | (c ? FUTEX_CLOCK_REALTIME : 0);
            struct timespec until = t_spec(t_now(clocks[c]) + 10 * MSEC), past = {1, 0};
            CHECK_ERR(futex(&word, op, 0, &until, NULL, FUTEX_BITSET_MATCH_ANY), ETIMEDOUT);
            CHECK_GE(t_now(clocks[c]), until.tv_sec * NSEC + until.tv_nsec);
            CHECK_ERR(futex(&word, op, 0, &past, NULL, FUTEX_BITSET_MATCH_ANY), ETIMEDOUT);
            CHECK_ERR(futex(&word, op, 1, &past, NULL, FUTEX_BITSET_MATCH_ANY), EAGAIN);
        }
    struct timespec any = {1, 0};
    CHECK_ERR(futex(&word, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 0, &any, NULL, 0), ENOSYS);
    return arg;
}

int main(void)
{
    body(NULL);
    pthread_t threads[5];
    for (int i = 0; i < 5; i++)
        threads[i] = t_go(body, NULL);
    for (int i = 0; i < 5; i++)
        t_join(threads[i]);
    return 0;
}
