/* FUTEX_WAKE_BITSET wakes only waiters whose bits meet; FUTEX_WAKE meets all; bits survive a
 * requeue. */
#include "futex.h"

static uint32_t from, to;
static _Atomic uint32_t woken;

static void *body(void *arg)
{
    uint32_t bits = (uint32_t)(uintptr_t)arg;
    CHECK_EQ(futex(&from, FUTEX_WAIT_BITSET | PRIVATE, 0, NULL, NULL, bits), 0);
    woken |= bits;
    return NULL;
}

int main(void)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        threads[i] = t_go(body, (void *)(uintptr_t)(1u << i));
    gather(&from, &to, 4, PRIVATE);
    CHECK_WAKES(futex(&to, FUTEX_WAKE_BITSET | PRIVATE, INT_MAX, NULL, NULL, 0xf0), 0, &from,
                PRIVATE);
    CHECK_WAKES(futex(&to, FUTEX_WAKE_BITSET | PRIVATE, INT_MAX, NULL, NULL, 4), 1, &from, PRIVATE);
    t_join(threads[2]);
    CHECK_EQ(woken, 4);
    CHECK_WAKES(futex(&to, FUTEX_WAKE_BITSET | PRIVATE, INT_MAX, NULL, NULL, 3), 2, &from, PRIVATE);
    t_join(threads[0]);
    t_join(threads[1]);
    CHECK_EQ(woken, 7);
    CHECK_WAKES(futex(&to, FUTEX_WAKE | PRIVATE, INT_MAX, NULL, NULL, 0), 1, &from, PRIVATE);
    t_join(threads[3]);
    return 0;
}
