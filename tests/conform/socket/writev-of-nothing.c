/* writev of no bytes does not reach the socket: no empty datagram is sent and no error found, unlike with write and sendmsg.
 * readv into no bytes does not wait. */
#include "../t.h"

static void *body(void *arg)
{
    const int types[] = {SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM};
    char b[8];
    struct iovec v[2] = {{b, 0}, {b, 0}};
    struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};
    for (int i = 0; i < 3; i++) {
        int ends[2];
        CHECK_OK(socketpair(AF_UNIX, types[i], 0, ends));
        CHECK_EQ(writev(ends[0], v, 2), 0);
        CHECK_EQ(writev(ends[0], v, 0), 0);
        CHECK_ERR(recv(ends[1], b, 8, MSG_DONTWAIT), EAGAIN);
        CHECK_EQ(readv(ends[1], v, 2), 0);
        CHECK_EQ(readv(ends[1], v, 0), 0);
        if (types[i] != SOCK_STREAM) {
            CHECK_EQ(sendmsg(ends[0], &m, 0), 0);
            CHECK_EQ(write(ends[0], b, 0), 0);
            for (int n = 0; n < 2; n++)
                CHECK_EQ(recv(ends[1], b, 8, MSG_DONTWAIT), 0);
            CHECK_ERR(recv(ends[1], b, 8, MSG_DONTWAIT), EAGAIN);
        }
        CHECK_OK(shutdown(ends[0], SHUT_WR));
        CHECK_EQ(writev(ends[0], v, 2), 0);
        close(ends[0]);
        close(ends[1]);
    }
    return arg;
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    t_join(t_go(body, NULL));
    return 0;
}
