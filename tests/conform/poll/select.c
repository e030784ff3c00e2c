/* select and pselect in threads: readiness in all three sets, timeouts never early, EBADF, EINVAL.
 */
#include "../t.h"
#include <sys/select.h>

static int ends[2];

static void *waits(void *arg)
{
    fd_set in, out;
    FD_ZERO(&in);
    FD_SET(ends[0], &in);
    CHECK_EQ(select(ends[0] + 1, &in, NULL, NULL, NULL), 1);
    CHECK(FD_ISSET(ends[0], &in));
    FD_ZERO(&out);
    FD_SET(ends[1], &out);
    CHECK_EQ(pselect(1024, &in, &out, NULL, NULL, NULL), 2);
    return arg;
}

static void *times_out(void *arg)
{
    int own[2];
    fd_set in;
    t_pair(own);
    FD_ZERO(&in);
    FD_SET(own[0], &in);
    struct timeval tv = {0, 10000};
    int64_t start = t_now(CLOCK_MONOTONIC);
    CHECK_EQ(select(own[0] + 1, &in, NULL, NULL, &tv), 0);
    CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 10 * MSEC);
    CHECK(!FD_ISSET(own[0], &in));
    tv = (struct timeval){0, 0};
    CHECK_EQ(select(0, NULL, NULL, NULL, &tv), 0);
    struct timespec spec = t_spec(10 * MSEC);
    start = t_now(CLOCK_MONOTONIC);
    CHECK_EQ(pselect(0, NULL, NULL, NULL, &spec, NULL), 0);
    CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 10 * MSEC);
    close(own[0]);
    CHECK_ERR(select(-1, &in, NULL, NULL, NULL), EINVAL);
    close(own[1]);
    return arg;
}

int main(void)
{
    pthread_t threads[10];
    t_pair(ends);
    CHECK_OK(close(ends[0]));
    fd_set in;
    FD_ZERO(&in);
    FD_SET(ends[0], &in);
    CHECK_ERR(select(ends[0] + 1, &in, NULL, NULL, NULL), EBADF);
    CHECK_OK(close(ends[1]));
    t_pair(ends);
    for (int i = 0; i < 10; i++)
        threads[i] = t_go(i % 2 ? waits : times_out, NULL);
    t_settle();
    CHECK_EQ(write(ends[1], "x", 1), 1);
    for (int i = 0; i < 10; i++)
        t_join(threads[i]);
    return 0;
}
