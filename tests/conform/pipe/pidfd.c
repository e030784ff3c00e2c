/* pidfd: threads poll and waitid on children's descriptors; each learns of its own child, though
 * they end in another order. */
#include "../t.h"
#include <sys/epoll.h>

#define COUNT 12
static int fds[COUNT];
static pid_t pids[COUNT];

static void *waits(void *arg)
{
    int i = (int)(intptr_t)arg;
    siginfo_t info = {0};
    if (i % 3 == 0) {
        struct pollfd p = {fds[i], POLLIN, 0};
        CHECK_EQ(poll(&p, 1, -1), 1);
        CHECK_EQ(p.revents & ~POLLHUP, POLLIN);
    } else if (i % 3 == 1) {
        int ep = epoll_create1(0);
        struct epoll_event event = {.events = EPOLLIN};
        CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &event));
        CHECK_EQ(epoll_wait(ep, &event, 1, -1), 1);
        close(ep);
    }
    CHECK_OK(waitid((idtype_t)3 /* P_PIDFD */, (id_t)fds[i], &info, WEXITED));
    CHECK_EQ(info.si_pid, pids[i]);
    CHECK_EQ(info.si_status, i + 1);
    return NULL;
}

int main(void)
{
    pthread_t threads[COUNT];
    int writers[COUNT];
    for (int i = 0; i < COUNT; i++) {
        int own[2];
        CHECK_OK(pipe(own));
        pids[i] = fork();
        CHECK(pids[i] >= 0);
        if (pids[i] == 0) {
            char byte;
            close(own[1]);
            CHECK_EQ(read(own[0], &byte, 1), 1);
            _exit(i + 1);
        }
        close(own[0]);
        fds[i] = (int)syscall(SYS_pidfd_open, pids[i], 0);
        CHECK(fds[i] >= 0);
        threads[i] = t_go(waits, (void *)(intptr_t)i);
        writers[i] = own[1];
        if (i % 2)
            t_settle();
    }
    for (int i = COUNT - 1; i >= 0; i--)
        CHECK_EQ(write(writers[i], "x", 1), 1);
    for (int i = 0; i < COUNT; i++)
        t_join(threads[i]);
    CHECK_ERR(waitpid(-1, NULL, 0), ECHILD);
    return 0;
}
