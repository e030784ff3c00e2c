/* Wake-ups that race with time limits: a waiter that was counted says that it was woken, and only then. */
#include "futex.h"

enum { EACH = 3, WAKES = 3000 };
static uint32_t word, other;
static _Atomic int woken, stop;
static int have_waitv;

/* In so many ns at the latest: soon enough to race. */
static struct timespec soon(clockid_t clock, long ns)
{
    struct timespec t;
    CHECK_OK(clock_gettime(clock, &t));
    t.tv_nsec += ns;
    if (t.tv_nsec >= 1000000000) {
        t.tv_nsec -= 1000000000;
        t.tv_sec++;
    }
    return t;
}

static void *waits(void *arg)
{
    struct waiter v[2] = {{0, (uintptr_t)&word, FLAGS, 0}, {0, (uintptr_t)&other, FLAGS, 0}};
    int many = (int)(intptr_t)arg & 1;
    for (long i = 0; !stop; i++) {
        long ns = i % 7 * 9000;
        long r;
        if (many && have_waitv) {
            struct timespec t = soon(CLOCK_MONOTONIC, ns);
            r = syscall(SYS_futex_waitv, v, 2, 0, &t, CLOCK_MONOTONIC);
        } else {
            struct timespec t = soon(CLOCK_MONOTONIC, ns);
            r = futex(&word, FUTEX_WAIT_BITSET | PRIVATE, 0, &t, NULL, ~0u);
        }
        if (r == 0)
            woken++;
        else
            CHECK_EQ(errno, ETIMEDOUT);
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[2 * EACH];
    struct timespec past = {1, 0};
    struct waiter v = {0, (uintptr_t)&other, FLAGS, 0};
    have_waitv = syscall(SYS_futex_waitv, &v, 1, 0, &past, CLOCK_MONOTONIC) == -1 && errno == ETIMEDOUT;
    for (int i = 0; i < 2 * EACH; i++)
        threads[i] = t_go(waits, (void *)(intptr_t)i);
    int counted = 0;
    for (int i = 0; i < WAKES; i++) {
        long n = futex(&word, FUTEX_WAKE | PRIVATE, 1, NULL, NULL, 0);
        CHECK(n == 0 || n == 1);
        counted += (int)n;
        for (volatile int spin = 0; spin < i % 64 * 8; spin++)
            ;
        if (n == 0)
            sched_yield();
    }
    stop = 1;
    for (int i = 0; i < 2 * EACH; i++)
        t_join(threads[i]);
    CHECK_EQ(woken, counted);
    return 0;
}
