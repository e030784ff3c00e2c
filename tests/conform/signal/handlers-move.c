/* Threads that compute are sent one signal after the other, so that the next often comes while the handler returns; and the handler
 * waits for others, so that it may go on on another CPU. Every thread goes on with what it did, and its own registers. */
#include "../t.h"
#include <sys/syscall.h>

enum { THREADS = 6, ROUNDS = 1500 };
static pthread_t threads[THREADS];
static pthread_barrier_t ready;
static volatile int stop;
static volatile unsigned long handled[THREADS];
static __thread volatile int me = -1;
static __thread volatile unsigned char cookie[64];

static void on_signal(int sig)
{
    (void)sig;
    CHECK(me >= 0);
    handled[me]++;
    sched_yield();
}

static void *computes(void *arg)
{
    int n = (int)(intptr_t)arg;
    unsigned long x = 1, y = 1, z = (unsigned long)n;
    double d = n;
    for (int i = 0; i < 64; i++)
        cookie[i] = (unsigned char)(n + i);
    me = n;
    pthread_barrier_wait(&ready);
    while (!stop) { /* two that are to go the same way */
        x = x * 6364136223846793005u + 1;
        y = y * 6364136223846793005u + 1;
        d += 0.5;
        d -= 0.5;
        CHECK(x == y && d == n && z == (unsigned long)n);
    }
    for (int i = 0; i < 64; i++)
        CHECK_EQ(cookie[i], (unsigned char)(n + i));
    return NULL;
}

int main(void)
{
    CHECK_OK(pthread_barrier_init(&ready, NULL, THREADS + 1));
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    CHECK_OK(sigaction(SIGUSR2, &action, NULL));
    for (int i = 0; i < THREADS; i++)
        threads[i] = t_go(computes, (void *)(intptr_t)i);
    pthread_barrier_wait(&ready);
    for (int i = 0; i < ROUNDS; i++)
        for (int k = 0; k < THREADS; k++) {
            CHECK_OK(pthread_kill(threads[k], SIGUSR1));
            CHECK_OK(pthread_kill(threads[(k + 1) % THREADS], SIGUSR2));
        }
    stop = 1;
    for (int i = 0; i < THREADS; i++) {
        t_join(threads[i]);
        CHECK(handled[i] > 0);
    }
    return 0;
}
