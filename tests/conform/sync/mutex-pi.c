/* A priority-inheritance mutex: excludes, EBUSY, EDEADLK for errorcheck, timeouts, many waiters. */
#include "../t.h"

static pthread_mutex_t lock;
static long counter;

static void *body(void *arg)
{
    for (int i = 0; i < 500; i++) {
        CHECK_OK(pthread_mutex_lock(&lock));
        long seen = counter;
        if (i % 10 == 0)
            sched_yield();
        counter = seen + 1;
        CHECK_OK(pthread_mutex_unlock(&lock));
    }
    return arg;
}

static void *busy(void *arg)
{
    CHECK_EQ(pthread_mutex_trylock(&lock), EBUSY);
    struct timespec until = t_spec(t_now(CLOCK_REALTIME) + 10 * MSEC);
    CHECK_EQ(pthread_mutex_timedlock(&lock, &until), ETIMEDOUT);
    CHECK_GE(t_now(CLOCK_REALTIME), until.tv_sec * NSEC + until.tv_nsec);
    return arg;
}

static void make(int kind)
{
    pthread_mutexattr_t attr;
    CHECK_OK(pthread_mutexattr_init(&attr));
    CHECK_OK(pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT));
    CHECK_OK(pthread_mutexattr_settype(&attr, kind));
    CHECK_OK(pthread_mutex_init(&lock, &attr));
}

int main(void)
{
    pthread_t threads[10];
    make(PTHREAD_MUTEX_NORMAL);
    for (int i = 0; i < 10; i++)
        threads[i] = t_go(body, NULL);
    for (int i = 0; i < 10; i++)
        t_join(threads[i]);
    CHECK_EQ(counter, 5000);
    CHECK_OK(pthread_mutex_lock(&lock));
    t_join(t_go(busy, NULL));
    CHECK_OK(pthread_mutex_unlock(&lock));
    CHECK_OK(pthread_mutex_destroy(&lock));

    make(PTHREAD_MUTEX_ERRORCHECK);
    CHECK_OK(pthread_mutex_lock(&lock));
    CHECK_EQ(pthread_mutex_lock(&lock), EDEADLK);
    t_join(t_go(busy, NULL));
    CHECK_OK(pthread_mutex_unlock(&lock));
    CHECK_EQ(pthread_mutex_unlock(&lock), EPERM);

    make(PTHREAD_MUTEX_RECURSIVE);
    CHECK_OK(pthread_mutex_lock(&lock));
    CHECK_OK(pthread_mutex_lock(&lock));
    t_join(t_go(busy, NULL));
    CHECK_OK(pthread_mutex_unlock(&lock));
    t_join(t_go(busy, NULL));
    CHECK_OK(pthread_mutex_unlock(&lock));
    t_join(t_go(body, NULL));
    return 0;
}
