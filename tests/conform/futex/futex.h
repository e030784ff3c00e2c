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

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif
/* struct futex_waitv, of headers that may be older; and its flags for a private word. */
struct waiter {
    uint64_t value, address;
    uint32_t flags, reserved;
};
#define FLAGS (2 | FUTEX_PRIVATE_FLAG) /* FUTEX2_SIZE_U32 */

#define COUNT(n) ((const void *)(uintptr_t)(n))

/* gather: move `count` waiters, however late they come, from one word to another, where nobody waits yet; none wakes. One that the
 * kernel sent back to its first word (see below) was moved twice and would count twice, so all are moved aside and counted on
 * their way back, until they are `count` at once. */
T_UNUSED static void gather(uint32_t *from, uint32_t *to, int count, int flag)
{
    static uint32_t aside;
    for (;;) {
        long n = futex(from, FUTEX_REQUEUE | flag, 0, COUNT(INT_MAX), &aside, 0);
        CHECK_GE(n, 0);
        CHECK_GE(futex(to, FUTEX_REQUEUE | flag, 0, COUNT(INT_MAX), &aside, 0), 0);
        n = futex(&aside, FUTEX_REQUEUE | flag, 0, COUNT(INT_MAX), to, 0);
        CHECK(n >= 0 && n <= count);
        if (n == count)
            return;
        sched_yield();
    }
}

/* The kernel may wake a requeued waiter for reasons of its own (a late wake-up of a lock inside
 * it); the waiter then waits anew on the word it named first. That is no error, but spoils the
 * counts. CHECK_WAKES: the count is right, or such a straggler is on `first`, and the program
 * starts over. */
T_UNUSED static void start_over_if_stray(uint32_t *first, int flag)
{
    static uint32_t aside;
    for (int i = 0; i < 300; i++) {
        if (futex(first, FUTEX_REQUEUE | flag, 0, COUNT(INT_MAX), &aside, 0) > 0)
            execl("/proc/self/exe", "again", (char *)NULL);
        t_settle(); /* it may still be on its way there, on a busy machine */
    }
}

#define CHECK_WAKES(call, want, first, flag)                                                       \
    do {                                                                                           \
        long long t_woke_ = (call);                                                                \
        if (t_woke_ != (long long)(want))                                                          \
            start_over_if_stray(first, flag);                                                      \
        CHECK_EQ(t_woke_, want);                                                                   \
    } while (0)

#endif
