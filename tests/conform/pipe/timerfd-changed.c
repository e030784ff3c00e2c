/* A timerfd changed under a waiting reader: armed, armed again for earlier, disarmed and armed;
 * absolute times, past ones, periods, and timers that would be cancelled by setting the clock. */
#include "../t.h"
#include <sys/timerfd.h>

static int fd;
static int64_t returned;

static void *reads(void *arg)
{
    uint64_t ticks;
    CHECK_EQ(read(fd, &ticks, 8), 8);
    CHECK_GE(ticks, 1);
    returned = t_now(CLOCK_MONOTONIC);
    return arg;
}

static void arm(int flags, int64_t first, int64_t period)
{
    struct itimerspec spec = {t_spec(period), t_spec(first)};
    CHECK_OK(timerfd_settime(fd, flags, &spec, NULL));
}

int main(void)
{
    uint64_t ticks;
    fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    pthread_t thread = t_go(reads, NULL); /* disarmed */
    t_settle();
    int64_t start = t_now(CLOCK_MONOTONIC);
    arm(0, 3 * MSEC, 0);
    t_join(thread);
    CHECK_GE(returned - start, 3 * MSEC);

    arm(0, 3600 * NSEC, 0);
    thread = t_go(reads, NULL);
    t_settle();
    arm(0, MSEC, 0);
    t_join(thread);

    arm(0, 3600 * NSEC, 0);
    thread = t_go(reads, NULL);
    t_settle();
    arm(0, 0, 0);
    struct itimerspec now;
    CHECK_OK(timerfd_gettime(fd, &now));
    CHECK_EQ(now.it_value.tv_sec + now.it_value.tv_nsec, 0);
    start = t_now(CLOCK_MONOTONIC);
    arm(TFD_TIMER_ABSTIME, start + 4 * MSEC, 0);
    t_join(thread);
    CHECK_GE(returned, start + 4 * MSEC);

    arm(TFD_TIMER_ABSTIME, 1, 0); /* long ago */
    t_join(t_go(reads, NULL));
    arm(TFD_TIMER_ABSTIME, 1, MSEC);
    CHECK_EQ(read(fd, &ticks, 8), 8);
    CHECK_GE(ticks, 1000); /* every period missed since the start of the clock */
    arm(0, 0, 0);
    CHECK_ERR(read(fd, &ticks, 4), EINVAL);
    close(fd);

    fd = timerfd_create(CLOCK_REALTIME, 0);
    int64_t wall = t_now(CLOCK_REALTIME);
    struct itimerspec spec = {{0, 0}, t_spec(wall + 3 * MSEC)};
    CHECK_OK(timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &spec, NULL));
    thread = t_go(reads, NULL);
    t_join(thread);
    CHECK_GE(t_now(CLOCK_REALTIME), wall + 3 * MSEC);
    close(fd);

    /* several readers of one period: each tick to one */
    fd = timerfd_create(CLOCK_MONOTONIC, 0);
    arm(0, MSEC, MSEC);
    pthread_t threads[5];
    for (int i = 0; i < 5; i++)
        threads[i] = t_go(reads, NULL);
    for (int i = 0; i < 5; i++)
        t_join(threads[i]);
    return 0;
}
