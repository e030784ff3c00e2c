/* Many threads at once in poll, ppoll, select and epoll_wait with timeouts of their own, again and
 * again: none ends early, all end, and those with something ready do not wait. */
#include "../t.h"
#include <sys/epoll.h>
#include <sys/select.h>

#define COUNT 300
static int quiet[2];

static void *waits(void *arg)
{
    uint32_t seed = (uint32_t)(intptr_t)arg;
    int ep = epoll_create1(0);
    for (int round = 0; round < 12; round++) {
        seed = seed * 1664525 + 1013904223;
        int ms = (int)(seed >> 24) % 20;
        int64_t start = t_now(CLOCK_MONOTONIC);
        struct pollfd p[2] = {{quiet[0], POLLIN, 0}, {-1, 0, 0}};
        struct timespec spec = t_spec(ms * MSEC);
        struct timeval tv = {0, ms * 1000};
        struct epoll_event event;
        switch (round % 4) {
        case 0:
            CHECK_EQ(poll(p, 2, ms), 0);
            break;
        case 1:
            CHECK_EQ(ppoll(p, 2, &spec, NULL), 0);
            break;
        case 2:
            CHECK_EQ(select(0, NULL, NULL, NULL, &tv), 0);
            break;
        default:
            CHECK_EQ(epoll_wait(ep, &event, 1, ms), 0);
        }
        CHECK_GE(t_now(CLOCK_MONOTONIC) - start, ms * MSEC);
    }
    close(ep);
    return NULL;
}

int main(void)
{
    static pthread_t threads[COUNT];
    t_pair(quiet);
    for (intptr_t i = 0; i < COUNT; i++)
        threads[i] = t_go(waits, (void *)(i + 1));
    for (int i = 0; i < COUNT; i++)
        t_join(threads[i]);
    return 0;
}
