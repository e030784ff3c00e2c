/* SIGSTOP stops every thread and SIGCONT lets them go on; the parent sees both. */
#include "../t.h"

static int ready[2], go[2];

static void *body(void *arg)
{
    char byte;
    CHECK_EQ(write(ready[1], "x", 1), 1);
    CHECK_EQ(read(go[0], &byte, 1), 1);
    return arg;
}

int main(void)
{
    char byte;
    int status;
    CHECK_OK(pipe(ready));
    CHECK_OK(pipe(go));
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        t_bound();
        pthread_t one = t_go(body, NULL), two = t_go(body, NULL);
        t_join(one);
        t_join(two);
        _exit(5);
    }
    CHECK_EQ(read(ready[0], &byte, 1), 1);
    CHECK_EQ(read(ready[0], &byte, 1), 1);
    CHECK_OK(kill(pid, SIGSTOP));
    CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    CHECK_EQ(write(go[1], "xx", 2), 2);
    CHECK_OK(kill(pid, SIGCONT));
    CHECK_EQ(waitpid(pid, &status, WCONTINUED), pid);
    if (WIFCONTINUED(status))
        t_expect_exit(pid, 5);
    else
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 5);
    return 0;
}
