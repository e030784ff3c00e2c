/* After main's pthread_exit the others go on; the process ends with status 0 when the last one has
 * ended. */
#include "../t.h"

static int ends[2];

static void *reader(void *arg)
{
    char byte;
    CHECK_EQ(read(ends[0], &byte, 1), 1);
    CHECK_EQ(byte, 'k');
    return arg;
}

static void *writer(void *arg)
{
    t_settle();
    CHECK_EQ(write(ends[1], "k", 1), 1);
    return arg;
}

int main(void)
{
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        t_bound();
        t_pair(ends);
        t_go(reader, NULL);
        t_go(writer, NULL);
        pthread_exit((void *)9);
    }
    t_expect_exit(pid, 0);
    return 0;
}
