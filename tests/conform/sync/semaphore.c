/* Semaphores count exactly: wait, trywait, timedwait, clockwait, getvalue, EOVERFLOW; a post wakes
 * one waiter. */
#include "../t.h"

static sem_t sem, done;

static void *body(void *arg)
{
    for (int i = 0; i < 1000; i++) {
        CHECK_OK(sem_wait(&sem));
        CHECK_OK(sem_post(&done));
    }
    return arg;
}

static void *poster(void *arg)
{
    for (int i = 0; i < 1000; i++) {
        CHECK_OK(sem_post(&sem));
        if (i % 100 == 0)
            sched_yield();
    }
    return arg;
}

int main(void)
{
    pthread_t threads[20];
    int value;
    CHECK_OK(sem_init(&sem, 0, 2));
    CHECK_OK(sem_init(&done, 0, 0));
    CHECK_OK(sem_trywait(&sem));
    CHECK_OK(sem_wait(&sem));
    CHECK_ERR(sem_trywait(&sem), EAGAIN);
    struct timespec until = t_spec(t_now(CLOCK_REALTIME) + 10 * MSEC);
    CHECK_ERR(sem_timedwait(&sem, &until), ETIMEDOUT);
    CHECK_GE(t_now(CLOCK_REALTIME), until.tv_sec * NSEC + until.tv_nsec);
    until = t_spec(t_now(CLOCK_MONOTONIC) + 10 * MSEC);
    CHECK_ERR(sem_clockwait(&sem, CLOCK_MONOTONIC, &until), ETIMEDOUT);
    CHECK_GE(t_now(CLOCK_MONOTONIC), until.tv_sec * NSEC + until.tv_nsec);
    until.tv_nsec = -1;
    CHECK_ERR(sem_timedwait(&sem, &until), EINVAL);

    for (int i = 0; i < 20; i++)
        threads[i] = t_go(i % 2 ? body : poster, NULL);
    for (int i = 0; i < 20; i++)
        t_join(threads[i]);
    CHECK_OK(sem_getvalue(&sem, &value));
    CHECK_EQ(value, 0);
    CHECK_OK(sem_getvalue(&done, &value));
    CHECK_EQ(value, 10000);

    CHECK_OK(sem_init(&sem, 0, SEM_VALUE_MAX));
    CHECK_ERR(sem_post(&sem), EOVERFLOW);
    return 0;
}
