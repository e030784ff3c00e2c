/* pthread_cond_timedwait on both clocks: ETIMEDOUT, never early, the mutex held after; a signal
 * comes before a far deadline. */
#include "../t.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond;
static clockid_t clock_used;
static int flag;

static void *waits(void *arg)
{
    struct timespec until = t_spec(t_now(clock_used) + 1000 * NSEC);
    CHECK_OK(pthread_mutex_lock(&lock));
    while (!flag)
        CHECK_OK(pthread_cond_timedwait(&cond, &lock, &until));
    CHECK_OK(pthread_mutex_unlock(&lock));
    return arg;
}

static void *times_out(void *arg)
{
    struct timespec until = t_spec(t_now(clock_used) + 30 * MSEC);
    int rc;
    CHECK_OK(pthread_mutex_lock(&lock));
    do
        rc = pthread_cond_timedwait(&cond, &lock, &until);
    while (rc == 0);
    CHECK_EQ(rc, ETIMEDOUT);
    CHECK_GE(t_now(clock_used), until.tv_sec * NSEC + until.tv_nsec);
    CHECK_OK(pthread_mutex_unlock(&lock));
    return arg;
}

int main(void)
{
    static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC};
    for (int c = 0; c < 2; c++) {
        pthread_condattr_t attr;
        pthread_t threads[20];
        clock_used = clocks[c];
        flag = 0;
        CHECK_OK(pthread_condattr_init(&attr));
        CHECK_OK(pthread_condattr_setclock(&attr, clock_used));
        CHECK_OK(pthread_cond_init(&cond, &attr));
        for (int i = 0; i < 20; i++)
            threads[i] = t_go(times_out, NULL);
        for (int i = 0; i < 20; i++)
            t_join(threads[i]);
        for (int i = 0; i < 20; i++)
            threads[i] = t_go(waits, NULL);
        CHECK_OK(pthread_mutex_lock(&lock));
        flag = 1;
        CHECK_OK(pthread_cond_broadcast(&cond));
        CHECK_OK(pthread_mutex_unlock(&lock));
        for (int i = 0; i < 20; i++)
            t_join(threads[i]);

        CHECK_OK(pthread_mutex_lock(&lock));
        struct timespec past = {0, 0}, bad = {0, 1000000000};
        CHECK_EQ(pthread_cond_timedwait(&cond, &lock, &past), ETIMEDOUT);
        CHECK_EQ(pthread_cond_timedwait(&cond, &lock, &bad), EINVAL);
        struct timespec soon = t_spec(t_now(CLOCK_MONOTONIC) + 5 * MSEC);
        CHECK_EQ(pthread_cond_clockwait(&cond, &lock, CLOCK_MONOTONIC, &soon), ETIMEDOUT);
        CHECK_OK(pthread_mutex_unlock(&lock));
        CHECK_OK(pthread_cond_destroy(&cond));
    }
    return 0;
}
