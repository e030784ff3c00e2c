/* A condition variable with a priority-inheritance mutex: signal, broadcast and timeout. */
#include "../t.h"

static pthread_mutex_t lock;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int tokens, taken;

static void *body(void *arg)
{
    CHECK_OK(pthread_mutex_lock(&lock));
    while (tokens == 0)
        CHECK_OK(pthread_cond_wait(&cond, &lock));
    tokens--;
    taken++;
    CHECK_OK(pthread_mutex_unlock(&lock));
    return arg;
}

int main(void)
{
    pthread_t threads[20];
    pthread_mutexattr_t attr;
    CHECK_OK(pthread_mutexattr_init(&attr));
    CHECK_OK(pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT));
    CHECK_OK(pthread_mutex_init(&lock, &attr));
    for (int i = 0; i < 20; i++)
        threads[i] = t_go(body, NULL);
    for (int i = 0; i < 10; i++) {
        CHECK_OK(pthread_mutex_lock(&lock));
        tokens++;
        CHECK_OK(pthread_cond_signal(&cond));
        CHECK_OK(pthread_mutex_unlock(&lock));
    }
    t_settle();
    CHECK_OK(pthread_mutex_lock(&lock));
    tokens += 10;
    CHECK_OK(pthread_cond_broadcast(&cond));
    CHECK_OK(pthread_mutex_unlock(&lock));
    for (int i = 0; i < 20; i++)
        t_join(threads[i]);
    CHECK_EQ(taken, 20);
    CHECK_OK(pthread_mutex_lock(&lock));
    struct timespec until = t_spec(t_now(CLOCK_REALTIME) + 10 * MSEC);
    CHECK_EQ(pthread_cond_timedwait(&cond, &lock, &until), ETIMEDOUT);
    CHECK_OK(pthread_mutex_unlock(&lock));
    return 0;
}
