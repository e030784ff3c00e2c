/* A thread that made a child by vfork or posix_spawn and then computes, without a call, is sent a signal: its handler runs. */
#include "../t.h"
#include <spawn.h>

static _Atomic int hits;
static int ends[2];
static pid_t target, sender;

static void handler(int number)
{
    (void)number;
    hits++;
}

static void *nothing(void *arg)
{
    return arg;
}

static pid_t spawned(void)
{
    pid_t child;
    char *const argv[] = {"true", NULL};
    CHECK_OK(posix_spawnp(&child, "true", NULL, NULL, argv, environ));
    return child;
}

static pid_t vforked(void)
{
    pid_t child = vfork();
    if (child == 0)
        _exit(0);
    CHECK(child > 0);
    return child;
}

static void *computes(void *arg)
{
    pid_t (*const make[])(void) = {vforked, spawned};
    for (int i = 0; i < 10; i++) {
        hits = 0;
        CHECK_EQ(write(ends[1], "x", 1), 1);
        pid_t child = make[i % 2]();
        while (!hits)
            ;
        t_expect_exit(child, 0);
    }
    return arg;
}

int main(void)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    CHECK_OK(pipe(ends));
    target = getpid();
    sender = fork();
    CHECK(sender >= 0);
    if (sender == 0) {
        char byte;
        CHECK_OK(close(ends[1]));
        while (read(ends[0], &byte, 1) == 1) {
            t_settle();
            kill(target, SIGUSR1);
        }
        _exit(0);
    }
    t_join(t_go(nothing, NULL));
    computes(NULL);
    CHECK_OK(close(ends[1]));
    t_expect_exit(sender, 0);
    return 0;
}
