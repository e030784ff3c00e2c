/* A hundred thousand descriptors open: threads wait on some among them with high numbers, poll sees
 * all of them, close_range ends it. */
#include "../t.h"
#include <sys/epoll.h>

#define SPREAD 50
static int count = 100000, ends[SPREAD][2];

static void *waits(void *arg)
{
    int i = (int)(intptr_t)arg, value = -1;
    struct pollfd p = {ends[i][0], POLLIN, 0};
    if (i % 3 == 0) {
        CHECK_EQ(poll(&p, 1, -1), 1);
    } else if (i % 3 == 1) {
        struct epoll_event event = {.events = EPOLLIN};
        int ep = epoll_create1(0);
        CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, ends[i][0], &event));
        CHECK_EQ(epoll_wait(ep, &event, 1, -1), 1);
        close(ep);
    }
    CHECK_EQ(read(ends[i][0], &value, sizeof value), sizeof value);
    CHECK_EQ(value, i);
    return NULL;
}

int main(void)
{
    pthread_t threads[SPREAD];
    struct rlimit limit;
    CHECK_OK(getrlimit(RLIMIT_NOFILE, &limit));
    if (limit.rlim_max < (rlim_t)count + 1000) {
        struct rlimit more = {(rlim_t)count + 1000, (rlim_t)count + 1000};
        if (setrlimit(RLIMIT_NOFILE, &more) != 0)
            count = (int)limit.rlim_max / 2;
    } else {
        limit.rlim_cur = (rlim_t)count + 1000;
        CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
    }
    int tube[2];
    CHECK_OK(pipe(tube));
    int first = 200, last = first;
    for (; last < first + count; last++)
        CHECK_EQ(fcntl(tube[0], F_DUPFD, last), last);
    for (int i = 0; i < SPREAD; i++) {
        int pair[2];
        t_pair(pair);
        ends[i][0] = first + (int)((int64_t)count * i / SPREAD);
        ends[i][1] = pair[1];
        CHECK_EQ(dup2(pair[0], ends[i][0]), ends[i][0]);
        close(pair[0]);
        threads[i] = t_go(waits, (void *)(intptr_t)i);
    }
    t_settle();
    struct pollfd *p = calloc((size_t)count, sizeof *p);
    for (int i = 0; i < count; i++)
        p[i] = (struct pollfd){first + i, POLLIN, 0};
    CHECK_EQ(poll(p, (nfds_t)count, 0), 0);
    for (int i = 0; i < SPREAD; i++)
        CHECK_EQ(write(ends[i][1], &i, sizeof i), sizeof i);
    for (int i = 0; i < SPREAD; i++)
        t_join(threads[i]);
    CHECK_EQ(write(tube[1], "x", 1), 1);
    CHECK_EQ(poll(p, (nfds_t)count, -1), count - SPREAD);
    CHECK_OK(syscall(SYS_close_range, first, last, 0));
    CHECK_EQ(poll(p, (nfds_t)count, -1), count);
    CHECK_EQ(p[count - 1].revents, POLLNVAL);
    char byte;
    CHECK_EQ(read(tube[0], &byte, 1), 1);
    return 0;
}
