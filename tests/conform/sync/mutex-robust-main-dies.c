/* The owner of a robust process-shared mutex is the main thread, one of several, of a process that is killed: the waiter
 * gets EOWNERDEAD. */
#include "../t.h"

static pthread_mutex_t *lock;
static int ends[2];

static void *owner(void *arg)
{
    CHECK_OK(pthread_mutex_lock(lock));
    CHECK_EQ(write(ends[1], "x", 1), 1);
    for (;;)
        pause();
    return arg;
}

static void *sleeps(void *arg)
{
    for (;;)
        pause();
    return arg;
}

static void *waiter(void *arg)
{
    (void)arg;
    return (void *)(intptr_t)pthread_mutex_lock(lock);
}

int main(void)
{
    char byte;
    pthread_mutexattr_t attr;
    lock = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(lock != MAP_FAILED);
    CHECK_OK(pthread_mutexattr_init(&attr));
    CHECK_OK(pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED));
    CHECK_OK(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST));
    CHECK_OK(pthread_mutex_init(lock, &attr));
    CHECK_OK(pipe(ends));
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        t_bound();
        t_go(sleeps, NULL);
        owner(NULL);
        _exit(1);
    }
    CHECK_EQ(read(ends[0], &byte, 1), 1);
    pthread_t thread = t_go(waiter, NULL);
    t_settle();
    CHECK_OK(kill(pid, SIGKILL));
    t_expect_signal(pid, SIGKILL);
    CHECK_EQ((intptr_t)t_join(thread), EOWNERDEAD);
    return 0;
}
