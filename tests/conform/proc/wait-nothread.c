/* __WNOTHREAD: each of several threads waits for the children that it made itself. */
#include "../t.h"

static void *makes_children(void *arg)
{
    for (int i = 0; i < 20; i++) {
        int status;
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0)
            _exit(i);
        sched_yield();
        CHECK_EQ(waitpid(child, &status, __WALL | __WNOTHREAD), child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == i);
    }
    return arg;
}

int main(void)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        threads[i] = t_go(makes_children, NULL);
    for (int i = 0; i < 4; i++)
        t_join(threads[i]);
    return 0;
}
