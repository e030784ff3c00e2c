/* A signal ends select, pselect6 and ppoll, and the time left is written back all the same: a loop that waits again for what is
 * left comes to its end, however many signals there are. poll and ppoll write revents too. */
#include "../t.h"
#include <sys/select.h>

static int ends[2];
static volatile int done;
static fd_set set;

static void handler(int number)
{
    (void)number;
}

static fd_set *watched(void)
{
    FD_ZERO(&set);
    FD_SET(ends[0], &set);
    return &set;
}

static void *once(void *arg)
{
    sigset_t none;
    sigemptyset(&none);
    struct timeval tv = {20, 0};
    CHECK_ERR(select(ends[0] + 1, watched(), NULL, NULL, &tv), EINTR);
    CHECK(tv.tv_sec >= 0 && tv.tv_sec < 20);
    tv = (struct timeval){20, 0};
    CHECK_ERR(syscall(SYS_select, ends[0] + 1, watched(), NULL, NULL, &tv), EINTR);
    CHECK(tv.tv_sec >= 0 && tv.tv_sec < 20);

    struct timespec left = {20, 0};
    CHECK_ERR(syscall(SYS_pselect6, ends[0] + 1, watched(), NULL, NULL, &left, NULL), EINTR);
    CHECK(left.tv_sec >= 0 && left.tv_sec < 20);
    for (int mask = 0; mask < 2; mask++) {
        struct pollfd p = {ends[0], POLLIN, 0x55};
        left = (struct timespec){20, 0};
        CHECK_ERR(syscall(SYS_ppoll, &p, 1, &left, mask ? &none : NULL, 8), EINTR);
        CHECK(left.tv_sec >= 0 && left.tv_sec < 20);
        CHECK_EQ(p.revents, 0);
    }
    struct pollfd p = {ends[0], POLLIN, 0x55};
    CHECK_ERR(poll(&p, 1, 20000), EINTR);
    CHECK_EQ(p.revents, 0);
    done = 1;
    return arg;
}

static void *to_the_end(void *arg)
{
    struct timeval tv = {0, 20000};
    int rc;
    do
        rc = select(ends[0] + 1, watched(), NULL, NULL, &tv);
    while (rc < 0 && errno == EINTR);
    CHECK_EQ(rc, 0);
    CHECK_EQ(tv.tv_sec, 0);
    CHECK_EQ(tv.tv_usec, 0);

    struct timespec left = {0, 20 * MSEC};
    do
        rc = (int)syscall(SYS_pselect6, ends[0] + 1, watched(), NULL, NULL, &left, NULL);
    while (rc < 0 && errno == EINTR);
    CHECK_EQ(rc, 0);

    struct pollfd p = {ends[0], POLLIN, 0};
    left = (struct timespec){0, 20 * MSEC};
    do
        rc = (int)syscall(SYS_ppoll, &p, 1, &left, NULL, 8);
    while (rc < 0 && errno == EINTR);
    CHECK_EQ(rc, 0);
    done = 1;
    return arg;
}

int main(void)
{
    struct sigaction action = {.sa_handler = handler};
    void *(*const bodies[])(void *) = {once, to_the_end};
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    CHECK_OK(pipe(ends));
    for (int i = 0; i < 2; i++) {
        done = 0;
        pthread_t thread = t_go(bodies[i], NULL);
        t_poke(thread, SIGUSR1, &done);
        t_join(thread);
    }
    return 0;
}
