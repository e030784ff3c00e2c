/* waitpid and waitid in several threads, each for its own child, while others run on; WNOHANG;
 * ECHILD. */
#include "../t.h"

static int gate[2];
static pthread_barrier_t all_looked;

static void *body(void *arg)
{
    int id = (int)(intptr_t)arg, status;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        char byte;
        CHECK_EQ(read(gate[0], &byte, 1), 1);
        _exit(id);
    }
    CHECK_EQ(waitpid(pid, &status, WNOHANG), 0);
    pthread_barrier_wait(&all_looked);
    if (id % 2) {
        t_expect_exit(pid, id);
    } else {
        siginfo_t info;
        CHECK_OK(waitid(P_PID, (id_t)pid, &info, WEXITED));
        CHECK_EQ(info.si_pid, pid);
        CHECK_EQ(info.si_status, id);
        CHECK_EQ(info.si_code, CLD_EXITED);
    }
    CHECK_ERR(waitpid(pid, &status, 0), ECHILD);
    return NULL;
}

static void *opens(void *arg)
{
    for (int i = 0; i < 8; i++)
        CHECK_EQ(write(gate[1], "x", 1), 1);
    return arg;
}

int main(void)
{
    pthread_t threads[8];
    t_pair(gate);
    CHECK_OK(pthread_barrier_init(&all_looked, NULL, 9));
    for (intptr_t i = 0; i < 8; i++)
        threads[i] = t_go(body, (void *)i);
    pthread_barrier_wait(&all_looked);
    pthread_t opener = t_go(opens, NULL);
    t_join(opener);
    for (int i = 0; i < 8; i++)
        t_join(threads[i]);
    return 0;
}
