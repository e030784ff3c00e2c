/* An error that ends a call after a part of it is told by the next call: the call itself answers with the part, without
 * SIGPIPE. Else a program takes a reset for an end. */
#include "../t.h"
#include <sys/ioctl.h>

#define SIZE (20 << 20)
static int ends[2];
static volatile int caught;
static char *data;

static void handler(int number)
{
    (void)number;
    caught++;
}

static void reset(int fd)
{
    struct linger at_once = {1, 0};
    CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once));
    CHECK_OK(close(fd));
}

static int waiting(int fd)
{
    int bytes;
    CHECK_OK(ioctl(fd, FIONREAD, &bytes));
    return bytes;
}

static void *sends(void *arg)
{
    ssize_t n = arg ? send(ends[0], data, SIZE, 0) : write(ends[0], data, SIZE);
    CHECK(n > 0 && n < SIZE);
    CHECK_EQ(caught, 0);
    CHECK_ERR(send(ends[0], data, 1000, 0), ECONNRESET);
    CHECK_EQ(caught, 0);
    CHECK_ERR(send(ends[0], data, 1000, 0), EPIPE);
    CHECK_EQ(caught, 1);
    return NULL;
}

static void *waits_for_all(void *arg)
{
    char b[20];
    CHECK_EQ(recv(ends[0], b, 20, MSG_WAITALL), 10);
    CHECK_ERR(recv(ends[0], b, 20, 0), ECONNRESET);
    CHECK_EQ(recv(ends[0], b, 20, 0), 0);
    return arg;
}

static void *takes_two(void *arg)
{
    char b[2][8];
    struct iovec v[2] = {{b[0], 8}, {b[1], 8}};
    struct mmsghdr m[2] = {{.msg_hdr = {.msg_iov = &v[0], .msg_iovlen = 1}},
                           {.msg_hdr = {.msg_iov = &v[1], .msg_iovlen = 1}}};
    CHECK_EQ(recvmmsg(ends[0], m, 2, 0, NULL), 1);
    CHECK_ERR(recv(ends[0], b[0], 8, 0), ECONNREFUSED);
    return arg;
}

static void udp(void)
{
    struct sockaddr_in at[2];
    for (int i = 0; i < 2; i++) {
        socklen_t length = sizeof at[i];
        at[i] =
            (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        ends[i] = socket(AF_INET, SOCK_DGRAM, 0);
        CHECK_OK(bind(ends[i], (struct sockaddr *)&at[i], length));
        CHECK_OK(getsockname(ends[i], (struct sockaddr *)&at[i], &length));
    }
    for (int i = 0; i < 2; i++)
        CHECK_OK(connect(ends[i], (struct sockaddr *)&at[1 - i], sizeof at[i]));
}

static void *nothing(void *arg)
{
    return arg;
}

int main(void)
{
    struct sigaction action = {.sa_handler = handler};
    CHECK_OK(sigaction(SIGPIPE, &action, NULL));
    t_join(t_go(nothing, NULL));
    data = calloc(1, SIZE);
    for (int with_send = 0; with_send < 2; with_send++) {
        t_tcp(ends);
        caught = 0;
        pthread_t thread = t_go(sends, with_send ? data : NULL);
        while (waiting(ends[1]) == 0)
            t_settle();
        reset(ends[1]);
        t_join(thread);
        close(ends[0]);
    }
    free(data);

    t_tcp(ends);
    t_write_all(ends[1], "0123456789", 10);
    pthread_t thread = t_go(waits_for_all, NULL);
    t_settle();
    reset(ends[1]);
    t_join(thread);
    close(ends[0]);

    /* the first datagram taken, the call waits for a second: the peer is gone */
    udp();
    CHECK_EQ(write(ends[1], "1", 1), 1);
    thread = t_go(takes_two, NULL);
    while (waiting(ends[0]) > 0)
        t_settle();
    t_settle();
    CHECK_OK(close(ends[1]));
    CHECK_EQ(write(ends[0], "x", 1), 1);
    t_join(thread);
    return 0;
}
