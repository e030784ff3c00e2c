/* MSG_WAITALL on a unix stream: it goes on to a message with descriptors and takes them, ends after one, and goes on over
 * messages with the same credentials. */
#include "../t.h"

static int ends[2];

static void send_with_fd(const char *data, size_t size)
{
    char control[CMSG_SPACE(sizeof(int))] = {0};
    int fd = 0;
    struct iovec v = {(void *)(uintptr_t)data, size};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    CHECK_EQ(sendmsg(ends[1], &m, 0), size);
}

/* The descriptor that came with it, or -1. */
static int take(ssize_t size, int kind)
{
    char data[10], control[64];
    int fd = -1, found = 0;
    struct iovec v = {data, sizeof data};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    CHECK_EQ(recvmsg(ends[0], &m, MSG_WAITALL), size);
    CHECK_EQ(m.msg_flags, 0);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        CHECK_EQ(c->cmsg_type, kind);
        found++;
        if (c->cmsg_type == SCM_RIGHTS)
            memcpy(&fd, CMSG_DATA(c), sizeof fd);
    }
    CHECK_EQ(found, kind ? 1 : 0);
    return fd;
}

static void *fd_last(void *arg)
{
    t_write_all(ends[1], "abcd", 4);
    t_settle();
    send_with_fd("efghij", 6);
    return arg;
}

static void *fd_first(void *arg)
{
    send_with_fd("abcd", 4);
    t_settle();
    t_write_all(ends[1], "efghij", 6);
    CHECK_OK(shutdown(ends[1], SHUT_WR));
    return arg;
}

static void *no_fd(void *arg)
{
    t_settle();
    t_write_all(ends[1], "efghij", 6);
    return arg;
}

int main(void)
{
    int on = 1, fd;
    char data[10];
    t_pair(ends);
    pthread_t thread = t_go(fd_last, NULL);
    CHECK_GE(fd = take(10, SCM_RIGHTS), 3);
    CHECK_OK(close(fd));
    t_join(thread);

    thread = t_go(fd_last, NULL); /* no place for it: it is closed */
    CHECK_EQ(recv(ends[0], data, 10, MSG_WAITALL), 10);
    CHECK_OK(memcmp(data, "abcdefghij", 10));
    t_join(thread);

    thread = t_go(fd_first, NULL);
    CHECK_EQ(recv(ends[0], data, 10, MSG_WAITALL), 4);
    CHECK_EQ(take(6, 0), -1);
    t_join(thread);
    close(ends[0]);
    close(ends[1]);

    t_pair(ends);
    CHECK_OK(setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
    t_write_all(ends[1], "abcd", 4);
    thread = t_go(no_fd, NULL);
    take(10, SCM_CREDENTIALS);
    t_join(thread);
    return 0;
}
