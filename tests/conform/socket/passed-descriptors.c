/* Descriptors of every kind passed over SCM_RIGHTS to a waiting thread, and to another process:
 * they wait there as they did here, together with this side; many at once, MSG_CMSG_CLOEXEC, a peek
 * makes a copy of its own. */
#include "../t.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>

#define KINDS 6

static void pass(int via, const int *fds, int n)
{
    char control[CMSG_SPACE(20 * sizeof(int))] = {0}, byte = 'x';
    struct iovec v = {&byte, 1};
    struct msghdr m = {.msg_iov = &v,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = CMSG_SPACE((size_t)n * sizeof(int))};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN((size_t)n * sizeof(int));
    memcpy(CMSG_DATA(c), fds, (size_t)n * sizeof(int));
    CHECK_EQ(sendmsg(via, &m, 0), 1);
}

static void receive(int via, int *fds, int n, int flags)
{
    char control[CMSG_SPACE(20 * sizeof(int))], byte;
    struct iovec v = {&byte, 1};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    CHECK_EQ(recvmsg(via, &m, flags), 1);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    CHECK(c && c->cmsg_type == SCM_RIGHTS);
    CHECK_EQ(c->cmsg_len, CMSG_LEN((size_t)n * sizeof(int)));
    memcpy(fds, CMSG_DATA(c), (size_t)n * sizeof(int));
    for (int i = 0; i < n; i++)
        CHECK_EQ(!!(fcntl(fds[i], F_GETFD) & FD_CLOEXEC), !!(flags & MSG_CMSG_CLOEXEC));
}

/* What each kind is for: one of it is taken, and the token that says so written to `out`. */
static void use(int kind, int fd, int out)
{
    char text[8];
    eventfd_t value;
    struct epoll_event event;
    int got;
    switch (kind) {
    case 3:
        CHECK_OK(eventfd_read(fd, &value));
        break;
    case 4:
        CHECK_EQ(epoll_wait(fd, &event, 1, -1), 1);
        break;
    case 5:
        got = accept(fd, NULL, NULL);
        CHECK(got >= 0);
        close(got);
        break;
    default:
        CHECK_EQ(read(fd, text, 1), 1);
    }
    CHECK_EQ(write(out, "u", 1), 1);
}

struct side {
    int kind, fd, out;
};

static void *user(void *arg)
{
    struct side *s = arg;
    use(s->kind, s->fd, s->out);
    return NULL;
}

static int via[2], flags;
static void *receiver(void *arg)
{
    receive(via[1], arg, 2, flags);
    return NULL;
}

int main(void)
{
    /* to a thread that waits in recvmsg already */
    for (int cloexec = 0; cloexec < 2; cloexec++) {
        flags = cloexec ? MSG_CMSG_CLOEXEC : 0;
        int pair[2], got[2];
        char byte;
        t_pair(via);
        t_pair(pair);
        pthread_t thread = t_go(receiver, got);
        t_settle();
        pass(via[0], pair, 2);
        close(pair[0]);
        close(pair[1]);
        t_join(thread);
        CHECK_EQ(write(got[0], "x", 1), 1);
        CHECK_EQ(read(got[1], &byte, 1), 1);
        pass(via[0], got, 2);
        int peeked[2], taken[2];
        receive(via[1], peeked, 2, MSG_PEEK | flags);
        receive(via[1], taken, 2, flags);
        CHECK(peeked[0] != taken[0] && peeked[1] != taken[1]);
        CHECK_EQ(write(peeked[0], "y", 1), 1);
        CHECK_EQ(read(taken[1], &byte, 1), 1);
        for (int i = 0; i < 2; i++) {
            close(got[i]);
            close(peeked[i]);
            close(taken[i]);
            close(via[i]);
        }
    }
    /* to a process: both wait on the same thing, and two are to be had */
    int fds[KINDS], peers[KINDS], out[2];
    struct sockaddr_in address;
    int pair[2];
    t_pair(via);
    CHECK_OK(pipe(out));
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        t_bound();
        close(via[0]);
        pthread_t threads[KINDS];
        struct side sides[KINDS];
        int got[KINDS];
        receive(via[1], got, KINDS, 0);
        for (int i = 0; i < KINDS; i++) {
            sides[i] = (struct side){i, got[i], out[1]};
            threads[i] = t_go(user, &sides[i]);
        }
        for (int i = 0; i < KINDS; i++)
            t_join(threads[i]);
        _exit(0);
    }
    CHECK_OK(pipe(pair));
    fds[0] = pair[0], peers[0] = pair[1];
    t_pair(pair);
    fds[1] = pair[0], peers[1] = pair[1];
    t_tcp(pair);
    fds[2] = pair[0], peers[2] = pair[1];
    fds[3] = peers[3] = eventfd(0, EFD_SEMAPHORE);
    fds[4] = epoll_create1(0);
    peers[4] = eventfd(0, 0);
    struct epoll_event event = {.events = EPOLLIN};
    CHECK_OK(epoll_ctl(fds[4], EPOLL_CTL_ADD, peers[4], &event));
    fds[5] = t_listen(&address, 4);
    pthread_t threads[KINDS];
    struct side sides[KINDS];
    for (int i = 0; i < KINDS; i++) {
        sides[i] = (struct side){i, fds[i], out[1]};
        threads[i] = t_go(user, &sides[i]);
    }
    t_settle();
    pass(via[0], fds, KINDS);
    t_settle();
    for (int twice = 0; twice < 2; twice++)
        for (int i = 0; i < KINDS; i++) {
            if (i == 3 || i == 4)
                CHECK_OK(eventfd_write(peers[i], 1));
            else if (i == 5)
                close(t_connect(&address));
            else
                CHECK_EQ(write(peers[i], "x", 1), 1);
        }
    for (int i = 0; i < 2 * KINDS; i++) {
        char byte;
        CHECK_EQ(read(out[0], &byte, 1), 1);
    }
    for (int i = 0; i < KINDS; i++)
        t_join(threads[i]);
    t_expect_exit(child, 0);
    return 0;
}
