/* A thread's CPU time is never more than its process's, asked for the first time when it has had to share its CPU with other processes. */
#include "../t.h"
#include <sched.h>

enum { OTHERS = 3, ROUNDS = 4 };

static void *nothing(void *arg)
{
    return arg;
}

static void *another(void *arg)
{
    CHECK(t_now(CLOCK_THREAD_CPUTIME_ID) > 0);
    return arg;
}

static void compute(void)
{
    int64_t begin = t_now(CLOCK_MONOTONIC);
    while (t_now(CLOCK_MONOTONIC) - begin < 100 * MSEC)
        ;
}

/* `first`: another thread has asked for its own time between two turns of this one. */
static void asks(int first)
{
    t_join(t_go(nothing, NULL));
    compute();
    if (first) {
        t_join(t_go(another, NULL));
        compute();
    }
    int64_t thread = t_now(CLOCK_THREAD_CPUTIME_ID), process = t_now(CLOCK_PROCESS_CPUTIME_ID);
    CHECK(thread <= process);
    CHECK(thread > 0);
}

int main(void)
{
    cpu_set_t cpus;
    pid_t others[OTHERS], child;
    int cpu = sched_getcpu(), status;
    CPU_ZERO(&cpus);
    CPU_SET(cpu, &cpus);
    CHECK_OK(sched_setaffinity(0, sizeof cpus, &cpus));
    for (int i = 0; i < OTHERS; i++)
        if ((others[i] = fork()) == 0) {
            alarm(15);
            for (;;)
                ;
        }
    for (int i = 0; i < ROUNDS; i++) {
        if ((child = fork()) == 0) {
            asks(i % 2);
            _exit(0);
        }
        CHECK_EQ(waitpid(child, &status, 0), child);
        CHECK_EQ(status, 0);
    }
    for (int i = 0; i < OTHERS; i++) {
        CHECK_OK(kill(others[i], SIGKILL));
        CHECK_EQ(waitpid(others[i], &status, 0), others[i]);
    }
    return 0;
}
