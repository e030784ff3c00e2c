/* O_NONBLOCK belongs to the description: set and cleared by another thread, through a duplicate, by
 * a forked child, or by the process it was passed to, it holds at the next call, and does not
 * disturb a wait under way. */
#include "../t.h"
#include <sys/ioctl.h>

static int ends[2];

static void set(int fd, int on, int by_ioctl)
{
    if (by_ioctl) {
        CHECK_OK(ioctl(fd, FIONBIO, &on));
    } else {
        int flags = fcntl(fd, F_GETFL);
        CHECK_OK(fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK));
    }
}

/* Answers its argument if it read; NULL if it came to wait only when O_NONBLOCK was set. */
static void *waits(void *arg)
{
    char byte;
    ssize_t n = read(ends[0], &byte, 1);
    if (n < 0) {
        CHECK_EQ(errno, EAGAIN);
        return NULL;
    }
    CHECK_EQ(n, 1);
    return arg;
}

static void *would_block(void *arg)
{
    char byte;
    struct iovec v = {&byte, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    CHECK_ERR(read(ends[0], &byte, 1), EAGAIN);
    CHECK_ERR(readv(ends[0], &v, 1), EAGAIN);
    if (arg) {
        CHECK_ERR(recv(ends[0], &byte, 1, 0), EAGAIN);
        CHECK_ERR(recvmsg(ends[0], &m, 0), EAGAIN);
        CHECK_ERR(recv(ends[0], &byte, 1, MSG_WAITALL), EAGAIN);
    }
    return NULL;
}

static void pass(int via, int fd)
{
    char control[CMSG_SPACE(sizeof fd)] = {0}, byte = 'x';
    struct iovec v = {&byte, 1};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    CHECK_EQ(sendmsg(via, &m, 0), 1);
}

static int passed(int via)
{
    char control[CMSG_SPACE(sizeof(int))], byte;
    struct iovec v = {&byte, 1};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    int fd;
    CHECK_EQ(recvmsg(via, &m, 0), 1);
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
    return fd;
}

/* The helper process: sets and clears, as told by bytes, on the descriptors passed to it. */
static void other_process(int via)
{
    int fd = -1;
    char command;
    while (read(via, &command, 1) == 1) {
        if (command == 'f') {
            close(fd);
            CHECK_EQ(write(via, "r", 1), 1);
            fd = passed(via);
        } else {
            set(fd, command == 'S' || command == 'I', command == 'I' || command == 'i');
        }
        CHECK_EQ(write(via, "k", 1), 1);
    }
    _exit(0);
}

static void tell(int via, char command)
{
    char answer;
    CHECK_EQ(write(via, &command, 1), 1);
    CHECK_EQ(read(via, &answer, 1), 1);
}

static void toggle(int via, int by_ioctl)
{
    if (via < 0) {
        set(ends[0], 1, by_ioctl);
        set(ends[0], 0, by_ioctl);
    } else {
        tell(via, by_ioctl ? 'I' : 'S');
        tell(via, by_ioctl ? 'i' : 's');
    }
}

/* Set and cleared while a thread waits, by this process or by the one behind `via`: the wait goes
 * on, and is over only with data. Again where the thread was late; not every one is. */
static void toggled_meanwhile(int via, int by_ioctl)
{
    for (int late = 0; late < 50; late++) {
        char byte;
        pthread_t thread = t_go(waits, ends);
        t_settle();
        toggle(via, by_ioctl);
        t_settle();
        CHECK_EQ(write(ends[1], "x", 1), 1);
        if (t_join(thread))
            return;
        CHECK_EQ(read(ends[0], &byte, 1), 1);
    }
    t_fail(__FILE__, __LINE__, "the wait ended with EAGAIN, 50 times");
}

int main(void)
{
    int via[2];
    t_pair(via);
    pid_t other = fork();
    if (other == 0) {
        close(via[1]);
        other_process(via[0]);
    }
    close(via[0]);
    for (int kind = 0; kind < 3; kind++) {
        void *socket = kind < 2 ? ends : NULL;
        if (kind == 0)
            t_pair(ends);
        else if (kind == 1)
            t_tcp(ends);
        else
            CHECK_OK(pipe(ends));
        tell(via[1], 'f');
        pass(via[1], ends[0]);
        char answer;
        CHECK_EQ(read(via[1], &answer, 1), 1);
        for (int by_ioctl = 0; by_ioctl < 2; by_ioctl++) {
            toggled_meanwhile(-1, by_ioctl);
            set(ends[0], 1, by_ioctl);
            t_join(t_go(would_block, socket));
            set(ends[0], 0, by_ioctl);

            int copy = dup(ends[0]);
            set(copy, 1, by_ioctl);
            t_join(t_go(would_block, socket));
            set(copy, 0, by_ioctl);
            close(copy);

            for (int on = 1; on >= 0; on--) { /* a child of this very process */
                pid_t child = fork();
                if (child == 0) {
                    set(ends[0], on, by_ioctl);
                    _exit(0);
                }
                t_expect_exit(child, 0);
                if (on)
                    t_join(t_go(would_block, socket));
            }
            toggled_meanwhile(via[1], by_ioctl);
            tell(via[1], by_ioctl ? 'I' : 'S');
            t_join(t_go(would_block, socket));
            tell(via[1], by_ioctl ? 'i' : 's');
            pthread_t thread = t_go(waits, ends);
            t_settle();
            CHECK_EQ(write(ends[1], "x", 1), 1);
            CHECK(t_join(thread));
        }
        close(ends[0]);
        close(ends[1]);
    }
    close(via[1]);
    t_expect_exit(other, 0);
    return 0;
}
