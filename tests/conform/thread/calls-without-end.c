/* Threads that make short system calls without end, more than there are CPUs, are no reason for another not to get its turn: what waits
 * for a byte from another goes on. */
#include "../t.h"

#define HOGS  6
#define TURNS 5
static volatile int stop;

static void *hogs(void *arg)
{
    static char data[HOGS][65536];
    int fd = open("/proc/self/exe", O_RDONLY);
    CHECK(fd >= 0);
    while (!stop)
        CHECK(pread(fd, data[(intptr_t)arg], sizeof data[0], 0) > 0);
    close(fd);
    return arg;
}

static void *answers(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char byte;
    while (read(fd, &byte, 1) == 1)
        t_write_all(fd, &byte, 1);
    return arg;
}

int main(void)
{
    pthread_t threads[HOGS], answerer;
    int ends[2];
    CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    answerer = t_go(answers, (void *)(intptr_t)ends[1]);
    for (intptr_t i = 0; i < HOGS; i++)
        threads[i] = t_go(hogs, (void *)i);
    for (int i = 0; i < TURNS; i++) {
        char byte = 'a';
        t_write_all(ends[0], &byte, 1);
        CHECK_EQ(read(ends[0], &byte, 1), 1);
    }
    stop = 1;
    for (int i = 0; i < HOGS; i++)
        t_join(threads[i]);
    close(ends[0]);
    t_join(answerer);
    return 0;
}
