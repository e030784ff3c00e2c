/* shutdown ends the calls that wait for a datagram: they answer 0, as do later ones, also where it answers ENOTCONN itself.
 * A server ends its UDP threads this way. */
#include "../t.h"

static int fd;

static void *receives(void *arg)
{
    char data[8];
    CHECK_EQ(recv(fd, data, sizeof data, 0), 0);
    return arg;
}

static void *reads(void *arg)
{
    char data[8];
    CHECK_EQ(read(fd, data, sizeof data), 0);
    return arg;
}

static void *takes_many(void *arg)
{
    char data[8];
    struct iovec v = {data, sizeof data};
    struct mmsghdr m = {.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}};
    CHECK_EQ(recvmmsg(fd, &m, 1, 0, NULL), 1);
    CHECK_EQ(m.msg_len, 0);
    return arg;
}

static void shut(int how, int error)
{
    pthread_t threads[] = {t_go(receives, NULL), t_go(reads, NULL), t_go(takes_many, NULL)};
    t_settle();
    if (error)
        CHECK_ERR(shutdown(fd, how), error);
    else
        CHECK_OK(shutdown(fd, how));
    for (int i = 0; i < 3; i++)
        t_join(threads[i]);
    receives(NULL);
    t_join(t_go(reads, NULL));
    close(fd);
}

static int udp(int connected)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK_OK(bind(s, (struct sockaddr *)&address, length));
    CHECK_OK(getsockname(s, (struct sockaddr *)&address, &length));
    if (connected)
        CHECK_OK(connect(s, (struct sockaddr *)&address, length));
    return s;
}

static void *nothing(void *arg)
{
    return arg;
}

int main(void)
{
    const int types[] = {SOCK_DGRAM, SOCK_SEQPACKET};
    const int hows[] = {SHUT_RD, SHUT_RDWR};
    t_join(t_go(nothing, NULL));
    for (int i = 0; i < 2; i++) {
        for (int type = 0; type < 2; type++) {
            int ends[2];
            CHECK_OK(socketpair(AF_UNIX, types[type], 0, ends));
            fd = ends[0];
            shut(hows[i], 0);
            close(ends[1]);
        }
        fd = udp(0);
        shut(hows[i], ENOTCONN);
        fd = udp(1);
        shut(hows[i], 0);
    }
    return 0;
}
