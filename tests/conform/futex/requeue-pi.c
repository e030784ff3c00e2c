/* FUTEX_WAIT_REQUEUE_PI with FUTEX_CMP_REQUEUE_PI: each waiter comes back owning the PI futex;
 * timeouts and bad arguments answer as documented. */
#include "futex.h"

static uint32_t cond;
static _Atomic uint32_t lock;
static _Atomic int owned;

static void *waiter(void *arg)
{
    long rc;
    do /* EAGAIN: woken by something else before it was moved */
        rc = futex(&cond, FUTEX_WAIT_REQUEUE_PI | PRIVATE, 0, NULL, &lock, 0);
    while (rc == -1 && errno == EAGAIN);
    CHECK_EQ(rc, 0);
    CHECK_EQ(lock & FUTEX_TID_MASK, gettid());
    owned++;
    sched_yield();
    CHECK_EQ(lock & FUTEX_TID_MASK, gettid());
    CHECK_EQ(futex(&lock, FUTEX_UNLOCK_PI | PRIVATE, 0, NULL, NULL, 0), 0);
    return arg;
}

static void *times_out(void *arg)
{
    struct timespec until = t_spec(t_now(CLOCK_MONOTONIC) + 10 * MSEC);
    CHECK_ERR(futex(&cond, FUTEX_WAIT_REQUEUE_PI | PRIVATE, 0, &until, &lock, 0), ETIMEDOUT);
    CHECK_GE(t_now(CLOCK_MONOTONIC), until.tv_sec * NSEC + until.tv_nsec);
    CHECK_ERR(futex(&cond, FUTEX_WAIT_REQUEUE_PI | PRIVATE, 1, NULL, &lock, 0), EAGAIN);
    CHECK_ERR(futex(&cond, FUTEX_WAIT_REQUEUE_PI | PRIVATE, 0, NULL, &cond, 0), EINVAL);
    return arg;
}

int main(void)
{
    pthread_t threads[6];
    t_join(t_go(times_out, NULL));
    CHECK_EQ(lock, 0);
    for (int i = 0; i < 6; i++)
        threads[i] = t_go(waiter, NULL);

    /* As pthread_cond_signal does it: the lock held, one moved at a time, until all came by. */
    CHECK_EQ(futex(&lock, FUTEX_LOCK_PI | PRIVATE, 0, NULL, NULL, 0), 0);
    CHECK_ERR(futex(&cond, FUTEX_CMP_REQUEUE_PI | PRIVATE, 1, COUNT(0), &lock, 1), EAGAIN);
    CHECK_ERR(futex(&cond, FUTEX_CMP_REQUEUE_PI | PRIVATE, 2, COUNT(0), &lock, 0), EINVAL);
    for (int moved = 0; moved < 3;) {
        long n = futex(&cond, FUTEX_CMP_REQUEUE_PI | PRIVATE, 1, COUNT(0), &lock, 0);
        CHECK(n == 0 || n == 1);
        moved += (int)n;
        sched_yield();
    }
    CHECK_EQ(owned, 0);
    for (int moved = 0; moved < 3;) {
        long n = futex(&cond, FUTEX_CMP_REQUEUE_PI | PRIVATE, 1, COUNT(INT_MAX), &lock, 0);
        CHECK_GE(n, 0);
        moved += (int)n;
        sched_yield();
    }
    CHECK_EQ(owned, 0);
    CHECK_EQ(futex(&lock, FUTEX_UNLOCK_PI | PRIVATE, 0, NULL, NULL, 0), 0);
    for (int i = 0; i < 6; i++)
        t_join(threads[i]);
    CHECK_EQ(owned, 6);
    CHECK_EQ(lock & FUTEX_TID_MASK, 0);
    return 0;
}
