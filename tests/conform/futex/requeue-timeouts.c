/* FUTEX_REQUEUE and FUTEX_CMP_REQUEUE against waiters whose time is up: nobody is lost, in two lists, or counted for nothing. */
#include "futex.h"

enum { WAITERS = 4, MOVES = 20000 };
static uint32_t from, to;
static _Atomic int woken, stop;

static void *waits(void *arg)
{
    for (long i = (intptr_t)arg; !stop; i++) {
        struct timespec t = {0, i % 5 * 1000 + 1};
        if (futex(&from, FUTEX_WAIT | PRIVATE, 0, &t, NULL, 0) == 0)
            woken++;
        else
            CHECK_EQ(errno, ETIMEDOUT);
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[WAITERS];
    long counted = 0, moved = 0;
    for (intptr_t i = 0; i < WAITERS; i++)
        threads[i] = t_go(waits, (void *)i);
    for (int i = 0; i < MOVES; i++) {
        long n = i % 2 ? futex(&from, FUTEX_REQUEUE | PRIVATE, 0, COUNT(1), &to, 0)
                       : futex(&from, FUTEX_CMP_REQUEUE | PRIVATE, 0, COUNT(2), &to, 0);
        CHECK(n >= 0 && n <= 2);
        moved += n;
        n = futex(&to, FUTEX_WAKE | PRIVATE, INT_MAX, NULL, NULL, 0);
        CHECK_GE(n, 0);
        counted += n;
        if (i % 16 == 0)
            sched_yield();
    }
    stop = 1;
    for (int i = 0; i < WAITERS; i++)
        t_join(threads[i]);
    CHECK_EQ(woken, counted);
    CHECK(counted <= moved); /* whose time was up after the move was moved and not woken */
    return 0;
}
