/* Whoever sends a thread signals in a loop, and it takes its time over each, does not fill the kernel's queue of signals, which all processes of a user
 * share: what is pending is merged. */
#include "../t.h"

static volatile int stop;
static pthread_t flooded;
static _Atomic long hits;

static void slow(int number)
{
    struct timespec begin, now;
    (void)number;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while ((now.tv_sec - begin.tv_sec) * 1000000000l + now.tv_nsec - begin.tv_nsec < 2 * MSEC);
    hits++;
}

static void *takes(void *arg)
{
    while (!stop)
        ;
    return arg;
}

static void *floods(void *arg)
{
    while (!stop)
        CHECK_OK(pthread_kill(flooded, (int)(intptr_t)arg));
    return arg;
}

static long queued(void)
{
    char text[4096], *at;
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    ssize_t n = read(fd, text, sizeof text - 1);
    CHECK(n > 0);
    text[n] = 0;
    close(fd);
    at = strstr(text, "SigQ:");
    CHECK(at != NULL);
    return atol(at + 5);
}

int main(void)
{
    struct sigaction a = {.sa_handler = slow};
    long most = 0, before = queued();
    CHECK_OK(sigaction(SIGUSR1, &a, NULL));
    CHECK_OK(sigaction(SIGUSR2, &a, NULL));
    flooded = t_go(takes, NULL);
    pthread_t one = t_go(floods, (void *)(intptr_t)SIGUSR1), two = t_go(floods, (void *)(intptr_t)SIGUSR2);
    for (int i = 0; i < 100; i++) {
        struct timespec t = {0, 5 * MSEC};
        nanosleep(&t, NULL);
        long now = queued();
        most = now > most ? now : most;
    }
    stop = 1;
    t_join(one);
    t_join(two);
    t_join(flooded);
    CHECK(hits > 0);
    CHECK(most < before + 64); /* other processes of the user have some */
    return 0;
}
