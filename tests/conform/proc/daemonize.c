/* A daemon's start: fork, setsid, fork, close everything, then threads; the grandchild serves. */
#include "../t.h"

static int ends[2];

static void *serves(void *arg)
{
    char byte;
    CHECK_EQ(read(ends[1], &byte, 1), 1);
    byte++;
    CHECK_EQ(write(ends[1], &byte, 1), 1);
    return arg;
}

static void *idle(void *arg)
{
    return arg;
}

int main(void)
{
    t_join(t_go(idle, NULL)); /* threaded before the forks */
    t_pair(ends);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        setsid();
        if (fork() != 0)
            _exit(0);
        t_bound();
        for (int fd = 0; fd < 2000; fd++)
            if (fd != ends[1])
                close(fd);
        CHECK_GE(open("/dev/null", O_RDWR), 0);
        CHECK_GE(dup(0), 0);
        CHECK_GE(dup(0), 0);
        t_join(t_go(serves, NULL));
        _exit(0);
    }
    t_expect_exit(pid, 0);
    char byte = 'a';
    CHECK_EQ(write(ends[0], &byte, 1), 1);
    CHECK_EQ(read(ends[0], &byte, 1), 1);
    CHECK_EQ(byte, 'b');
    return 0;
}
