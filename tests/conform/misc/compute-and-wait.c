/* Threads that compute for ever do not keep waiting ones from answering. */
/* conform: also HANDOFF_MAX_WORKERS=1 HANDOFF_PROCS=1 */
#include "../t.h"

static _Atomic int stop;
static int ends[2];

static void *computes(void *arg)
{
    while (!stop)
        ;
    return arg;
}

static void *echoes(void *arg)
{
    char byte;
    while (read(ends[1], &byte, 1) == 1)
        CHECK_EQ(write(ends[1], &byte, 1), 1);
    return arg;
}

int main(void)
{
    pthread_t threads[3];
    char byte;
    t_pair(ends);
    for (int i = 0; i < 3; i++)
        threads[i] = t_go(computes, NULL);
    pthread_t echo = t_go(echoes, NULL);
    for (int i = 0; i < 20; i++) {
        CHECK_EQ(write(ends[0], "x", 1), 1);
        CHECK_EQ(read(ends[0], &byte, 1), 1);
    }
    stop = 1;
    for (int i = 0; i < 3; i++)
        t_join(threads[i]);
    close(ends[0]);
    t_join(echo);
    return 0;
}
