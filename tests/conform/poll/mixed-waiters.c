/* Waiters of all sorts on one descriptor - in read, recv, recvmsg, poll, select, epoll level, edge
 * and one-shot, through the number and a duplicate: the end of the peer ends them all. Likewise
 * those waiting to write. */
#include "../t.h"
#include <sys/epoll.h>
#include <sys/select.h>

#define WAYS 9
static int ends[2], copy;
static _Atomic int ended;

static int epoll_on(int fd, uint32_t events)
{
    struct epoll_event event = {.events = events};
    int ep = epoll_create1(0);
    CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event));
    CHECK_EQ(epoll_wait(ep, &event, 1, -1), 1);
    close(ep);
    return (int)event.events;
}

static void *waits(void *arg)
{
    int way = (int)(intptr_t)arg, fd = way % 2 ? copy : ends[0];
    char byte;
    struct iovec v = {&byte, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    struct pollfd p = {fd, POLLIN, 0};
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    switch (way / 2) {
    case 0:
        CHECK_EQ(read(fd, &byte, 1), 0);
        break;
    case 1:
        CHECK_EQ(recv(fd, &byte, 1, MSG_PEEK), 0);
        break;
    case 2:
        CHECK_EQ(recvmsg(fd, &m, 0), 0);
        break;
    case 3:
        CHECK_EQ(poll(&p, 1, -1), 1);
        CHECK(p.revents & POLLIN);
        break;
    case 4:
        CHECK_EQ(select(fd + 1, &set, NULL, NULL, NULL), 1);
        break;
    case 5:
        CHECK(epoll_on(fd, EPOLLIN) & EPOLLIN);
        break;
    case 6:
        CHECK(epoll_on(fd, EPOLLIN | EPOLLET) & EPOLLIN);
        break;
    case 7:
        CHECK(epoll_on(fd, EPOLLIN | EPOLLONESHOT) & EPOLLIN);
        break;
    default:
        CHECK(epoll_on(fd, EPOLLRDHUP) & EPOLLRDHUP);
    }
    ended++;
    return NULL;
}

static void *wants_to_write(void *arg)
{
    int way = (int)(intptr_t)arg, fd = way % 2 ? copy : ends[0];
    static char block[5000000];
    struct pollfd p = {fd, POLLOUT, 0};
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    ssize_t n;
    switch (way / 2) {
    case 0:
        n = send(fd, block, sizeof block, MSG_NOSIGNAL);
        CHECK(n < (ssize_t)sizeof block);
        break;
    case 1:
        CHECK_EQ(poll(&p, 1, -1), 1);
        break;
    case 2:
        CHECK_EQ(select(fd + 1, NULL, &set, NULL, NULL), 1);
        break;
    case 3:
        CHECK(epoll_on(fd, EPOLLOUT | EPOLLET));
        break;
    default:
        CHECK(epoll_on(fd, EPOLLOUT));
    }
    ended++;
    return NULL;
}

int main(void)
{
    pthread_t threads[2 * WAYS];
    static char block[65536];
    for (int kind = 0; kind < 6; kind++) {
        int writing = kind >= 4, count = writing ? 10 : 2 * WAYS;
        if (kind % 2)
            t_tcp(ends);
        else
            t_pair(ends);
        copy = dup(ends[0]);
        ended = 0;
        while (writing && send(ends[0], block, sizeof block, MSG_DONTWAIT) > 0)
            ;
        for (intptr_t i = 0; i < count; i++)
            threads[i] = t_go(writing ? wants_to_write : waits, (void *)i);
        t_settle();
        CHECK_EQ(writing ? 0 : ended, 0); /* TCP finds room to write for a while */
        if (kind < 2)
            CHECK_OK(shutdown(ends[1], SHUT_WR));
        else
            CHECK_OK(close(ends[1])); /* with data unread on it: a reset */
        for (int i = 0; i < count; i++)
            t_join(threads[i]);
        close(ends[0]);
        close(copy);
        if (kind < 2)
            close(ends[1]);
    }
    return 0;
}
