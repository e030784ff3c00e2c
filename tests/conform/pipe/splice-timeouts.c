/* SO_RCVTIMEO and SO_SNDTIMEO bound a splice or sendfile that waits for the socket: EAGAIN when the time is over. */
#include "../t.h"
#include <sys/sendfile.h>

static char junk[65536];

static void *times_out(void *arg)
{
    int ends[2], p[2], file = open("/proc/self/exe", O_RDONLY);
    struct timeval tv = {0, 20000};
    off_t at = 0;
    if (arg)
        t_tcp(ends);
    else
        t_pair(ends);
    CHECK_OK(pipe(p));
    CHECK_OK(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
    CHECK_OK(setsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv));
    int64_t start = t_now(CLOCK_MONOTONIC);
    CHECK_ERR(splice(ends[0], NULL, p[1], NULL, 10, 0), EAGAIN);
    CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 20 * MSEC);
    if (arg)
        return arg; /* when TCP is full depends on when it is acknowledged */

    for (size_t n = sizeof junk; n > 0;)
        if (send(ends[0], junk, n, MSG_DONTWAIT) < 0) {
            CHECK_EQ(errno, EAGAIN);
            n /= 2;
        }
    t_write_all(p[1], "0123456789", 10);
    start = t_now(CLOCK_MONOTONIC);
    CHECK_ERR(splice(p[0], NULL, ends[0], NULL, 10, 0), EAGAIN);
    CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 20 * MSEC);
    start = t_now(CLOCK_MONOTONIC);
    CHECK_ERR(sendfile(ends[0], file, &at, 10), EAGAIN);
    CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 20 * MSEC);
    return arg;
}

int main(void)
{
    t_join(t_go(times_out, NULL));
    t_join(t_go(times_out, junk));
    return 0;
}
