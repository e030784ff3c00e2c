/* Threads whose calls never have to wait take turns all the same, and not only every 10 ms. */
#include <sys/socket.h>

#include "../t.h"

enum { CPU = 600 * MSEC, TURNS = 100, LOOK = 64 };

static int ends[2];
static long last, turns;
static pthread_barrier_t at;

static void *calls(void *arg)
{
    const long me = (long)arg;
    char byte;
    pthread_barrier_wait(&at);
    for (long i = 0; i % LOOK || t_now(CLOCK_PROCESS_CPUTIME_ID) < CPU; i++) {
        CHECK_EQ(recv(ends[0], &byte, 1, MSG_PEEK), 1);
        if (__atomic_load_n(&last, __ATOMIC_RELAXED) != me) {
            __atomic_store_n(&last, me, __ATOMIC_RELAXED);
            __atomic_add_fetch(&turns, 1, __ATOMIC_RELAXED);
        }
    }
    return NULL;
}

int main(void)
{
    t_pair(ends);
    CHECK_EQ(write(ends[1], "x", 1), 1);
    CHECK_OK(pthread_barrier_init(&at, NULL, 2));
    pthread_t one = t_go(calls, (void *)1), two = t_go(calls, (void *)2);
    t_join(one);
    t_join(two);
    CHECK_GE(turns, TURNS);
    return 0;
}
