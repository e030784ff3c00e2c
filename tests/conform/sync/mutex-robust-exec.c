/* Robust process-shared mutexes and execve: after one that failed a killed process's mutex still comes back; after one that
 * went well there is nothing left of the old program, children of any kind included. */
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

static void *nothing(void *arg)
{
    return arg;
}

int main(int argc, char **argv)
{
    char byte;
    if (argc > 1) {
        CHECK_ERR(waitpid(-1, NULL, __WALL), ECHILD);
        return 0;
    }
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
        char *none[] = {"none", NULL};
        t_bound();
        t_join(t_go(nothing, NULL));
        CHECK_ERR(execv("/nonexistent", none), ENOENT);
        t_go(owner, NULL);
        for (;;)
            pause();
    }
    CHECK_EQ(read(ends[0], &byte, 1), 1);
    CHECK_OK(kill(pid, SIGKILL));
    t_expect_signal(pid, SIGKILL);
    CHECK_EQ(pthread_mutex_lock(lock), EOWNERDEAD);
    CHECK_OK(pthread_mutex_consistent(lock));
    CHECK_OK(pthread_mutex_unlock(lock));
    t_join(t_go(nothing, NULL));
    char *again[] = {argv[0], "again", NULL};
    execv("/proc/self/exe", again);
    return 1;
}
