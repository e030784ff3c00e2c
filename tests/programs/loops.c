/* A socket that a thread first waits on in a read, then gives to an event loop, then waits on again: 4000 bytes there and back each time.
 * Ends with its input. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TURNS = 4000 };

static void check(int right)
{
    if (!right)
        abort();
}

static void answer(int fd)
{
    char byte;
    check(read(fd, &byte, 1) == 1 && write(fd, &byte, 1) == 1);
}

static void *answers(void *arg)
{
    int fd = *(int *)arg;
    for (int i = 0; i < TURNS; i++)
        answer(fd);
    int ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    check(ep >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event) == 0);
    check(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    for (int i = 0; i < TURNS; i++) {
        check(epoll_wait(ep, &event, 1, -1) == 1);
        answer(fd);
    }
    close(ep);
    check(fcntl(fd, F_SETFL, 0) == 0);
    for (int i = 0; i < TURNS; i++)
        answer(fd);
    return NULL;
}

int main(void)
{
    int ends[2];
    pthread_t thread;
    check(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    check(pthread_create(&thread, NULL, answers, &ends[1]) == 0);
    for (int i = 0; i < 3 * TURNS; i++) {
        char byte = (char)i, back = 0;
        check(write(ends[0], &byte, 1) == 1 && read(ends[0], &back, 1) == 1 && back == byte);
    }
    pthread_join(thread, NULL);
    puts("done");
    fflush(stdout);
    return getchar() == EOF ? 0 : 1;
}
