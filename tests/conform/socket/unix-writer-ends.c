/* A writer waits for room in a Unix stream, and the other side stops reading: EPIPE. Or it closes with data unread: ECONNRESET, and no SIGPIPE.
 * In this process, and in another. */
#include "../t.h"

static int ends[2], error;

static void *writes(void *arg)
{
    char data[65536] = {0};
    error = write(ends[0], data, sizeof data) == -1 ? errno : 0;
    return arg;
}

static void full(void)
{
    static const char data[65536];
    t_pair(ends);
    int flags = fcntl(ends[0], F_GETFL);
    CHECK_OK(fcntl(ends[0], F_SETFL, flags | O_NONBLOCK));
    while (write(ends[0], data, sizeof data) > 0)
        ;
    while (write(ends[0], data, 1) > 0)
        ;
    CHECK_OK(fcntl(ends[0], F_SETFL, flags));
}

static void ended(int want)
{
    CHECK_EQ(error, want);
    CHECK_OK(close(ends[0]));
}

int main(void)
{
    int passed[2];
    char byte = 0;
    t_join(t_go(writes, NULL)); /* no descriptor of ours yet; those from before the first thread are shared for all we know */
    full();
    pthread_t writer = t_go_waits(writes, NULL);
    CHECK_OK(close(ends[1]));
    t_join(writer);
    ended(ECONNRESET);

    CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    full();
    writer = t_go(writes, NULL);
    t_settle();
    CHECK_OK(shutdown(ends[1], SHUT_RD));
    t_join(writer);
    CHECK_OK(close(ends[1]));
    ended(EPIPE);

    /* The far end is the child's alone, which was forked before: it is passed to it. */
    t_pair(passed);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        char control[CMSG_SPACE(sizeof(int))];
        struct iovec v = {&byte, 1};
        struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        int fd;
        close(passed[0]);
        if (recvmsg(passed[1], &m, 0) != 1)
            _exit(1);
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
        if (read(passed[1], &byte, 1) != 1)
            _exit(2);
        t_settle();
        shutdown(fd, SHUT_RD);
        read(passed[1], &byte, 1); /* and keeps it */
        _exit(0);
    }
    CHECK_OK(close(passed[1]));
    full();
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec v = {&byte, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(h), &ends[1], sizeof(int));
    CHECK_EQ(sendmsg(passed[0], &m, 0), 1);
    CHECK_OK(close(ends[1]));
    writer = t_go(writes, NULL);
    t_write_all(passed[0], &byte, 1);
    t_join(writer);
    ended(EPIPE);
    CHECK_OK(close(passed[0]));
    t_expect_exit(child, 0);
    return 0;
}
