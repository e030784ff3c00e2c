/* A handler forks, and in the child too it returns to what it interrupted: a call of the thread's own, a loop, a wait. */
#include "../t.h"

static volatile pid_t child = -1;
static volatile int done;
static int ends[2];
static _Atomic int ready;

static void handler(int number)
{
    (void)number;
    child = fork();
    CHECK(child >= 0);
    done = 1;
    if (child == 0) {
        t_bound();
        CHECK_EQ(write(ends[1], "x", 1), 1);
    }
}

static void *nothing(void *arg)
{
    return arg;
}

static void after(void)
{
    char byte;
    if (child == 0) {
        t_join(t_go(nothing, NULL));
        _exit(3);
    }
    t_expect_exit(child, 3);
    while (recv(ends[0], &byte, 1, MSG_DONTWAIT) == 1)
        ;
}

static void *raises(void *arg)
{
    CHECK_OK(raise(SIGUSR1));
    after();
    return arg;
}

static void *computes(void *arg)
{
    unsigned x = 1, y = 1;
    ready = 1;
    while (!done) {
        x = x * 1664525u + 1013904223u;
        y = y * 1664525u + 1013904223u;
        CHECK(x == y);
    }
    after();
    return arg;
}

static void *reads(void *arg)
{
    char byte;
    ready = 1;
    CHECK_EQ(read(ends[0], &byte, 1), 1); /* both end with the child's byte or its parent's */
    after();
    return arg;
}

int main(void)
{
    void *(*const bodies[])(void *) = {computes, reads};
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    t_pair(ends);
    t_join(t_go(raises, NULL));
    raises(NULL);
    for (int i = 0; i < 2; i++) {
        done = ready = 0;
        pthread_t thread = t_go(bodies[i], NULL);
        while (!ready)
            sched_yield();
        t_settle();
        CHECK_OK(pthread_kill(thread, SIGUSR1));
        if (i == 1)
            CHECK_EQ(write(ends[1], "x", 1), 1);
        t_join(thread);
    }
    return 0;
}
