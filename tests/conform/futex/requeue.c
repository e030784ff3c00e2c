/* FUTEX_REQUEUE and FUTEX_CMP_REQUEUE wake, move and count as told; CMP_REQUEUE compares first. */
#include "futex.h"

#define THREADS 12
static uint32_t from, mid, to = 5;
static int flag;

static void *body(void *arg)
{
    CHECK_EQ(futex(&from, FUTEX_WAIT | flag, 0, NULL, NULL, 0), 0);
    return arg;
}

int main(void)
{
    for (flag = 0; flag <= PRIVATE; flag += PRIVATE) {
        pthread_t threads[THREADS];
        for (int i = 0; i < THREADS; i++)
            threads[i] = t_go(body, NULL);
        gather(&from, &mid, THREADS, flag);
        mid = 3;
        CHECK_ERR(futex(&mid, FUTEX_CMP_REQUEUE | flag, 1, COUNT(1), &to, 4), EAGAIN);
        CHECK_WAKES(futex(&mid, FUTEX_CMP_REQUEUE | flag, 2, COUNT(3), &to, 3), 5, &from,
                    flag); /* 2 woken, 3 moved */
        CHECK_WAKES(futex(&to, FUTEX_WAKE | flag, INT_MAX, NULL, NULL, 0), 3, &from, flag);
        CHECK_WAKES(futex(&mid, FUTEX_REQUEUE | flag, 1, COUNT(1), &to, 0), 2, &from, flag);
        long rest = futex(&mid, FUTEX_WAKE | flag, INT_MAX, NULL, NULL, 0);
        rest += futex(&to, FUTEX_WAKE | flag, INT_MAX, NULL, NULL, 0);
        CHECK_WAKES(rest, THREADS - 6, &from, flag);
        for (int i = 0; i < THREADS; i++)
            t_join(threads[i]);
        mid = 0;
    }
    return 0;
}
