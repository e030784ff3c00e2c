/* connect again on a blocking socket whose connection is under way, after SO_SNDTIMEO had ended the first: EALREADY when the time
 * is over again, 0 when it came about, then EISCONN. */
#include "../t.h"

static struct sockaddr_in in;

static void *connects(void *arg)
{
    struct timeval tv = {0, 20000};
    int fds[10], n = 0;
    for (;; n++) { /* fill the queue of connections: the next SYN goes unanswered */
        CHECK(n < 10);
        fds[n] = socket(AF_INET, SOCK_STREAM, 0);
        CHECK_OK(setsockopt(fds[n], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv));
        if (connect(fds[n], (struct sockaddr *)&in, sizeof in) != 0)
            break;
    }
    CHECK_EQ(errno, EINPROGRESS);
    int64_t start = t_now(CLOCK_MONOTONIC);
    for (int i = 0; i < 2; i++)
        CHECK_ERR(connect(fds[n], (struct sockaddr *)&in, sizeof in), EALREADY);
    CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 40 * MSEC);

    CHECK_OK(listen(*(int *)arg, 16)); /* room: the SYN comes again in a second */
    tv = (struct timeval){0, 0};
    CHECK_OK(setsockopt(fds[n], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv));
    CHECK_OK(connect(fds[n], (struct sockaddr *)&in, sizeof in));
    CHECK_ERR(connect(fds[n], (struct sockaddr *)&in, sizeof in), EISCONN);
    return arg;
}

int main(void)
{
    int listener = t_listen(&in, 1);
    t_join(t_go(connects, &listener));
    return 0;
}
