/* Thousands of threads read one pipe, byte by byte, and one of them wakes for each byte, again and again: what that costs does not depend on
 * how many wait. Likewise when they wait for a signal each. */
#include "../t.h"

enum { COUNT = 6000, ROUNDS = 30 };

static pthread_t threads[COUNT];
static int ends[2], done; /* done: atomic */

static void *reads(void *arg)
{
    char byte;
    while (read(ends[0], &byte, 1) == 1)
        __atomic_fetch_add(&done, 1, __ATOMIC_RELAXED);
    return arg;
}

static sigset_t usr;
static void *waits(void *arg)
{
    for (int i = 0, signal_number; i < ROUNDS; i++) {
        CHECK_OK(sigwait(&usr, &signal_number));
        CHECK_EQ(signal_number, SIGUSR1);
        __atomic_fetch_add(&done, 1, __ATOMIC_RELAXED);
    }
    return arg;
}

static void all(void *(*body)(void *), void (*wake)(int))
{
    pthread_attr_t attr;
    done = 0;
    CHECK_OK(pthread_attr_init(&attr));
    CHECK_OK(pthread_attr_setstacksize(&attr, 64 << 10));
    for (int i = 0; i < COUNT; i++) {
        int rc = pthread_create(&threads[i], &attr, body, NULL);
        if (rc == EAGAIN && i > 100)
            t_skip("the machine does not allow 6000 threads");
        CHECK_OK(rc);
    }
    for (int round = 1; round <= ROUNDS; round++) {
        for (int i = 0; i < COUNT; i++)
            wake(i);
        while (__atomic_load_n(&done, __ATOMIC_RELAXED) < round * COUNT)
            usleep(1000);
    }
}

static void writes(int i)
{
    CHECK_EQ(write(ends[1], &(char){(char)i}, 1), 1);
}

static void signals(int i)
{
    CHECK_OK(pthread_kill(threads[i], SIGUSR1));
}

int main(void)
{
    CHECK_OK(pipe(ends));
    all(reads, writes);
    CHECK_OK(close(ends[1]));
    for (int i = 0; i < COUNT; i++)
        t_join(threads[i]);
    CHECK_OK(sigemptyset(&usr));
    CHECK_OK(sigaddset(&usr, SIGUSR1));
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &usr, NULL));
    all(waits, signals);
    for (int i = 0; i < COUNT; i++)
        t_join(threads[i]);
    return 0;
}
