/* futex_waitv: the index of the word woken, EAGAIN, ETIMEDOUT, EINVAL. */
#include "futex.h"

static uint32_t words[4];

static void *wakes(void *arg)
{
    while (futex(arg, FUTEX_WAKE | PRIVATE, 1, NULL, NULL, 0) == 0)
        sched_yield();
    return NULL;
}

int main(void)
{
    struct waiter v[4];
    for (int i = 0; i < 4; i++)
        v[i] = (struct waiter){0, (uintptr_t)&words[i], FLAGS, 0};
    struct timespec past = {1, 0};
    long rc = syscall(SYS_futex_waitv, v, 4, 0, &past, CLOCK_MONOTONIC);
    if (rc == -1 && errno == ENOSYS)
        t_skip("no futex_waitv");
    CHECK_ERR(syscall(SYS_futex_waitv, v, 4, 0, &past, CLOCK_MONOTONIC), ETIMEDOUT);
    for (int i = 0; i < 4; i++) {
        pthread_t thread = t_go(wakes, &words[i]);
        CHECK_EQ(syscall(SYS_futex_waitv, v, 4, 0, NULL, CLOCK_MONOTONIC), i);
        t_join(thread);
    }
    words[2] = 1;
    CHECK_ERR(syscall(SYS_futex_waitv, v, 4, 0, NULL, CLOCK_MONOTONIC), EAGAIN);
    CHECK_ERR(syscall(SYS_futex_waitv, v, 0, 0, NULL, CLOCK_MONOTONIC), EINVAL);
    CHECK_ERR(syscall(SYS_futex_waitv, v, 4, 1, NULL, CLOCK_MONOTONIC), EINVAL);
    struct timespec until = t_spec(t_now(CLOCK_REALTIME) + 10 * MSEC);
    words[2] = 0;
    CHECK_ERR(syscall(SYS_futex_waitv, v, 4, 0, &until, CLOCK_REALTIME), ETIMEDOUT);
    CHECK_GE(t_now(CLOCK_REALTIME), until.tv_sec * NSEC + until.tv_nsec);
    return 0;
}
