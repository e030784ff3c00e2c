/* epoll in threads: wait with timeouts, level, edge and one-shot, data kept, a descriptor added
 * while waiting, nested, errors. */
#include "../t.h"
#include <sys/epoll.h>

static int ep, ends[2];

static void *waits(void *arg)
{
    struct epoll_event event;
    CHECK_EQ(epoll_wait(ep, &event, 1, -1), 1);
    CHECK_EQ(event.data.u64, 0x1234567890abcdef);
    CHECK(event.events & EPOLLIN);
    return arg;
}

static void add(int set, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    CHECK_OK(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
}

static void *kinds(void *arg)
{
    struct epoll_event events[4];
    int own[2], set = epoll_create1(EPOLL_CLOEXEC);
    char byte;
    t_pair(own);
    CHECK_EQ(epoll_wait(set, events, 4, 0), 0);
    int64_t start = t_now(CLOCK_MONOTONIC);
    CHECK_EQ(epoll_wait(set, events, 4, 10), 0);
    CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 10 * MSEC);

    add(set, own[0], EPOLLIN | EPOLLET, 1);
    CHECK_EQ(write(own[1], "xy", 2), 2);
    CHECK_EQ(epoll_wait(set, events, 4, -1), 1);
    CHECK_EQ(epoll_wait(set, events, 4, 0), 0); /* the edge was told */
    CHECK_EQ(read(own[0], &byte, 1), 1);
    CHECK_EQ(epoll_wait(set, events, 4, 0), 0);
    CHECK_EQ(write(own[1], "z", 1), 1);
    CHECK_EQ(epoll_wait(set, events, 4, -1), 1);

    struct epoll_event once = {.events = EPOLLIN | EPOLLONESHOT, .data.u64 = 2};
    CHECK_OK(epoll_ctl(set, EPOLL_CTL_MOD, own[0], &once));
    CHECK_EQ(epoll_wait(set, events, 4, -1), 1);
    CHECK_EQ(epoll_wait(set, events, 4, 0), 0);
    once.events = EPOLLIN;
    CHECK_OK(epoll_ctl(set, EPOLL_CTL_MOD, own[0], &once));
    CHECK_EQ(epoll_wait(set, events, 4, -1), 1);
    CHECK_EQ(epoll_wait(set, events, 4, -1), 1); /* level: again */

    int outer = epoll_create1(0);
    add(outer, set, EPOLLIN, 7);
    CHECK_EQ(epoll_wait(outer, events, 4, -1), 1);
    CHECK_EQ(events[0].data.u64, 7);
    struct pollfd p = {outer, POLLIN, 0};
    CHECK_EQ(poll(&p, 1, -1), 1);

    CHECK_ERR(epoll_ctl(set, EPOLL_CTL_ADD, own[0], &once), EEXIST);
    CHECK_ERR(epoll_ctl(set, EPOLL_CTL_DEL, own[1], NULL), ENOENT);
    CHECK_ERR(epoll_wait(set, events, 0, 0), EINVAL);
    CHECK_ERR(epoll_wait(own[0], events, 4, 0), EINVAL);
    CHECK_ERR(epoll_wait(12345, events, 4, 0), EBADF);
    CHECK_ERR(epoll_wait(set, t_bad(), 4, 0), EFAULT);
    close(own[0]);
    close(own[1]);
    CHECK_EQ(epoll_wait(set, events, 4, 0), 0); /* closed ones are gone */
    close(set);
    close(outer);
    return arg;
}

int main(void)
{
    pthread_t threads[6];
    kinds(NULL);
    for (int i = 0; i < 6; i++)
        threads[i] = t_go(kinds, NULL);
    for (int i = 0; i < 6; i++)
        t_join(threads[i]);
    ep = epoll_create1(0);
    t_pair(ends);
    for (int i = 0; i < 6; i++)
        threads[i] = t_go(waits, NULL);
    t_settle();
    add(ep, ends[0], EPOLLIN, 0x1234567890abcdef); /* while they wait */
    CHECK_EQ(write(ends[1], "x", 1), 1);
    for (int i = 0; i < 6; i++)
        t_join(threads[i]);
    return 0;
}
