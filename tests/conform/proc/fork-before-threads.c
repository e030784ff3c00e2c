/* A single-threaded process forks; parent and child both become threaded. */
#include "../t.h"

static void *body(void *arg)
{
    struct timespec tick = {0, MSEC};
    nanosleep(&tick, NULL);
    return arg;
}

int main(void)
{
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        t_bound();
    for (int i = 0; i < 20; i++)
        t_join(t_go(body, NULL));
    if (pid == 0)
        exit(6);
    t_expect_exit(pid, 6);
    return 0;
}
