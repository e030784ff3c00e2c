/* nanosleep and usleep never return early; bad times are EINVAL, bad pointers EFAULT; zero returns.
 */
#include "../t.h"

static void *body(void *arg)
{
    static const int64_t spans[] = {0, 1, 1000, 50000, MSEC, 15 * MSEC};
    for (int i = 0; i < 6; i++) {
        struct timespec span = t_spec(spans[i]);
        int64_t start = t_now(CLOCK_MONOTONIC);
        CHECK_OK(nanosleep(&span, NULL));
        CHECK_GE(t_now(CLOCK_MONOTONIC) - start, spans[i]);
    }
    int64_t start = t_now(CLOCK_MONOTONIC);
    CHECK_OK(usleep(3000));
    CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 3 * MSEC);
    struct timespec bad = {0, 1000000000}, negative = {-1, 0};
    CHECK_ERR(nanosleep(&bad, NULL), EINVAL);
    CHECK_ERR(nanosleep(&negative, NULL), EINVAL);
    CHECK_ERR(syscall(SYS_nanosleep, t_bad(), NULL), EFAULT);
    return arg;
}

int main(void)
{
    pthread_t threads[10];
    body(NULL);
    for (int i = 0; i < 10; i++)
        threads[i] = t_go(body, NULL);
    for (int i = 0; i < 10; i++)
        t_join(threads[i]);
    return 0;
}
