/* Recursive counts, errorcheck says EDEADLK and EPERM, trylock EBUSY; another thread sees each as
 * locked. */
#include "../t.h"

static pthread_mutex_t lock;

static void *try(void *arg)
{
    (void)arg;
    return (void *)(intptr_t)pthread_mutex_trylock(&lock);
}

static void *unlock(void *arg)
{
    (void)arg;
    return (void *)(intptr_t)pthread_mutex_unlock(&lock);
}

static void make(int kind)
{
    pthread_mutexattr_t attr;
    CHECK_OK(pthread_mutexattr_init(&attr));
    CHECK_OK(pthread_mutexattr_settype(&attr, kind));
    CHECK_OK(pthread_mutex_init(&lock, &attr));
}

int main(void)
{
    make(PTHREAD_MUTEX_NORMAL);
    CHECK_OK(pthread_mutex_lock(&lock));
    CHECK_EQ(pthread_mutex_trylock(&lock), EBUSY);
    CHECK_EQ((intptr_t)t_join(t_go(try, NULL)), EBUSY);
    CHECK_OK(pthread_mutex_unlock(&lock));

    make(PTHREAD_MUTEX_RECURSIVE);
    for (int i = 0; i < 5; i++)
        CHECK_OK(pthread_mutex_lock(&lock));
    CHECK_OK(pthread_mutex_trylock(&lock));
    for (int i = 0; i < 6; i++) {
        CHECK_EQ((intptr_t)t_join(t_go(try, NULL)), EBUSY);
        CHECK_EQ((intptr_t)t_join(t_go(unlock, NULL)), EPERM);
        CHECK_OK(pthread_mutex_unlock(&lock));
    }
    CHECK_EQ(pthread_mutex_unlock(&lock), EPERM);
    CHECK_EQ((intptr_t)t_join(t_go(try, NULL)), 0);

    make(PTHREAD_MUTEX_ERRORCHECK);
    CHECK_EQ(pthread_mutex_unlock(&lock), EPERM);
    CHECK_OK(pthread_mutex_lock(&lock));
    CHECK_EQ(pthread_mutex_lock(&lock), EDEADLK);
    CHECK_EQ(pthread_mutex_trylock(&lock), EBUSY);
    CHECK_EQ((intptr_t)t_join(t_go(try, NULL)), EBUSY);
    CHECK_EQ((intptr_t)t_join(t_go(unlock, NULL)), EPERM);
    CHECK_OK(pthread_mutex_unlock(&lock));
    return 0;
}
