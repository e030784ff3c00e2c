/* Copies of a socket's descriptor made by sendmmsg, or by pidfd_getfd: O_NONBLOCK set through the copy holds at the next call on
 * the first, though the copy was not made by dup. */
#include "../t.h"

static int by_sendmmsg(int fd)
{
    int via[2], copy;
    char control[CMSG_SPACE(sizeof fd)] = {0}, byte = 'm';
    struct iovec v = {&byte, 1};
    struct mmsghdr m = {.msg_hdr = {.msg_iov = &v,
                                    .msg_iovlen = 1,
                                    .msg_control = control,
                                    .msg_controllen = sizeof control}};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m.msg_hdr);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    CHECK_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, via));
    CHECK_EQ(sendmmsg(via[0], &m, 1, MSG_DONTWAIT), 1);
    CHECK_EQ(recvmsg(via[1], &m.msg_hdr, 0), 1);
    memcpy(&copy, CMSG_DATA(CMSG_FIRSTHDR(&m.msg_hdr)), sizeof copy);
    close(via[0]);
    close(via[1]);
    return copy;
}

static int by_pidfd(int fd)
{
    int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    int copy = self < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, self, fd, 0);
    close(self);
    return copy;
}

static void *body(void *arg)
{
    int (*const ways[])(int) = {by_sendmmsg, by_pidfd};
    for (int i = 0; i < 2; i++) {
        int ends[2];
        char byte;
        t_pair(ends);
        t_write_all(ends[1], "x", 1); /* used before, as a blocking one */
        t_read_all(ends[0], &byte, 1);
        int copy = ways[i](ends[0]);
        if (copy < 0 && i == 1)
            break; /* not here */
        CHECK_OK(fcntl(copy, F_SETFL, O_NONBLOCK));
        CHECK_ERR(read(ends[0], &byte, 1), EAGAIN);
        CHECK_OK(close(copy));
        CHECK_ERR(read(ends[0], &byte, 1), EAGAIN);
        close(ends[0]);
        close(ends[1]);
    }
    return arg;
}

int main(void)
{
    t_join(t_go(body, NULL));
    return 0;
}
