/* FUTEX_WAIT: EAGAIN when the value differs, ETIMEDOUT after the relative time, EINVAL for bad
 * times, EFAULT for bad addresses. */
#include "futex.h"

static void *body(void *arg)
{
    uint32_t word = 7;
    for (int flag = 0; flag <= PRIVATE; flag += PRIVATE) {
        CHECK_ERR(futex(&word, FUTEX_WAIT | flag, 8, NULL, NULL, 0), EAGAIN);
        struct timespec wait = t_spec(10 * MSEC), zero = {0, 0};
        int64_t start = t_now(CLOCK_MONOTONIC);
        CHECK_ERR(futex(&word, FUTEX_WAIT | flag, 7, &wait, NULL, 0), ETIMEDOUT);
        CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 10 * MSEC);
        CHECK_ERR(futex(&word, FUTEX_WAIT | flag, 7, &zero, NULL, 0), ETIMEDOUT);
        CHECK_ERR(futex(&word, FUTEX_WAIT | flag, 8, &zero, NULL, 0), EAGAIN);
        struct timespec negative = {-1, 0}, below = {0, -1}, over = {0, 1000000000};
        CHECK_ERR(futex(&word, FUTEX_WAIT | flag, 7, &negative, NULL, 0), EINVAL);
        CHECK_ERR(futex(&word, FUTEX_WAIT | flag, 7, &below, NULL, 0), EINVAL);
        CHECK_ERR(futex(&word, FUTEX_WAIT | flag, 7, &over, NULL, 0), EINVAL);
        CHECK_ERR(futex((char *)&word + 1, FUTEX_WAIT | flag, 7, NULL, NULL, 0), EINVAL);
        CHECK_ERR(futex(NULL, FUTEX_WAIT | flag, 7, NULL, NULL, 0), EFAULT);
        CHECK_ERR(futex(t_bad(), FUTEX_WAIT | flag, 7, NULL, NULL, 0), EFAULT);
        CHECK_ERR(futex((void *)-4096, FUTEX_WAIT | flag, 7, NULL, NULL, 0), EFAULT);
        CHECK_ERR(futex(&word, FUTEX_WAIT | flag, 7, t_bad(), NULL, 0), EFAULT);
        CHECK_ERR(futex(&word, FUTEX_WAIT_BITSET | flag, 7, NULL, NULL, 0), EINVAL);
        CHECK_ERR(futex(&word, FUTEX_WAKE_BITSET | flag, 1, NULL, NULL, 0), EINVAL);
        CHECK_EQ(futex(&word, FUTEX_WAKE | flag, 1, NULL, NULL, 0), 0);
        CHECK_ERR(futex((char *)&word + 2, FUTEX_WAKE | flag, 1, NULL, NULL, 0), EINVAL);
    }
    CHECK_ERR(futex(&word, 99, 7, NULL, NULL, 0), ENOSYS);
    return arg;
}

int main(void)
{
    body(NULL);
    t_join(t_go(body, NULL));
    return 0;
}
