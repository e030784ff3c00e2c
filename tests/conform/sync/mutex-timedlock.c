/* pthread_mutex_timedlock and clocklock end with ETIMEDOUT, never early, and take the lock when it
 * becomes free. */
#include "../t.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *times_out(void *arg)
{
    (void)arg;
    struct timespec until = t_spec(t_now(CLOCK_REALTIME) + 20 * MSEC);
    CHECK_EQ(pthread_mutex_timedlock(&lock, &until), ETIMEDOUT);
    CHECK_GE(t_now(CLOCK_REALTIME), until.tv_sec * NSEC + until.tv_nsec);
    until = t_spec(t_now(CLOCK_MONOTONIC) + 20 * MSEC);
    CHECK_EQ(pthread_mutex_clocklock(&lock, CLOCK_MONOTONIC, &until), ETIMEDOUT);
    CHECK_GE(t_now(CLOCK_MONOTONIC), until.tv_sec * NSEC + until.tv_nsec);
    until.tv_nsec = 1000000000;
    CHECK_EQ(pthread_mutex_timedlock(&lock, &until), EINVAL);
    until = t_spec(0);
    CHECK_EQ(pthread_mutex_timedlock(&lock, &until), ETIMEDOUT);
    return NULL;
}

static void *gets(void *arg)
{
    (void)arg;
    struct timespec until = t_spec(t_now(CLOCK_REALTIME) + 1000 * NSEC);
    CHECK_OK(pthread_mutex_timedlock(&lock, &until));
    CHECK_OK(pthread_mutex_unlock(&lock));
    return NULL;
}

int main(void)
{
    CHECK_OK(pthread_mutex_lock(&lock));
    t_join(t_go(times_out, NULL));
    pthread_t one = t_go(gets, NULL), two = t_go(gets, NULL);
    t_settle();
    CHECK_OK(pthread_mutex_unlock(&lock));
    t_join(one);
    t_join(two);
    return 0;
}
