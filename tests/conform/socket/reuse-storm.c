/* Threads that make, use and close descriptors of changing kinds all the time: numbers are used
 * again at once by others, and every wait ends with its own data. */
#include "../t.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>

#define THREADS 12
#define ROUNDS  150

struct other {
    int fd;
    uint64_t token;
};

static void *answers(void *arg)
{
    struct other *o = arg;
    t_write_all(o->fd, &o->token, 8);
    return NULL;
}

static void *storms(void *arg)
{
    uint32_t seed = (uint32_t)(intptr_t)arg * 7919 + 1;
    for (int round = 0; round < ROUNDS; round++) {
        int ends[2];
        seed = seed * 1664525 + 1013904223;
        struct other o = {.token = ((uint64_t)(uintptr_t)arg << 32 | (uint32_t)round) + 1};
        uint64_t got = 0;
        switch (seed >> 28) {
        case 0:
        case 1:
        case 2:
            CHECK_OK(pipe(ends));
            break;
        case 3:
            t_tcp(ends);
            break;
        case 4:
            ends[0] = eventfd(0, 0);
            ends[1] = dup(ends[0]);
            break;
        case 5:
            CHECK_OK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends));
            break;
        default:
            t_pair(ends);
        }
        o.fd = ends[1];
        pthread_t thread = 0;
        if (seed & 0x100)
            thread = t_go(answers, &o);
        else
            answers(&o);
        if (seed & 0x200) {
            struct pollfd p = {ends[0], POLLIN, 0};
            CHECK_EQ(poll(&p, 1, -1), 1);
            CHECK_EQ(p.revents, POLLIN);
        } else if (seed & 0x400) {
            struct epoll_event event = {.events = EPOLLIN | EPOLLET};
            int ep = epoll_create1(0);
            CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, ends[0], &event));
            CHECK_EQ(epoll_wait(ep, &event, 1, -1), 1);
            close(ep);
        }
        CHECK_EQ(read(ends[0], &got, 8), 8);
        CHECK_EQ(got, o.token);
        if (thread)
            t_join(thread);
        CHECK_OK(close(ends[seed >> 7 & 1]));
        CHECK_OK(close(ends[~seed >> 7 & 1]));
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    for (intptr_t i = 0; i < THREADS; i++)
        threads[i] = t_go(storms, (void *)(i + 1));
    for (int i = 0; i < THREADS; i++)
        t_join(threads[i]);
    return 0;
}
