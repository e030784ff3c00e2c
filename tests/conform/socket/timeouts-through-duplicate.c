/* SO_RCVTIMEO and SO_SNDTIMEO belong to the socket: set through a duplicate, they hold for calls on the first descriptor, and are
 * told there. */
#include "../t.h"

static char junk[65536];

static void *times_out(void *arg)
{
    int ends[2];
    char byte;
    struct timeval tv = {0, 20000}, told = {0};
    socklen_t length = sizeof told;
    if (arg)
        t_tcp(ends);
    else
        t_pair(ends);
    t_write_all(ends[1], "x", 1); /* used before, both ways */
    t_read_all(ends[0], &byte, 1);
    t_write_all(ends[0], "x", 1);
    int copy = dup(ends[0]);
    CHECK_OK(setsockopt(copy, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
    CHECK_OK(setsockopt(copy, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv));
    CHECK_OK(close(copy));
    CHECK_OK(getsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &told, &length));
    CHECK(told.tv_sec == 0 && told.tv_usec > 0);
    int64_t start = t_now(CLOCK_MONOTONIC);
    CHECK_ERR(read(ends[0], &byte, 1), EAGAIN);
    CHECK_ERR(recv(ends[0], &byte, 1, 0), EAGAIN);
    CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 40 * MSEC);

    start = t_now(CLOCK_MONOTONIC);
    while (write(ends[0], junk, sizeof junk) > 0)
        ;
    CHECK_EQ(errno, EAGAIN);
    CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 20 * MSEC);

    /* and through the first one, for a duplicate made before */
    copy = dup(ends[1]);
    CHECK_OK(setsockopt(ends[1], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
    while (recv(copy, junk, sizeof junk, 0) > 0)
        ;
    CHECK_EQ(errno, EAGAIN);
    return arg;
}

int main(void)
{
    t_join(t_go(times_out, NULL));
    t_join(t_go(times_out, junk));
    return 0;
}
