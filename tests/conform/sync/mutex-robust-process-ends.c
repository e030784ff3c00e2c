/* The owner of a robust process-shared mutex is a thread of a process that ends while it holds it, by exit, a fatal signal or a fault of
 * another thread: a waiter in another process gets EOWNERDEAD, also one that comes later. */
#include "../t.h"

enum way { BY_EXIT, BY_SIGNAL, BY_FAULT, WAYS };

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

static void *waiter(void *arg)
{
    (void)arg;
    return (void *)(intptr_t)pthread_mutex_lock(lock);
}

static void die(enum way way)
{
    char byte;
    t_go(owner, NULL);
    CHECK_EQ(read(ends[0], &byte, 1), 1);
    CHECK_EQ(write(ends[1], "y", 1), 1);
    t_settle();
    if (way == BY_EXIT)
        exit(3);
    if (way == BY_SIGNAL)
        kill(getpid(), SIGTERM);
    else
        *(volatile int *)NULL = 1;
    for (;;)
        pause();
}

int main(void)
{
    pthread_mutexattr_t attr;
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    lock = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(lock != MAP_FAILED);
    CHECK_OK(pthread_mutexattr_init(&attr));
    CHECK_OK(pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED));
    CHECK_OK(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST));
    CHECK_OK(pipe(ends));
    for (int way = 0; way < WAYS; way++) {
        char byte;
        int status;
        CHECK_OK(pthread_mutex_init(lock, &attr));
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            t_bound();
            die((enum way)way);
        }
        do
            CHECK_EQ(read(ends[0], &byte, 1), 1);
        while (byte == 'x' && write(ends[1], "x", 1) == 1);
        pthread_t thread = t_go(waiter, NULL);
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        if (way == BY_EXIT)
            CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3);
        else
            CHECK(WIFSIGNALED(status) && WTERMSIG(status) == (way == BY_SIGNAL ? SIGTERM : SIGSEGV));
        CHECK_EQ((intptr_t)t_join(thread), EOWNERDEAD);
    }
    return 0;
}
