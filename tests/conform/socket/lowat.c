/* SO_RCVLOWAT makes a waiting receiver wait for that much, whatever the call; the end and a timeout
 * cut it short; MSG_WAITALL goes beyond it. poll and epoll wait for it on TCP. */
#include "../t.h"
#include <sys/epoll.h>

static int ends[2];
static _Atomic int returned;

static void *receives(void *arg)
{
    char text[100];
    struct iovec v[2] = {{text, 5}, {text + 5, 95}};
    struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};
    struct pollfd p = {ends[0], POLLIN, 0};
    ssize_t n = 0;
    switch ((int)(intptr_t)arg) {
    case 0:
        n = read(ends[0], text, 100);
        break;
    case 1:
        n = recv(ends[0], text, 100, 0);
        break;
    case 2:
        n = readv(ends[0], v, 2);
        break;
    case 3:
        n = recvmsg(ends[0], &m, 0);
        break;
    case 4: /* a waiting look, TCP only */
        CHECK_EQ(poll(&p, 1, -1), 1);
        n = recv(ends[0], text, 100, MSG_DONTWAIT);
        break;
    case 5: {
        struct epoll_event event = {.events = EPOLLIN};
        int ep = epoll_create1(0);
        CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, ends[0], &event));
        CHECK_EQ(epoll_wait(ep, &event, 1, -1), 1);
        n = recv(ends[0], text, 100, MSG_DONTWAIT);
        close(ep);
    }
    }
    CHECK(n >= 10 && n <= 20);
    returned = (int)n;
    return NULL;
}

static void *ends_early(void *arg)
{
    char text[100];
    CHECK_EQ(read(ends[0], text, 100), 4);
    CHECK_EQ(read(ends[0], text, 100), 0);
    return arg;
}

static void *all(void *arg)
{
    char text[30];
    CHECK_EQ(recv(ends[0], text, 30, MSG_WAITALL), 30);
    return arg;
}

int main(void)
{
    char text[10];
    for (int tcp = 0; tcp < 2; tcp++) {
        int lowat = 10;
        if (tcp)
            t_tcp(ends);
        else
            t_pair(ends);
        CHECK_OK(setsockopt(ends[0], SOL_SOCKET, SO_RCVLOWAT, &lowat, sizeof lowat));
        for (intptr_t call = 0; call < (tcp ? 6 : 4); call++) {
            returned = 0;
            pthread_t thread = t_go(receives, (void *)call);
            for (int i = 0; i < 5; i++) {
                if (i % 3 == 0)
                    t_settle();
                CHECK_EQ(returned, 0);
                CHECK_EQ(write(ends[1], "x", 1), 1);
            }
            t_settle();
            CHECK_EQ(returned, 0);
            /* Linux wakes the receiver for ten more only, not for what is missing to ten */
            CHECK_EQ(write(ends[1], "0123456789abcde", 15), 15);
            t_join(thread);
            char rest[20];
            if (returned < 20)
                CHECK_EQ(recv(ends[0], rest, 20 - (size_t)returned, MSG_WAITALL), 20 - returned);
        }
        pthread_t thread = t_go(all, NULL);
        for (int i = 0; i < 3; i++) {
            t_settle();
            CHECK_EQ(write(ends[1], "0123456789", 10), 10);
        }
        t_join(thread);
        CHECK_EQ(write(ends[1], "xyz", 3), 3);
        CHECK_EQ(recv(ends[0], text, 2, 0), 2); /* less was asked for */
        struct timeval tv = {0, 3000};
        CHECK_OK(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
        CHECK_EQ(recv(ends[0], text, 10, 0), 1);
        tv.tv_usec = 0;
        CHECK_OK(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
        thread = t_go(ends_early, NULL);
        CHECK_EQ(write(ends[1], "wxyz", 4), 4);
        t_settle();
        close(ends[1]);
        t_join(thread);
        close(ends[0]);
    }
    return 0;
}
