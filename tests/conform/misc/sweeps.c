/* A program that closes every descriptor but the standard ones - by a loop, by close_range, by the
 * list in /proc - before it has threads, while it has, and in a child: I/O in threads goes on as
 * ever, on numbers used again. */
#include "../t.h"
#include <dirent.h>
#include <sys/epoll.h>

static void by_loop(void)
{
    struct rlimit limit;
    CHECK_OK(getrlimit(RLIMIT_NOFILE, &limit));
    int most = limit.rlim_cur > 70000 ? 70000 : (int)limit.rlim_cur;
    for (int fd = 3; fd < most; fd++)
        close(fd);
}

static void by_range(void)
{
    CHECK_OK(syscall(SYS_close_range, 3, ~0U, 0));
}

static void by_list(void)
{
    int found[1000], n = 0;
    DIR *d = opendir("/proc/self/fd");
    CHECK(d);
    struct dirent *e;
    while ((e = readdir(d)) && n < 1000)
        if (atoi(e->d_name) > 2 && atoi(e->d_name) != dirfd(d))
            found[n++] = atoi(e->d_name);
    closedir(d);
    while (n > 0)
        close(found[--n]);
}

static void (*const sweeps[])(void) = {by_loop, by_range, by_list};

static int ends[2], ep;

static void *echoes(void *arg)
{
    struct epoll_event event = {.events = EPOLLIN};
    char text[10];
    CHECK((ep = epoll_create1(0)) >= 0);
    CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, ends[0], &event));
    for (int i = 0; i < 5; i++) {
        struct pollfd p = {ends[0], POLLIN, 0};
        if (i % 2)
            CHECK_EQ(epoll_wait(ep, &event, 1, -1), 1);
        else
            CHECK_EQ(poll(&p, 1, -1), 1);
        CHECK_EQ(read(ends[0], text, 2), 2);
        CHECK_EQ(write(ends[0], text, 2), 2);
    }
    close(ep);
    return arg;
}

static void io(void)
{
    char text[2];
    t_pair(ends);
    CHECK(ends[0] < 20 && ends[1] < 20); /* low numbers are free again */
    pthread_t thread = t_go(echoes, NULL);
    for (int i = 0; i < 5; i++) {
        t_settle();
        CHECK_EQ(write(ends[1], "ab", 2), 2);
        t_read_all(ends[1], text, 2);
    }
    t_join(thread);
    close(ends[0]);
    close(ends[1]);
}

static void *sleeps(void *arg)
{
    sem_t *sem = arg;
    while (sem_wait(sem) != 0)
        ;
    return arg;
}

static void *sweeps_and_goes_on(void *arg)
{
    sweeps[(intptr_t)arg]();
    return NULL;
}

int main(void)
{
    sem_t sem;
    CHECK_OK(sem_init(&sem, 0, 0));
    for (int i = 0; i < 3; i++) {
        int spare = dup(0); /* something to close */
        CHECK(spare >= 3);
        sweeps[i](); /* before, and between, threads */
        CHECK_ERR(fcntl(spare, F_GETFD), EBADF);
        io();
    }
    pthread_t still = t_go(sleeps, &sem);
    for (intptr_t i = 0; i < 3; i++) {
        t_join(t_go(sweeps_and_goes_on, (void *)i));
        io();
        pid_t child = fork(); /* as daemons do */
        CHECK(child >= 0);
        if (child == 0) {
            t_bound();
            sweeps[i]();
            io();
            sweeps[i]();
            io();
            _exit(0);
        }
        t_expect_exit(child, 0);
        io();
    }
    sem_post(&sem);
    t_join(still);
    return 0;
}
