/* An interest list changed under a thread in epoll_wait: what is added, modified to match or armed
 * again wakes it; what is deleted or closed is told no more; a description lives on in the set
 * while a duplicate is open. */
#include "../t.h"
#include <sys/epoll.h>

static int ep;
static struct epoll_event got;

static void *waits(void *arg)
{
    CHECK_EQ(epoll_wait(ep, &got, 1, -1), 1);
    return arg;
}

static void control(int op, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    CHECK_OK(epoll_ctl(ep, op, fd, &event));
}

static pthread_t go(void)
{
    pthread_t thread = t_go(waits, NULL);
    t_settle();
    return thread;
}

static void expect(pthread_t thread, uint64_t data, uint32_t events)
{
    t_join(thread);
    CHECK_EQ(got.data.u64, data);
    CHECK_EQ(got.events, events);
}

int main(void)
{
    int ready[2], other[2], third[2];
    struct epoll_event event = {.events = EPOLLIN};
    ep = epoll_create1(0);
    t_pair(ready);
    t_pair(other);
    t_pair(third);
    CHECK_EQ(write(ready[1], "x", 1), 1);

    pthread_t thread = go(); /* on an empty set */
    control(EPOLL_CTL_ADD, ready[0], EPOLLIN, 1);
    expect(thread, 1, EPOLLIN);

    control(EPOLL_CTL_MOD, ready[0], EPOLLPRI, 2);
    thread = go();
    control(EPOLL_CTL_MOD, ready[0], EPOLLIN | EPOLLOUT, 3);
    expect(thread, 3, EPOLLIN | EPOLLOUT);

    control(EPOLL_CTL_MOD, ready[0], 0, 4); /* nothing asked for, nothing told */
    thread = go();
    control(EPOLL_CTL_ADD, other[0], EPOLLIN, 5);
    CHECK_EQ(write(other[1], "x", 1), 1);
    expect(thread, 5, EPOLLIN);

    control(EPOLL_CTL_DEL, other[0], 0, 0);
    thread = go();
    CHECK_EQ(write(other[1], "x", 1), 1); /* deleted */
    t_settle();
    control(EPOLL_CTL_MOD, ready[0], EPOLLOUT | EPOLLONESHOT, 6);
    expect(thread, 6, EPOLLOUT);

    thread = go(); /* disarmed by the one shot */
    t_settle();
    control(EPOLL_CTL_MOD, ready[0], EPOLLIN | EPOLLONESHOT, 7);
    expect(thread, 7, EPOLLIN);

    /* closed while waiting: it is gone, its number of no consequence */
    control(EPOLL_CTL_ADD, other[0], EPOLLIN | EPOLLET, 8);
    thread = go();
    expect(thread, 8, EPOLLIN);
    thread = go();
    int number = other[0];
    close(other[0]);
    close(other[1]);
    int again[2];
    t_pair(again);
    CHECK(again[0] == number || again[1] == number);
    CHECK_EQ(write(again[0], "x", 1), 1);
    CHECK_EQ(write(again[1], "x", 1), 1);
    t_settle();
    control(EPOLL_CTL_ADD, number, EPOLLIN, 9);
    expect(thread, 9, EPOLLIN);
    control(EPOLL_CTL_DEL, number, 0, 0);

    /* a duplicate keeps the registration, which then has no number to delete it by */
    int copy = dup(third[0]);
    control(EPOLL_CTL_ADD, third[0], EPOLLIN | EPOLLET, 10);
    number = third[0];
    close(third[0]);
    thread = go();
    CHECK_EQ(write(third[1], "x", 1), 1);
    expect(thread, 10, EPOLLIN);
    CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_DEL, number, &event), EBADF);
    control(EPOLL_CTL_ADD, copy, EPOLLIN | EPOLLET, 11);
    expect(go(), 11, EPOLLIN);
    CHECK_EQ(epoll_wait(ep, &event, 1, 0), 0);
    close(copy);
    CHECK_ERR(send(third[1], "x", 1, MSG_NOSIGNAL), EPIPE);
    CHECK_EQ(epoll_wait(ep, &event, 1, 0), 0);

    /* the end is told though not asked for; the edge only once */
    control(EPOLL_CTL_MOD, ready[0], EPOLLET, 12);
    thread = go();
    CHECK_EQ(write(ready[1], "y", 1), 1);
    t_settle();
    close(ready[1]);
    expect(thread, 12, EPOLLHUP);
    CHECK_EQ(epoll_wait(ep, &event, 1, 0), 0);
    control(EPOLL_CTL_MOD, ready[0], EPOLLIN | EPOLLRDHUP, 13);
    expect(go(), 13, EPOLLIN | EPOLLHUP | EPOLLRDHUP);
    return 0;
}
