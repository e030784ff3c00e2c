/* shutdown, through the number, a duplicate or another process, ends the waits of others on the
 * same socket: readers, writers, receivers with MSG_WAITALL, pollers, epoll. */
#include "../t.h"
#include <sys/epoll.h>

enum { READS, RECVMSG, WAITALL, WRITES, SENDMSG, POLLS, POLLS_RDHUP, EPOLLS, KINDS };
struct job {
    int kind, how, ends[2];
    _Atomic int under_way;
};

static void *waits(void *arg)
{
    struct job *j = arg;
    char text[100];
    static char block[8000000];
    struct iovec v = {text, 100}, much = {block, sizeof block};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    int fd = j->ends[0];
    struct pollfd p = {fd, POLLIN, 0};
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLIN | EPOLLET};
    switch (j->kind) {
    case READS:
        CHECK_EQ(read(fd, text, 100), 0);
        break;
    case RECVMSG:
        CHECK_EQ(recvmsg(fd, &m, 0), 0);
        break;
    case WAITALL:
        CHECK_EQ(recv(fd, text, 100, MSG_WAITALL), 3);
        break;
    case WRITES: {
        ssize_t n = send(fd, block, sizeof block, MSG_NOSIGNAL);
        if (n < 0)
            CHECK_EQ(errno, EPIPE);
        else
            CHECK(n > 0 && n < (ssize_t)sizeof block);
        break;
    }
    case SENDMSG: {
        m.msg_iov = &much;
        ssize_t n = sendmsg(fd, &m, MSG_NOSIGNAL);
        if (n < 0)
            CHECK_EQ(errno, EPIPE);
        else
            CHECK(n > 0 && n < (ssize_t)sizeof block);
        break;
    }
    case POLLS:
        CHECK_EQ(poll(&p, 1, -1), 1);
        CHECK_EQ(p.revents, POLLIN);
        break;
    case POLLS_RDHUP:
        p.events = POLLRDHUP;
        CHECK_EQ(poll(&p, 1, -1), 1);
        CHECK_EQ(p.revents, POLLRDHUP);
        break;
    case EPOLLS: {
        int ep = epoll_create1(0);
        CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event));
        CHECK_EQ(epoll_wait(ep, &event, 1, -1), 1);
        CHECK_EQ(event.events, EPOLLIN | EPOLLRDHUP);
        close(ep);
    }
    }
    return NULL;
}

int main(void)
{
    static struct job jobs[2][3][KINDS];
    static pthread_t threads[2][3][KINDS];
    for (int tcp = 0; tcp < 2; tcp++)
        for (int how = 0; how < 3; how++)
            for (int k = 0; k < KINDS; k++) {
                struct job *j = &jobs[tcp][how][k];
                j->kind = k;
                if (tcp)
                    t_tcp(j->ends);
                else
                    t_pair(j->ends);
                if (k == WAITALL)
                    CHECK_EQ(write(j->ends[1], "abc", 3), 3);
                threads[tcp][how][k] = t_go(waits, j);
            }
    t_settle();
    for (int tcp = 0; tcp < 2; tcp++)
        for (int k = 0; k < KINDS; k++) {
            int side = k == WRITES || k == SENDMSG ? SHUT_WR : SHUT_RD;
            CHECK_OK(shutdown(jobs[tcp][0][k].ends[0], side));
            int copy = dup(jobs[tcp][1][k].ends[0]);
            CHECK_OK(shutdown(copy, side));
            close(copy);
        }
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        for (int tcp = 0; tcp < 2; tcp++)
            for (int k = 0; k < KINDS; k++)
                CHECK_OK(shutdown(jobs[tcp][2][k].ends[0],
                                  k == WRITES || k == SENDMSG ? SHUT_WR : SHUT_RD));
        _exit(0);
    }
    t_expect_exit(child, 0);
    for (int tcp = 0; tcp < 2; tcp++)
        for (int how = 0; how < 3; how++)
            for (int k = 0; k < KINDS; k++)
                t_join(threads[tcp][how][k]);
    return 0;
}
