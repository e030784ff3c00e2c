/* A description shared with another process stays blocking while threads wait on it. */
#include "../t.h"

static int ends[2];

static void *reads(void *arg)
{
    char byte;
    CHECK_EQ(read(ends[0], &byte, 1), 1);
    return arg;
}

int main(void)
{
    int go[2];
    char byte;
    t_pair(ends);
    CHECK_OK(pipe(go));
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        t_bound();
        CHECK_EQ(read(go[0], &byte, 1), 1);
        CHECK_EQ(fcntl(ends[0], F_GETFL) & O_NONBLOCK, 0);
        CHECK_EQ(write(ends[1], "ab", 2), 2);
        CHECK_EQ(read(ends[0], &byte, 1), 1); /* blocks or not, never EAGAIN */
        _exit(0);
    }
    pthread_t thread = t_go(reads, NULL);
    t_settle();
    CHECK_EQ(fcntl(ends[0], F_GETFL) & O_NONBLOCK, 0);
    CHECK_EQ(write(go[1], "x", 1), 1);
    t_join(thread);
    t_expect_exit(pid, 0);
    return 0;
}
