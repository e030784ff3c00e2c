/* futex.h - the raw futex call, and gather(): how to know, without sleeping, that waiters wait. */
#ifndef FUTEX_H
#define FUTEX_H

#include "../t.h"
#include <linux/futex.h>

#define PRIVATE FUTEX_PRIVATE_FLAG

T_UNUSED static long futex(void *word, int op, uint32_t value, const void *timeout_or_count,
                           void *word2, uint32_t value3)
{
    return syscall(SYS_futex, word, op, value, timeout_or_count, word2, value3);
}

#define COUNT(n) ((const void *)(uintptr_t)(n))

/* gather: move `count` waiters, however late they come, from one word to another; none wakes. */
T_UNUSED static void gather(uint32_t *from, uint32_t *to, int count, int flag)
{
    int moved = 0;
    while (moved < count) {
        long n = futex(from, FUTEX_REQUEUE | flag, 0, COUNT(INT_MAX), to, 0);
        CHECK_GE(n, 0);
        moved += (int)n;
        if (n == 0)
            sched_yield();
    }
    CHECK_EQ(moved, count);
}

#endif
