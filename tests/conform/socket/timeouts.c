/* SO_RCVTIMEO and SO_SNDTIMEO: EAGAIN, never early, for read, accept and write; data in time is
 * taken. */
#include "../t.h"

static void set(int fd, int option, int64_t ns)
{
    struct timeval tv = {ns / NSEC, ns % NSEC / 1000};
    CHECK_OK(setsockopt(fd, SOL_SOCKET, option, &tv, sizeof tv));
}

static void *body(void *arg)
{
    int ends[2];
    char data[8192] = {0};
    t_tcp(ends);
    set(ends[0], SO_RCVTIMEO, 30 * MSEC);
    int64_t start = t_now(CLOCK_MONOTONIC);
    CHECK_ERR(read(ends[0], data, 1), EAGAIN);
    CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 25 * MSEC); /* the kernel counts ticks */
    CHECK_ERR(recv(ends[0], data, 1, 0), EAGAIN);
    struct timeval tv;
    socklen_t length = sizeof tv;
    CHECK_OK(getsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &tv, &length));
    CHECK(tv.tv_sec == 0 && tv.tv_usec > 0);
    set(ends[0], SO_RCVTIMEO, 1000 * NSEC);
    CHECK_EQ(write(ends[1], "k", 1), 1);
    CHECK_EQ(read(ends[0], data, sizeof data), 1);
    CHECK_EQ(write(ends[1], "abc", 3), 3);
    set(ends[0], SO_RCVTIMEO, 20 * MSEC);
    CHECK_EQ(recv(ends[0], data, 10, MSG_WAITALL), 3); /* the time ends it with what there is */

    set(ends[0], SO_SNDTIMEO, 20 * MSEC);
    start = t_now(CLOCK_MONOTONIC);
    ssize_t n;
    while ((n = write(ends[0], data, sizeof data)) > 0) /* parts too: TCP finds room for a while */
        ;
    CHECK_EQ(n, -1);
    CHECK_EQ(errno, EAGAIN);
    CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 15 * MSEC);
    close(ends[0]);
    close(ends[1]);

    struct sockaddr_in address;
    int listener = t_listen(&address, 1);
    set(listener, SO_RCVTIMEO, 20 * MSEC);
    start = t_now(CLOCK_MONOTONIC);
    CHECK_ERR(accept(listener, NULL, NULL), EAGAIN);
    CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 15 * MSEC);
    close(listener);
    return arg;
}

int main(void)
{
    pthread_t threads[5];
    body(NULL);
    for (int i = 0; i < 5; i++)
        threads[i] = t_go(body, NULL);
    for (int i = 0; i < 5; i++)
        t_join(threads[i]);
    return 0;
}
