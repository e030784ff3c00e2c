/* Several threads in epoll_wait on one epoll: an edge, and a one-shot event, goes to exactly one of
 * them; each of many is told once. Two epolls on one listener with EPOLLEXCLUSIVE: no connection is
 * left lying. */
#include "../t.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>

#define WAITERS 8
#define TOKENS  200

static int ep, fds[TOKENS][2], stop;
static _Atomic int told[TOKENS], total;

static void *waits(void *arg)
{
    for (;;) {
        struct epoll_event events[3];
        int n = epoll_wait(ep, events, 1 + (int)(intptr_t)arg % 3, -1);
        CHECK(n > 0);
        for (int i = 0; i < n; i++) {
            if (events[i].data.u64 == TOKENS)
                return NULL;
            CHECK_EQ(events[i].events, EPOLLIN);
            told[events[i].data.u64]++;
            total++;
        }
    }
}

static void exactly_once(uint32_t flag)
{
    pthread_t threads[WAITERS];
    ep = epoll_create1(0);
    stop = eventfd(0, 0);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = TOKENS};
    CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, stop, &event));
    for (int i = 0; i < TOKENS; i++) {
        t_pair(fds[i]);
        told[i] = 0;
        event = (struct epoll_event){.events = EPOLLIN | flag, .data.u64 = (uint64_t)i};
        CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, fds[i][0], &event));
    }
    total = 0;
    for (intptr_t i = 0; i < WAITERS; i++)
        threads[i] = t_go(waits, (void *)i);
    t_settle();
    for (int i = 0; i < TOKENS; i++) {
        CHECK_EQ(write(fds[i][1], "x", 1), 1);
        if (i % 20 == 0)
            t_settle();
    }
    while (total < TOKENS)
        sched_yield();
    if (flag & EPOLLONESHOT) /* more data, but not armed */
        for (int i = 0; i < TOKENS; i++)
            CHECK_EQ(write(fds[i][1], "y", 1), 1);
    t_settle();
    CHECK_EQ(total, TOKENS);
    for (int i = 0; i < TOKENS; i++)
        CHECK_EQ(told[i], 1);
    if (flag & EPOLLONESHOT) { /* armed again: once more */
        for (int i = 0; i < TOKENS; i++) {
            event = (struct epoll_event){.events = EPOLLIN | flag, .data.u64 = (uint64_t)i};
            CHECK_OK(epoll_ctl(ep, EPOLL_CTL_MOD, fds[i][0], &event));
        }
        while (total < 2 * TOKENS)
            sched_yield();
        for (int i = 0; i < TOKENS; i++)
            CHECK_EQ(told[i], 2);
    }
    CHECK_OK(eventfd_write(stop, 1)); /* level: for all of them */
    for (int i = 0; i < WAITERS; i++)
        t_join(threads[i]);
    for (int i = 0; i < TOKENS; i++) {
        close(fds[i][0]);
        close(fds[i][1]);
    }
    close(stop);
    close(ep);
}

static int listener;
static _Atomic int accepted;

static void *accepts(void *arg)
{
    int own = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.fd = listener};
    CHECK_OK(epoll_ctl(own, EPOLL_CTL_ADD, listener, &event));
    CHECK_ERR(epoll_ctl(own, EPOLL_CTL_MOD, listener, &event), EINVAL);
    event = (struct epoll_event){.events = EPOLLIN, .data.fd = stop};
    CHECK_OK(epoll_ctl(own, EPOLL_CTL_ADD, stop, &event));
    for (;;) {
        CHECK_EQ(epoll_wait(own, &event, 1, -1), 1);
        if (event.data.fd == stop)
            break;
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            CHECK_EQ(errno, EAGAIN); /* another was quicker */
            continue;
        }
        accepted++;
        close(fd);
    }
    close(own);
    return arg;
}

int main(void)
{
    pthread_t threads[4];
    struct sockaddr_in address;
    exactly_once(EPOLLET);
    exactly_once(EPOLLONESHOT);
    exactly_once(EPOLLET | EPOLLONESHOT);
    listener = t_listen(&address, 128);
    CHECK_OK(fcntl(listener, F_SETFL, O_NONBLOCK));
    stop = eventfd(0, 0);
    for (int i = 0; i < 4; i++)
        threads[i] = t_go(accepts, NULL);
    for (int i = 0; i < 100; i++) {
        int fd = t_connect(&address);
        if (i % 10 == 0)
            while (accepted <= i)
                sched_yield();
        close(fd);
    }
    while (accepted < 100)
        sched_yield();
    CHECK_OK(eventfd_write(stop, 1));
    for (int i = 0; i < 4; i++)
        t_join(threads[i]);
    return 0;
}
