/* futex_waitv goes on after a handler with SA_RESTART, with a timeout too, and without it ends with EINTR. */
#include "futex.h"

static uint32_t words[2];
static _Atomic int hits, entered, done;
static int flag, timed;

static void handler(int number)
{
    (void)number;
    hits++;
}

static void *waits(void *arg)
{
    struct waiter v[2];
    struct timespec until = t_spec(t_now(CLOCK_MONOTONIC) + 3600 * NSEC);
    for (int i = 0; i < 2; i++)
        v[i] = (struct waiter){0, (uintptr_t)&words[i], 2 | flag, 0}; /* FUTEX2_SIZE_U32 */
    entered = 1;
    long rc = syscall(SYS_futex_waitv, v, 2, 0, timed ? &until : NULL, CLOCK_MONOTONIC);
    *(int *)arg = errno;
    done = 1;
    return (void *)rc;
}

static pthread_t start(int *error)
{
    entered = done = 0;
    pthread_t thread = t_go(waits, error);
    while (!entered)
        sched_yield();
    t_settle();
    return thread;
}

int main(void)
{
    int error = 0;
    struct sigaction action = {.sa_handler = handler};
    if (syscall(SYS_futex_waitv, NULL, 0, 0, NULL, 0) == -1 && errno == ENOSYS)
        t_skip("no futex_waitv");
    for (int kind = 0; kind < 4; kind++) {
        flag = kind & 1 ? PRIVATE : 0;
        timed = kind & 2;
        action.sa_flags = SA_RESTART;
        CHECK_OK(sigaction(SIGUSR1, &action, NULL));
        pthread_t thread = start(&error);
        for (int i = 0; i < 3 && !done; i++) {
            int before = hits;
            CHECK_OK(pthread_kill(thread, SIGUSR1));
            while (hits == before && !done)
                sched_yield();
            t_settle();
        }
        while (!done && futex(&words[1], FUTEX_WAKE | flag, 1, NULL, NULL, 0) == 0)
            sched_yield();
        long rc = (long)t_join(thread);
        if (rc != 1)
            t_fail(__FILE__, __LINE__, "private %d, timeout %d: %ld, %s", flag != 0, timed != 0, rc,
                   strerror(error));

        action.sa_flags = 0;
        CHECK_OK(sigaction(SIGUSR1, &action, NULL));
        thread = start(&error);
        while (!done) {
            CHECK_OK(pthread_kill(thread, SIGUSR1));
            t_settle();
        }
        CHECK_EQ((long)t_join(thread), -1);
        CHECK_EQ(error, EINTR);
    }
    return 0;
}
