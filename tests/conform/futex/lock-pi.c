/* FUTEX_LOCK_PI, TRYLOCK_PI and UNLOCK_PI: the owner's tid in the word, waiters bit, hand-over,
 * EDEADLK, EPERM, ESRCH, timeouts. */
#include "futex.h"

static _Atomic uint32_t word;
static int flag;
static sem_t held, drop;

static void *holder(void *arg)
{
    CHECK_EQ(futex(&word, FUTEX_LOCK_PI | flag, 0, NULL, NULL, 0), 0);
    CHECK_EQ(word & FUTEX_TID_MASK, gettid());
    CHECK_ERR(futex(&word, FUTEX_LOCK_PI | flag, 0, NULL, NULL, 0), EDEADLK);
    CHECK_ERR(futex(&word, FUTEX_TRYLOCK_PI | flag, 0, NULL, NULL, 0), EDEADLK);
    CHECK_OK(sem_post(&held));
    CHECK_OK(sem_wait(&drop));
    CHECK_EQ(futex(&word, FUTEX_UNLOCK_PI | flag, 0, NULL, NULL, 0), 0);
    return arg;
}

static void *waiter(void *arg)
{
    CHECK_EQ(futex(&word, FUTEX_LOCK_PI | flag, 0, NULL, NULL, 0), 0);
    CHECK_EQ(word & FUTEX_TID_MASK, gettid());
    sched_yield();
    CHECK_EQ(word & FUTEX_TID_MASK, gettid());
    CHECK_EQ(futex(&word, FUTEX_UNLOCK_PI | flag, 0, NULL, NULL, 0), 0);
    return arg;
}

int main(void)
{
    CHECK_OK(sem_init(&held, 0, 0));
    CHECK_OK(sem_init(&drop, 0, 0));
    for (flag = 0; flag <= PRIVATE; flag += PRIVATE) {
        word = 0;
        pthread_t thread = t_go(holder, NULL);
        CHECK_OK(sem_wait(&held));
        CHECK_ERR(futex(&word, FUTEX_TRYLOCK_PI | flag, 0, NULL, NULL, 0), EAGAIN);
        CHECK_ERR(futex(&word, FUTEX_UNLOCK_PI | flag, 0, NULL, NULL, 0), EPERM);
        struct timespec until = t_spec(t_now(CLOCK_REALTIME) + 10 * MSEC), past = {1, 0};
        CHECK_ERR(futex(&word, FUTEX_LOCK_PI | flag, 0, &until, NULL, 0), ETIMEDOUT);
        CHECK_GE(t_now(CLOCK_REALTIME), until.tv_sec * NSEC + until.tv_nsec);
        CHECK_ERR(futex(&word, FUTEX_LOCK_PI | flag, 0, &past, NULL, 0), ETIMEDOUT);
        pthread_t waiters[8];
        for (int i = 0; i < 8; i++)
            waiters[i] = t_go(waiter, NULL);
        while (!(word & FUTEX_WAITERS))
            sched_yield();
        CHECK_OK(sem_post(&drop));
        t_join(thread);
        for (int i = 0; i < 8; i++)
            t_join(waiters[i]);
        CHECK_EQ(word & FUTEX_TID_MASK, 0);

        /* Free again: the user-space way in and out, and the kernel's. */
        word = 0;
        CHECK_EQ(futex(&word, FUTEX_TRYLOCK_PI | flag, 0, NULL, NULL, 0), 0);
        CHECK_EQ(word & FUTEX_TID_MASK, gettid());
        CHECK_EQ(futex(&word, FUTEX_UNLOCK_PI | flag, 0, NULL, NULL, 0), 0);
        CHECK_EQ(word, 0);
        word = (uint32_t)gettid(); /* as a user-space compare-and-swap leaves it */
        CHECK_EQ(futex(&word, FUTEX_UNLOCK_PI | flag, 0, NULL, NULL, 0), 0);
        CHECK_EQ(word, 0);
        word = 0x3ffffff0; /* nobody's tid */
        CHECK_ERR(futex(&word, FUTEX_LOCK_PI | flag, 0, NULL, NULL, 0), ESRCH);
        word = 0;
        CHECK_ERR(futex(t_bad(), FUTEX_LOCK_PI | flag, 0, NULL, NULL, 0), EFAULT);
        CHECK_ERR(futex(t_bad(), FUTEX_UNLOCK_PI | flag, 0, NULL, NULL, 0), EFAULT);
        CHECK_ERR(futex((char *)&word + 1, FUTEX_LOCK_PI | flag, 0, NULL, NULL, 0), EINVAL);
    }
    return 0;
}
