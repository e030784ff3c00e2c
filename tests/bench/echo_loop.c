/*
 * echo_loop - what echo_server does, as one would write it by hand for speed: one thread, epoll, edge triggered.
 * It shows how much of a request is the kernel's network, which no scheduling of threads makes less.
 *
 * Listens on a free loopback port and prints "port N"; ends with status 0 on SIGTERM.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void on_term(int signal_number)
{
    (void)signal_number;
    _exit(0);
}

/* All that is there, back. */
static void echo(int fd)
{
    char data[4096];
    ssize_t n;
    do {
        n = recv(fd, data, sizeof data, MSG_DONTWAIT);
        for (ssize_t sent = 0; sent < n;) {
            ssize_t m = send(fd, data + sent, (size_t)(n - sent), MSG_NOSIGNAL);
            if (m <= 0) {
                n = 0;
                break;
            }
            sent += m;
        }
    } while (n == (ssize_t)sizeof data); /* after less, the next edge tells */
    if (n == 0 || (n < 0 && errno != EAGAIN))
        close(fd);
}

int main(void)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGTERM, on_term);

    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1, ep = epoll_create1(0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    if (bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 4096) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0 ||
        epoll_ctl(ep, EPOLL_CTL_ADD, listener, &event) != 0) {
        perror("echo_loop");
        return 1;
    }
    printf("port %d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        struct epoll_event events[128];
        int n = epoll_wait(ep, events, 128, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd != listener) {
                echo(events[i].data.fd);
                continue;
            }
            int fd = accept(listener, NULL, NULL);
            event = (struct epoll_event){.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.fd = fd};
            if (fd >= 0 && (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
                            epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event) != 0))
                close(fd);
        }
    }
}
