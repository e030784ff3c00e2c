/* Threads whose calls never have to wait take turns all the same, and not only every 10 ms; those bound to a CPU, too. */
#include <sys/socket.h>

#include "../t.h"

enum { CPU = 600 * MSEC, TURNS = 100, LOOK = 64 };

static int ends[2];
static long last, turns;
static int64_t until; /* CPU time of the process, ns */
static int bound;
static pthread_barrier_t at;

static void bind_to_one(void)
{
    cpu_set_t all, one;
    CHECK_EQ(sched_getaffinity(0, sizeof all, &all), 0);
    int cpu = 0;
    while (!CPU_ISSET(cpu, &all))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    CHECK_EQ(sched_setaffinity(0, sizeof one, &one), 0);
}

static void *calls(void *arg)
{
    const long me = (long)arg;
    char byte;
    if (bound)
        bind_to_one();
    pthread_barrier_wait(&at);
    for (long i = 0; i % LOOK || t_now(CLOCK_PROCESS_CPUTIME_ID) < until; i++) {
        CHECK_EQ(recv(ends[0], &byte, 1, MSG_PEEK), 1);
        if (__atomic_load_n(&last, __ATOMIC_RELAXED) != me) {
            __atomic_store_n(&last, me, __ATOMIC_RELAXED);
            __atomic_add_fetch(&turns, 1, __ATOMIC_RELAXED);
        }
    }
    return NULL;
}

static void run(void)
{
    turns = 0;
    until = t_now(CLOCK_PROCESS_CPUTIME_ID) + CPU;
    pthread_t one = t_go(calls, (void *)1), two = t_go(calls, (void *)2);
    t_join(one);
    t_join(two);
    CHECK_GE(turns, TURNS);
}

int main(void)
{
    t_pair(ends);
    CHECK_EQ(write(ends[1], "x", 1), 1);
    CHECK_OK(pthread_barrier_init(&at, NULL, 2));
    run();
    bound = 1;
    run();
    return 0;
}
