/* Packets over SOCK_SEQPACKET with SCM_RIGHTS: the descriptor that arrives is the one sent, and
 * blocks as it did. */
#include "../t.h"

static int ends[2];

static void *receives(void *arg)
{
    char byte, control[CMSG_SPACE(sizeof(int))];
    struct iovec iov = {&byte, 1};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    CHECK_EQ(recvmsg(ends[1], &msg, MSG_CMSG_CLOEXEC), 1);
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    CHECK(c && c->cmsg_type == SCM_RIGHTS);
    int fd;
    memcpy(&fd, CMSG_DATA(c), sizeof fd);
    CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    CHECK_EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    CHECK_EQ(read(fd, &byte, 1), 1);
    CHECK_EQ(byte, 'q');
    CHECK_EQ(recv(ends[1], &byte, 1, 0), 0);
    return arg;
}

int main(void)
{
    int carried[2];
    char byte = 'z', control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec iov = {&byte, 1};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    CHECK_OK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends));
    t_pair(carried);
    pthread_t thread = t_go(receives, NULL);
    t_settle();
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &carried[1], sizeof(int));
    CHECK_EQ(sendmsg(ends[0], &msg, 0), 1);
    CHECK_OK(close(carried[1]));
    t_settle();
    CHECK_EQ(write(carried[0], "q", 1), 1);
    CHECK_OK(close(ends[0]));
    t_join(thread);
    return 0;
}
