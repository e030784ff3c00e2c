/* Epolls in epolls, three deep, in poll and in select: threads waiting at every level are woken by
 * the innermost event; edges between levels; loops are refused. */
#include "../t.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>

static int levels[3], inner;
static _Atomic int woken;

static void add(int set, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    CHECK_OK(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
}

static void *waits(void *arg)
{
    int which = (int)(intptr_t)arg;
    struct epoll_event event;
    struct pollfd p = {levels[2], POLLIN, 0};
    fd_set set;
    FD_ZERO(&set);
    FD_SET(levels[1], &set);
    if (which < 3) {
        CHECK_EQ(epoll_wait(levels[which], &event, 1, -1), 1);
        CHECK_EQ(event.data.fd, which ? levels[which - 1] : inner);
        CHECK_EQ(event.events, EPOLLIN);
    } else if (which == 3) {
        CHECK_EQ(poll(&p, 1, -1), 1);
        CHECK_EQ(p.revents, POLLIN);
    } else {
        CHECK_EQ(select(levels[1] + 1, &set, NULL, NULL, NULL), 1);
    }
    woken++;
    return NULL;
}

int main(void)
{
    pthread_t threads[10];
    struct epoll_event event = {.events = EPOLLIN};
    uint64_t value;
    inner = eventfd(0, 0);
    for (int i = 0; i < 3; i++)
        levels[i] = epoll_create1(0);
    for (int i = 2; i >= 0; i--)
        add(levels[i], i ? levels[i - 1] : inner, EPOLLIN);
    for (int round = 0; round < 5; round++) {
        woken = 0;
        for (intptr_t i = 0; i < 10; i++)
            threads[i] = t_go(waits, (void *)(i % 5));
        if (round % 2)
            t_settle();
        CHECK_EQ(woken, 0);
        CHECK_OK(eventfd_write(inner, 1));
        for (int i = 0; i < 10; i++)
            t_join(threads[i]);
        CHECK_OK(eventfd_read(inner, &value));
        CHECK_EQ(epoll_wait(levels[2], &event, 1, 0), 0);
    }
    event.events = EPOLLIN;
    CHECK_ERR(epoll_ctl(levels[0], EPOLL_CTL_ADD, levels[2], &event), ELOOP);
    CHECK_ERR(epoll_ctl(levels[0], EPOLL_CTL_ADD, levels[0], &event), EINVAL);

    /* edge triggered between the levels: told once for each change inside */
    int outer = epoll_create1(0);
    add(outer, levels[0], EPOLLIN | EPOLLET);
    CHECK_OK(eventfd_write(inner, 1));
    CHECK_EQ(epoll_wait(outer, &event, 1, -1), 1);
    CHECK_EQ(epoll_wait(outer, &event, 1, 0), 0);
    CHECK_OK(eventfd_read(inner, &value));
    CHECK_OK(eventfd_write(inner, 1));
    CHECK_EQ(epoll_wait(outer, &event, 1, -1), 1);
    int file = open("/proc/self/exe", O_RDONLY);
    CHECK_ERR(epoll_ctl(outer, EPOLL_CTL_ADD, file, &event), EPERM);
    return 0;
}
