/* timerfd: a read waits for the time, counts what was missed, and O_NONBLOCK is EAGAIN. */
#include "../t.h"
#include <sys/timerfd.h>

static void *body(void *arg)
{
    uint64_t ticks, all = 0;
    int fd = timerfd_create(CLOCK_MONOTONIC, 0);
    CHECK(fd >= 0);
    int64_t start = t_now(CLOCK_MONOTONIC);
    struct itimerspec spec = {{0, 2 * MSEC}, {0, 10 * MSEC}};
    CHECK_OK(timerfd_settime(fd, 0, &spec, NULL));
    while (all < 5) {
        CHECK_EQ(read(fd, &ticks, 8), 8);
        CHECK(ticks > 0);
        all += ticks;
    }
    CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 18 * MSEC);
    close(fd);
    fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    CHECK_ERR(read(fd, &ticks, 8), EAGAIN);
    close(fd);
    return arg;
}

int main(void)
{
    pthread_t threads[10];
    for (int i = 0; i < 10; i++)
        threads[i] = t_go(body, NULL);
    for (int i = 0; i < 10; i++)
        t_join(threads[i]);
    return 0;
}
