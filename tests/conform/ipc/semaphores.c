/* System V semaphores: semop waits for a value and for zero, in 300 threads at once; all of several operations or none;
 * SETVAL and another process end waits as well; time limits; IPC_RMID is EIDRM for who waits. */
/* conform: also HANDOFF_MAX_WORKERS=16 */
/* conform: also HANDOFF_MAX_WORKERS=1 HANDOFF_PROCS=1 */
#include "../t.h"
#include <sys/sem.h>

enum { THREADS = 300 };

union semun {
    int val;
};
static int id;
static _Atomic int passed;

static int operate(short op, short flags)
{
    struct sembuf b = {0, op, flags};
    return semop(id, &b, 1);
}

static void set(int sem, int value)
{
    union semun v = {.val = value};
    CHECK_OK(semctl(id, sem, SETVAL, v));
}

static void *takes(void *arg)
{
    CHECK_OK(operate(-1, 0));
    passed++;
    return arg;
}

static void *for_zero(void *arg)
{
    struct timespec hour = {3600, 0};
    struct sembuf b = {0, 0, 0};
    CHECK_OK(semtimedop(id, &b, 1, &hour));
    passed++;
    return arg;
}

static void *both(void *arg)
{
    struct sembuf b[2] = {{0, -1, 0}, {1, -1, 0}};
    CHECK_OK(semop(id, b, 2));
    passed++;
    return arg;
}

static void *removed(void *arg)
{
    CHECK_EQ(operate(-1, 0), -1);
    CHECK(errno == EIDRM || errno == EINVAL); /* EINVAL: came when all was over */
    passed++;
    return arg;
}

static void start(pthread_t *threads, void *(*body)(void *))
{
    passed = 0;
    for (int i = 0; i < THREADS; i++)
        threads[i] = t_go(body, NULL);
    t_settle();
    CHECK_EQ(passed, 0);
}

static void finish(pthread_t *threads)
{
    for (int i = 0; i < THREADS; i++)
        t_join(threads[i]);
    CHECK_EQ(passed, THREADS);
}

int main(void)
{
    pthread_t threads[THREADS];
    id = semget(IPC_PRIVATE, 2, 0600);
    if (id < 0)
        t_skip("no System V semaphores");

    CHECK_ERR(operate(-1, IPC_NOWAIT), EAGAIN);
    struct timespec tick = {0, 20 * MSEC};
    struct sembuf one = {0, -1, 0};
    int64_t before = t_now(CLOCK_MONOTONIC);
    CHECK_ERR(semtimedop(id, &one, 1, &tick), EAGAIN);
    CHECK_GE(t_now(CLOCK_MONOTONIC) - before, 20 * MSEC);
    tick.tv_nsec = -1;
    CHECK_ERR(semtimedop(id, &one, 1, &tick), EINVAL);
    CHECK_ERR(semop(id, (struct sembuf *)t_bad(), 1), EFAULT);
    CHECK_ERR(semop(id, &one, 0), EINVAL);

    start(threads, takes); /* one by one */
    for (int i = 0; i < THREADS; i++)
        CHECK_OK(operate(1, 0));
    finish(threads);
    start(threads, takes); /* all at once */
    CHECK_OK(operate(THREADS, 0));
    finish(threads);
    start(threads, takes);
    set(0, THREADS);
    finish(threads);

    start(threads, takes); /* by another process */
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        _exit(operate(THREADS, 0));
    finish(threads);
    t_expect_exit(child, 0);

    set(0, 1);
    start(threads, for_zero);
    CHECK_OK(operate(-1, 0));
    finish(threads);

    start(threads, both);
    CHECK_OK(operate(THREADS, 0));
    t_settle();
    CHECK_EQ(passed, 0);
    struct sembuf other = {1, THREADS, 0};
    CHECK_OK(semop(id, &other, 1));
    finish(threads);
    CHECK_EQ(semctl(id, 0, GETVAL), 0);

    start(threads, removed);
    CHECK_OK(semctl(id, 0, IPC_RMID));
    finish(threads);
    CHECK_ERR(operate(1, 0), EINVAL);
    return 0;
}
