/* A robust mutex whose owner thread ends: EOWNERDEAD, then consistent or ENOTRECOVERABLE; waiters
 * are woken too. */
#include "../t.h"

static pthread_mutex_t lock;
static sem_t locked, die;

static void *owner(void *arg)
{
    CHECK_OK(pthread_mutex_lock(&lock));
    CHECK_OK(sem_post(&locked));
    CHECK_OK(sem_wait(&die));
    return arg;
}

static void *waiter(void *arg)
{
    (void)arg;
    int rc = pthread_mutex_lock(&lock);
    if (rc == EOWNERDEAD)
        CHECK_OK(pthread_mutex_consistent(&lock));
    else
        CHECK_EQ(rc, 0);
    CHECK_OK(pthread_mutex_unlock(&lock));
    return (void *)(intptr_t)rc;
}

static void make(void)
{
    pthread_mutexattr_t attr;
    CHECK_OK(pthread_mutexattr_init(&attr));
    CHECK_OK(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST));

    CHECK_OK(pthread_mutex_init(&lock, &attr));
}

int main(void)
{
    CHECK_OK(sem_init(&locked, 0, 0));
    CHECK_OK(sem_init(&die, 0, 0));

    /* Dead before anyone asks. */
    make();
    pthread_t thread = t_go(owner, NULL);
    CHECK_OK(sem_post(&die));
    t_join(thread);
    CHECK_OK(sem_wait(&locked));
    CHECK_EQ(pthread_mutex_lock(&lock), EOWNERDEAD);
    CHECK_OK(pthread_mutex_consistent(&lock));
    CHECK_OK(pthread_mutex_unlock(&lock));
    CHECK_OK(pthread_mutex_lock(&lock));
    CHECK_OK(pthread_mutex_unlock(&lock));

    /* Dies while others wait: exactly one is told. */
    thread = t_go(owner, NULL);
    CHECK_OK(sem_wait(&locked));
    pthread_t waiters[5];
    for (int i = 0; i < 5; i++)
        waiters[i] = t_go(waiter, NULL);
    t_settle();
    CHECK_OK(sem_post(&die));
    t_join(thread);
    int told = 0;
    for (int i = 0; i < 5; i++)
        told += (intptr_t)t_join(waiters[i]) == EOWNERDEAD;
    CHECK_EQ(told, 1);

    /* Not made consistent: lost for good. */
    thread = t_go(owner, NULL);
    CHECK_OK(sem_wait(&locked));
    CHECK_OK(sem_post(&die));
    t_join(thread);
    CHECK_EQ(pthread_mutex_trylock(&lock), EOWNERDEAD);
    CHECK_OK(pthread_mutex_unlock(&lock));
    CHECK_EQ(pthread_mutex_lock(&lock), ENOTRECOVERABLE);
    CHECK_EQ(pthread_mutex_trylock(&lock), ENOTRECOVERABLE);
    return 0;
}
