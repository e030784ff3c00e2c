/* Far more threads than workers wait on process-shared futexes: raw ones, woken one by one with exact counts, by bitset,
 * requeued, timed out, interrupted; process-shared semaphores, mutexes and condition variables; woken by this
 * process and by another. */
/* conform: also HANDOFF_MAX_WORKERS=16 */
/* conform: also HANDOFF_MAX_WORKERS=1 HANDOFF_PROCS=1 */
#include "futex.h"
#include <sys/utsname.h>

enum { THREADS = 300 };

static struct shared {
    uint32_t words[64]; /* 16 apart: a cache line each */
    sem_t posted, ready;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    int turn, counter;
} *shared;
static _Atomic int passed, entered, hits;

/* With fewer workers than waiters these waits need what Linux 6.7 brought. */
static void need_futexes_in_rings(void)
{
    struct utsname name;
    int major = 0, minor = 0;
    char params[120] = "";
    uname(&name);
    sscanf(name.release, "%d.%d", &major, &minor);
    int fd = (int)syscall(425 /* io_uring_setup */, 4, params);
    if (major < 6 || (major == 6 && minor < 7) || fd < 0)
        t_skip("no io_uring with futexes");
    close(fd);
}

static void *waits(void *arg)
{
    uint32_t *word = arg;
    entered++;
    CHECK_EQ(futex(word, FUTEX_WAIT, 0, NULL, NULL, 0), 0);
    passed++;
    return NULL;
}

static void *waits_bit(void *arg)
{
    int bit = (int)(intptr_t)arg;
    entered++;
    CHECK_EQ(futex(&shared->words[0], FUTEX_WAIT_BITSET, 0, NULL, NULL, 1u << bit), 0);
    passed++;
    return NULL;
}

static void *times_out(void *arg)
{
    struct timespec limit = t_spec(30 * MSEC);
    int64_t before = t_now(CLOCK_MONOTONIC);
    CHECK_ERR(futex(arg, FUTEX_WAIT, 0, &limit, NULL, 0), ETIMEDOUT);
    CHECK_GE(t_now(CLOCK_MONOTONIC) - before, 30 * MSEC);
    passed++;
    return NULL;
}

static void handler(int number)
{
    (void)number;
    hits++;
}

static void *interrupted(void *arg)
{
    CHECK_ERR(futex(arg, FUTEX_WAIT, 0, NULL, NULL, 0), EINTR);
    passed++;
    return NULL;
}

static void *sem_waits(void *arg)
{
    CHECK_OK(sem_wait(&shared->posted));
    passed++;
    return arg;
}

static void *in_turn(void *arg)
{
    int mine = (int)(intptr_t)arg;
    CHECK_OK(pthread_mutex_lock(&shared->mutex));
    while (shared->turn != mine)
        CHECK_OK(pthread_cond_wait(&shared->cond, &shared->mutex));
    int seen = shared->counter;
    sched_yield();
    shared->counter = seen + 1;
    shared->turn++;
    CHECK_OK(pthread_cond_broadcast(&shared->cond));
    CHECK_OK(pthread_mutex_unlock(&shared->mutex));
    passed++;
    return NULL;
}

static void start(pthread_t *threads, void *(*body)(void *), void *arg)
{
    passed = entered = 0;
    for (int i = 0; i < THREADS; i++)
        threads[i] = t_go(body, arg);
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
    need_futexes_in_rings();
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    uint32_t *one = &shared->words[0], *two = &shared->words[16];

    /* Each wake-up wakes one, whoever has it waiting. */
    start(threads, waits, one);
    for (int woken = 0; woken < THREADS;) {
        long n = futex(one, FUTEX_WAKE, 1, NULL, NULL, 0);
        CHECK(n == 0 || n == 1);
        woken += (int)n;
        if (n == 0)
            sched_yield();
    }
    finish(threads);
    CHECK_EQ(futex(one, FUTEX_WAKE, INT_MAX, NULL, NULL, 0), 0);

    /* Moved, then woken where they are. */
    start(threads, waits, one);
    for (int woken = 0; woken < THREADS;) { /* one may come back to where it was: futex.h */
        CHECK_GE(futex(one, FUTEX_REQUEUE, 0, COUNT(INT_MAX), two, 0), 0);
        long n = futex(two, FUTEX_WAKE, 100, NULL, NULL, 0);
        CHECK(n >= 0 && n <= 100);
        woken += (int)n;
        CHECK_GE(THREADS, woken);
        if (n == 0)
            sched_yield();
    }
    finish(threads);

    /* By bitset, and only these. */
    passed = entered = 0;
    for (intptr_t i = 0; i < THREADS; i++)
        threads[i] = t_go(waits_bit, (void *)(i % 2));
    int woken = 0;
    while (woken < THREADS / 2) {
        woken += (int)futex(one, FUTEX_WAKE_BITSET, INT_MAX, NULL, NULL, 2);
        sched_yield();
    }
    CHECK_EQ(woken, THREADS / 2);
    while (passed < THREADS / 2)
        sched_yield();
    CHECK_EQ(passed, THREADS / 2);
    while (woken < THREADS) {
        woken += (int)futex(one, FUTEX_WAKE_BITSET, INT_MAX, NULL, NULL, 1);
        sched_yield();
    }
    finish(threads);

    start(threads, times_out, one);
    finish(threads);

    struct sigaction action = {.sa_handler = handler};
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    start(threads, interrupted, one);
    for (int round = 0; passed < THREADS; round++) {
        for (int i = 0; i < THREADS; i++)
            CHECK_OK(pthread_kill(threads[i], SIGUSR1));
        t_settle();
    }
    finish(threads);
    CHECK_EQ(futex(one, FUTEX_WAKE, INT_MAX, NULL, NULL, 0), 0); /* nobody was left behind */

    /* glibc's, on top; the semaphore is posted by a child. */
    pthread_mutexattr_t ma;
    pthread_condattr_t ca;
    CHECK_OK(sem_init(&shared->posted, 1, 0));
    CHECK_OK(pthread_mutexattr_init(&ma));
    CHECK_OK(pthread_mutexattr_setpshared(&ma, PTHREAD_PROCESS_SHARED));
    CHECK_OK(pthread_mutex_init(&shared->mutex, &ma));
    CHECK_OK(pthread_condattr_init(&ca));
    CHECK_OK(pthread_condattr_setpshared(&ca, PTHREAD_PROCESS_SHARED));
    CHECK_OK(pthread_cond_init(&shared->cond, &ca));
    start(threads, sem_waits, NULL);
    t_settle();
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        t_bound();
        for (int i = 0; i < THREADS; i++)
            CHECK_OK(sem_post(&shared->posted));
        _exit(0);
    }
    finish(threads);
    t_expect_exit(child, 0);

    passed = 0;
    for (intptr_t i = 0; i < THREADS; i++)
        threads[i] = t_go(in_turn, (void *)(THREADS - 1 - i));
    finish(threads);
    CHECK_EQ(shared->counter, THREADS);
    return 0;
}
