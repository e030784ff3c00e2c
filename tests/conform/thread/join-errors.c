/* Joining oneself is EDEADLK, a detached thread EINVAL; tryjoin EBUSY, timedjoin ETIMEDOUT while it
 * runs. */
#include "../t.h"

static sem_t go;

static void *waits(void *arg)
{
    CHECK_OK(sem_wait(&go));
    return arg;
}

int main(void)
{
    void *value;
    CHECK_OK(sem_init(&go, 0, 0));
    CHECK_EQ(pthread_join(pthread_self(), NULL), EDEADLK);

    pthread_t thread = t_go(waits, &go);
    CHECK_EQ(pthread_tryjoin_np(thread, &value), EBUSY);
    struct timespec until = t_spec(t_now(CLOCK_REALTIME) + 20 * MSEC);
    CHECK_EQ(pthread_timedjoin_np(thread, &value, &until), ETIMEDOUT);
    CHECK_GE(t_now(CLOCK_REALTIME), until.tv_sec * NSEC + until.tv_nsec);
    CHECK_OK(sem_post(&go));
    until = t_spec(t_now(CLOCK_REALTIME) + 60 * NSEC);
    CHECK_OK(pthread_timedjoin_np(thread, &value, &until));
    CHECK(value == &go);

    thread = t_go(waits, NULL);
    CHECK_OK(pthread_detach(thread));
    CHECK_EQ(pthread_detach(thread), EINVAL);
    CHECK_EQ(pthread_join(thread, NULL), EINVAL);
    CHECK_OK(sem_post(&go));
    return 0;
}
