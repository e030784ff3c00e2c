/* Many threads wait for children: each for its own, and all for any of them; every child is had by exactly one, who is
 * left over is told ECHILD, and the threads that let the children go can run. */
/* conform: also HANDOFF_MAX_WORKERS=16 */
/* conform: also HANDOFF_MAX_WORKERS=1 HANDOFF_PROCS=1 */
#include "../t.h"

enum { CHILDREN = 60, EXTRA = 20 };

static int gate[2];
static pid_t pids[CHILDREN];
static _Atomic int had[CHILDREN], none;

static void *own(void *arg)
{
    int i = (int)(intptr_t)arg;
    if (i % 2) {
        t_expect_exit(pids[i], i);
    } else {
        siginfo_t info;
        CHECK_OK(waitid(P_PID, (id_t)pids[i], &info, WEXITED | WNOWAIT));
        CHECK_EQ(info.si_status, i);
        CHECK_OK(waitid(P_PID, (id_t)pids[i], NULL, WEXITED));
    }
    had[i]++;
    return NULL;
}

static void *any(void *arg)
{
    int status;
    pid_t pid = waitpid(-1, &status, 0);
    if (pid < 0) {
        CHECK_EQ(errno, ECHILD);
        none++;
        return arg;
    }
    CHECK(WIFEXITED(status));
    CHECK_EQ(pid, pids[WEXITSTATUS(status)]);
    had[WEXITSTATUS(status)]++;
    return arg;
}

static void make(void)
{
    for (int i = 0; i < CHILDREN; i++) {
        had[i] = 0;
        pids[i] = fork();
        CHECK(pids[i] >= 0);
        if (pids[i] == 0) {
            char byte;
            CHECK_EQ(read(gate[0], &byte, 1), 1);
            _exit(i);
        }
    }
}

static void let_go(void)
{
    t_settle();
    for (int i = 0; i < CHILDREN; i++)
        CHECK_EQ(write(gate[1], "x", 1), 1);
}

int main(void)
{
    pthread_t threads[CHILDREN + EXTRA];
    t_pair(gate);
    make();
    for (intptr_t i = 0; i < CHILDREN; i++)
        threads[i] = t_go(own, (void *)i);
    let_go();
    for (int i = 0; i < CHILDREN; i++)
        t_join(threads[i]);
    make();
    for (int i = 0; i < CHILDREN + EXTRA; i++)
        threads[i] = t_go(any, NULL);
    let_go();
    for (int i = 0; i < CHILDREN + EXTRA; i++)
        t_join(threads[i]);
    for (int i = 0; i < CHILDREN; i++)
        CHECK_EQ(had[i], 1);
    CHECK_EQ(none, EXTRA);

    /* A child that is not reaped, and none at all. */
    signal(SIGCHLD, SIG_IGN);
    pid_t pid = fork();
    if (pid == 0) {
        char byte;
        CHECK_EQ(read(gate[0], &byte, 1), 1);
        _exit(0);
    }
    none = 0;
    for (int i = 0; i < EXTRA; i++)
        threads[i] = t_go(any, NULL);
    t_settle();
    CHECK_EQ(write(gate[1], "x", 1), 1);
    for (int i = 0; i < EXTRA; i++)
        t_join(threads[i]);
    CHECK_EQ(none, EXTRA);
    return 0;
}
