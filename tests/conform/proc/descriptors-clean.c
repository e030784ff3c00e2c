/* Threads and waits leave no descriptor a program would see below 900, and closing all of them does
 * no harm. */
#include "../t.h"

static void *body(void *arg)
{
    int ends[2];
    char byte;
    t_pair(ends);
    CHECK_EQ(write(ends[1], "x", 1), 1);
    CHECK_EQ(read(ends[0], &byte, 1), 1);
    close(ends[0]);
    close(ends[1]);
    struct timespec tick = {0, 1000};
    nanosleep(&tick, NULL);
    return arg;
}

static int count(void)
{
    int n = 0;
    for (int fd = 0; fd < 900; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static int shared[2];
static void *reads(void *arg)
{
    char byte;
    CHECK_EQ(read(shared[0], &byte, 1), 1);
    return arg;
}

int main(void)
{
    int before = count();
    pthread_t threads[20];
    for (int i = 0; i < 20; i++)
        threads[i] = t_go(body, NULL);
    for (int i = 0; i < 20; i++)
        t_join(threads[i]);
    CHECK_EQ(count(), before);
    /* As daemons do. */
    for (int fd = 3; fd < 20000; fd++)
        close(fd);
    CHECK_OK((int)syscall(SYS_close_range, 3, ~0u, 0));
    for (int i = 0; i < 20; i++)
        threads[i] = t_go(body, NULL);
    for (int i = 0; i < 20; i++)
        t_join(threads[i]);
    t_pair(shared);
    threads[0] = t_go(reads, NULL);
    t_settle();
    CHECK_EQ(write(shared[1], "x", 1), 1);
    t_join(threads[0]);
    return 0;
}
