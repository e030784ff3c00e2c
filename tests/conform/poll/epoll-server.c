/* An event loop in one thread serves clients that block in others: an epoll server in a threaded
 * program. */
#include "../t.h"
#include <sys/epoll.h>

#define CLIENTS 20
static struct sockaddr_in address;
static int listener, stop[2];

static void *serves(void *arg)
{
    int ep = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[16];
    CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, listener, &event));
    event.data.fd = stop[0];
    CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, stop[0], &event));
    for (;;) {
        int n = epoll_wait(ep, events, 16, -1);
        CHECK(n > 0);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            char data[100];
            if (fd == stop[0])
                return arg;
            if (fd == listener) {
                event.data.fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
                CHECK(event.data.fd >= 0);
                CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, event.data.fd, &event));
                continue;
            }
            ssize_t got = read(fd, data, sizeof data);
            if (got > 0)
                CHECK_EQ(write(fd, data, (size_t)got), got);
            else
                close(fd);
        }
    }
}

static void *asks(void *arg)
{
    int fd = t_connect(&address), value;
    for (int i = 0; i < 100; i++) {
        t_write_all(fd, &i, sizeof i);
        t_read_all(fd, &value, sizeof value);
        CHECK_EQ(value, i);
    }
    close(fd);
    return arg;
}

int main(void)
{
    pthread_t threads[CLIENTS];
    listener = t_listen(&address, 64);
    CHECK_OK(pipe(stop));
    pthread_t server = t_go(serves, NULL);
    for (int i = 0; i < CLIENTS; i++)
        threads[i] = t_go(asks, NULL);
    for (int i = 0; i < CLIENTS; i++)
        t_join(threads[i]);
    CHECK_EQ(write(stop[1], "x", 1), 1);
    t_join(server);
    return 0;
}
