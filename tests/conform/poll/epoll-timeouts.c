/* Timeouts of epoll_wait, epoll_pwait and epoll_pwait2: 0, finite and never early, infinite; bad
 * ones; and what is ready wins. */
#include "../t.h"
#include <sys/epoll.h>

static void *body(void *arg)
{
    struct epoll_event event = {.events = EPOLLIN}, events[8];
    int ends[2], ep = epoll_create1(0);
    t_pair(ends);
    CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, ends[0], &event));
    struct timespec zero = {0, 0}, some = {0, 1500000}, tiny = {0, 1}, bad = {0, NSEC},
                    negative = {-1, 0};
    for (int i = 0; i < 3; i++) {
        int64_t start = t_now(CLOCK_MONOTONIC);
        CHECK_EQ(epoll_wait(ep, events, 8, 2), 0);
        CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 2 * MSEC);
        start = t_now(CLOCK_MONOTONIC);
        CHECK_EQ(epoll_pwait(ep, events, 8, 1, NULL), 0);
        CHECK_GE(t_now(CLOCK_MONOTONIC) - start, MSEC);
        start = t_now(CLOCK_MONOTONIC);
        CHECK_EQ(epoll_pwait2(ep, events, 8, &some, NULL), 0);
        CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 1500000);
        CHECK_EQ(epoll_pwait2(ep, events, 8, &tiny, NULL), 0);
        CHECK_EQ(epoll_pwait2(ep, events, 8, &zero, NULL), 0);
        CHECK_EQ(epoll_wait(ep, events, 8, 0), 0);
    }
    CHECK_EQ(some.tv_nsec, 1500000); /* not written back */
    CHECK_ERR(epoll_pwait2(ep, events, 8, &bad, NULL), EINVAL);
    CHECK_ERR(epoll_pwait2(ep, events, 8, &negative, NULL), EINVAL);
    CHECK_ERR(epoll_pwait2(ep, events, 0, &zero, NULL), EINVAL);
    volatile int none = -1;
    CHECK_ERR(epoll_wait(ep, events, none, 0), EINVAL);
    CHECK_ERR(syscall(SYS_epoll_pwait, ep, events, 8, 0, &zero, 5), EINVAL); /* size of the mask */
    CHECK_EQ(write(ends[1], "x", 1), 1);
    CHECK_EQ(epoll_wait(ep, events, 8, -1), 1);
    CHECK_EQ(epoll_wait(ep, events, 8, -12345), 1);
    CHECK_EQ(epoll_pwait2(ep, events, 8, NULL, NULL), 1);
    CHECK_EQ(epoll_pwait2(ep, events, 8, &zero, NULL), 1);
    close(ep);
    close(ends[0]);
    close(ends[1]);
    return arg;
}

int main(void)
{
    pthread_t threads[50];
    for (int i = 0; i < 50; i++)
        threads[i] = t_go(body, NULL);
    for (int i = 0; i < 50; i++)
        t_join(threads[i]);
    /* A closed one; not before, where the number would soon be another thread's. */
    struct epoll_event event;
    int ep = epoll_create1(0);
    CHECK_OK(close(ep));
    CHECK_ERR(epoll_wait(ep, &event, 1, -1), EBADF);
    return 0;
}
