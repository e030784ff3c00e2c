/* FUTEX_WAKE wakes as many as it says, and no more than asked for. */
#include "futex.h"

#define THREADS 10
static uint32_t from, to;
static int flag;
static _Atomic int woken;

static void *body(void *arg)
{
    CHECK_EQ(futex(&from, FUTEX_WAIT | flag, 0, NULL, NULL, 0), 0);
    woken++;
    return arg;
}

int main(void)
{
    for (flag = 0; flag <= PRIVATE; flag += PRIVATE) {
        pthread_t threads[THREADS];
        woken = 0;
        for (int i = 0; i < THREADS; i++)
            threads[i] = t_go(body, NULL);
        gather(&from, &to, THREADS, flag);
        CHECK_WAKES(futex(&from, FUTEX_WAKE | flag, INT_MAX, NULL, NULL, 0), 0, &from, flag);
        CHECK_EQ(woken, 0);
        CHECK_WAKES(futex(&to, FUTEX_WAKE | flag, 1, NULL, NULL, 0), 1, &from, flag);
        CHECK_WAKES(futex(&to, FUTEX_WAKE | flag, 3, NULL, NULL, 0), 3, &from, flag);
        CHECK_WAKES(futex(&to, FUTEX_WAKE | flag, INT_MAX, NULL, NULL, 0), THREADS - 4, &from,
                    flag);
        CHECK_WAKES(futex(&to, FUTEX_WAKE | flag, INT_MAX, NULL, NULL, 0), 0, &from, flag);
        for (int i = 0; i < THREADS; i++)
            t_join(threads[i]);
        CHECK_EQ(woken, THREADS);
    }
    return 0;
}
