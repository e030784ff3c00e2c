/* Readers share, a writer excludes; try and timed variants answer EBUSY and ETIMEDOUT. */
#include "../t.h"

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t barrier;
static int a, b;

static void *together(void *arg)
{
    CHECK_OK(pthread_rwlock_rdlock(&lock));
    pthread_barrier_wait(&barrier); /* all ten hold it at once */
    CHECK_EQ(pthread_rwlock_trywrlock(&lock), EBUSY);
    CHECK_OK(pthread_rwlock_unlock(&lock));
    return arg;
}

static void *reads(void *arg)
{
    for (int i = 0; i < 1000; i++) {
        CHECK_OK(pthread_rwlock_rdlock(&lock));
        CHECK_EQ(a, b);
        if (i % 50 == 0)
            sched_yield();
        CHECK_EQ(a, b);
        CHECK_OK(pthread_rwlock_unlock(&lock));
    }
    return arg;
}

static void *writes(void *arg)
{
    for (int i = 0; i < 500; i++) {
        CHECK_OK(pthread_rwlock_wrlock(&lock));
        a++;
        if (i % 50 == 0)
            sched_yield();
        b++;
        CHECK_OK(pthread_rwlock_unlock(&lock));
    }
    return arg;
}

static void *busy(void *arg)
{
    struct timespec until = t_spec(t_now(CLOCK_REALTIME) + 10 * MSEC);
    CHECK_EQ(pthread_rwlock_tryrdlock(&lock), EBUSY);
    CHECK_EQ(pthread_rwlock_trywrlock(&lock), EBUSY);
    CHECK_EQ(pthread_rwlock_timedrdlock(&lock, &until), ETIMEDOUT);
    CHECK_GE(t_now(CLOCK_REALTIME), until.tv_sec * NSEC + until.tv_nsec);
    until = t_spec(t_now(CLOCK_MONOTONIC) + 10 * MSEC);
    CHECK_EQ(pthread_rwlock_clockwrlock(&lock, CLOCK_MONOTONIC, &until), ETIMEDOUT);
    CHECK_GE(t_now(CLOCK_MONOTONIC), until.tv_sec * NSEC + until.tv_nsec);
    return arg;
}

static void run(void *(*body)(void *), void *(*other)(void *))
{
    pthread_t threads[10];
    for (int i = 0; i < 10; i++)
        threads[i] = t_go(i % 2 ? body : other, NULL);
    for (int i = 0; i < 10; i++)
        t_join(threads[i]);
}

int main(void)
{
    CHECK_OK(pthread_barrier_init(&barrier, NULL, 10));
    run(together, together);
    run(reads, writes);
    CHECK_EQ(a, 2500);
    CHECK_EQ(b, 2500);
    CHECK_OK(pthread_rwlock_wrlock(&lock));
    CHECK_EQ(pthread_rwlock_rdlock(&lock), EDEADLK);
    t_join(t_go(busy, NULL));
    CHECK_OK(pthread_rwlock_unlock(&lock));

    pthread_rwlockattr_t attr;
    CHECK_OK(pthread_rwlockattr_init(&attr));
    CHECK_OK(pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP));
    CHECK_OK(pthread_rwlock_init(&lock, &attr));
    a = b = 0;
    run(reads, writes);
    CHECK_EQ(a, 2500);
    return 0;
}
