/* A robust mutex in memory that is shared with children, and threads that take it. */
#ifndef ROBUST_H
#define ROBUST_H

#include "../t.h"

static pthread_mutex_t *lock;
static int ends[2]; /* the owner writes a byte when it has it */

static inline void mutex_init(pthread_mutex_t *mutex)
{
    pthread_mutexattr_t attr;
    CHECK_OK(pthread_mutexattr_init(&attr));
    CHECK_OK(pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED));
    CHECK_OK(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST));
    CHECK_OK(pthread_mutex_init(mutex, &attr));
}

static inline void lock_init(void)
{
    mutex_init(lock);
}

static inline void lock_map(void)
{
    lock = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(lock != MAP_FAILED);
    CHECK_OK(pipe(ends));
}

static inline void *owner(void *arg)
{
    CHECK_OK(pthread_mutex_lock(lock));
    CHECK_EQ(write(ends[1], "x", 1), 1);
    for (;;)
        pause();
    return arg;
}

static inline void *nothing(void *arg)
{
    return arg;
}

static inline void *waiter(void *arg)
{
    (void)arg;
    return (void *)(intptr_t)pthread_mutex_lock(lock);
}

#endif
