/* Which sockets send SIGPIPE with EPIPE: streams do, without MSG_NOSIGNAL; datagrams and sequenced packets never do. A program
 * that does not ignore it would die. */
#include "../t.h"

static volatile int caught;

static void handler(int number)
{
    (void)number;
    caught++;
}

/* Every way to send is EPIPE, with a signal each or with none. */
static void broken(int fd, int signals)
{
    struct iovec v = {(void *)(uintptr_t) "x", 1};
    struct mmsghdr m = {.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}};
    caught = 0;
    CHECK_ERR(write(fd, "x", 1), EPIPE);
    CHECK_EQ(caught, signals ? 1 : 0);
    CHECK_ERR(writev(fd, &v, 1), EPIPE);
    CHECK_EQ(caught, signals ? 2 : 0);
    CHECK_ERR(send(fd, "x", 1, 0), EPIPE);
    CHECK_EQ(caught, signals ? 3 : 0);
    CHECK_ERR(send(fd, "x", 1, MSG_DONTWAIT), EPIPE);
    CHECK_EQ(caught, signals ? 4 : 0);
    CHECK_ERR(sendmsg(fd, &m.msg_hdr, 0), EPIPE);
    CHECK_EQ(caught, signals ? 5 : 0);
    CHECK_ERR(sendmmsg(fd, &m, 1, 0), EPIPE);
    CHECK_EQ(caught, signals ? 6 : 0);
    CHECK_ERR(send(fd, "x", 1, MSG_NOSIGNAL), EPIPE);
    CHECK_EQ(caught, signals ? 6 : 0);
}

static void *unix_kinds(void *arg)
{
    const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
    for (int i = 0; i < 3; i++)
        for (int how = 0; how < 3; how++) {
            int ends[2];
            CHECK_OK(socketpair(AF_UNIX, types[i], 0, ends));
            if (how == 0)
                CHECK_OK(shutdown(ends[0], SHUT_WR));
            else if (how == 1)
                CHECK_OK(shutdown(ends[1], SHUT_RD));
            else
                CHECK_OK(close(ends[1]));
            if (how == 2 && types[i] == SOCK_DGRAM) {
                caught = 0;
                CHECK_ERR(write(ends[0], "x", 1), ECONNREFUSED);
                CHECK_EQ(caught, 0);
            } else {
                broken(ends[0], types[i] == SOCK_STREAM);
            }
            close(ends[0]);
            if (how != 2)
                close(ends[1]);
        }
    return arg;
}

static void *inet_kinds(void *arg)
{
    int ends[2];
    t_tcp(ends);
    CHECK_OK(shutdown(ends[0], SHUT_WR));
    broken(ends[0], 1);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK_OK(bind(fd, (struct sockaddr *)&address, length));
    CHECK_OK(getsockname(fd, (struct sockaddr *)&address, &length));
    CHECK_OK(connect(fd, (struct sockaddr *)&address, length));
    CHECK_OK(shutdown(fd, SHUT_WR));
    broken(fd, 0);
    return arg;
}

int main(void)
{
    struct sigaction action = {.sa_handler = handler};
    CHECK_OK(sigaction(SIGPIPE, &action, NULL));
    t_join(t_go(unix_kinds, NULL));
    t_join(t_go(inet_kinds, NULL));
    return 0;
}
