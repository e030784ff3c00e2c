/* Robust process-shared mutexes and execve: after one that failed a killed process's mutex still comes back; after one that
 * went well there is nothing left of the old program, children of any kind included. */
#include "robust.h"

int main(int argc, char **argv)
{
    char byte, *none[] = {"none", NULL}, *again[] = {argv[0], "again", NULL};
    if (argc > 1) {
        CHECK_ERR(waitpid(-1, NULL, __WALL), ECHILD);
        return 0;
    }
    lock_map();
    lock_init();
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        t_bound();
        t_join(t_go(nothing, NULL));
        CHECK_ERR(execv("/nonexistent", none), ENOENT);
        t_join(t_go(owner, NULL));
    }
    CHECK_EQ(read(ends[0], &byte, 1), 1);
    CHECK_OK(kill(pid, SIGKILL));
    t_expect_signal(pid, SIGKILL);
    CHECK_EQ(pthread_mutex_lock(lock), EOWNERDEAD);
    CHECK_OK(pthread_mutex_consistent(lock));
    CHECK_OK(pthread_mutex_unlock(lock));
    t_join(t_go(nothing, NULL));
    execv("/proc/self/exe", again);
    return 1;
}
