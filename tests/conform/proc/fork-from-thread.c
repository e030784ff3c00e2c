/* conform: also HANDOFF_DEBUG=arch_prctl
 * fork from a thread while others wait, compute and hold locks: the child has one thread, works,
 * and creates threads itself. */
#include "../t.h"

static int ends[2];
static _Atomic int stop;

static void *waits(void *arg)
{
    char byte;
    CHECK_EQ(read(ends[0], &byte, 1), 1);
    return arg;
}

static void *computes(void *arg)
{
    while (!stop)
        ;
    return arg;
}

static void *adds(void *arg)
{
    return (char *)arg + 1;
}

static void *forks(void *arg)
{
    for (int i = 0; i < 5; i++) {
        pid_t me = gettid(), pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            t_bound();
            CHECK(gettid() == getpid() && gettid() != me);
            CHECK_EQ(getppid() > 0, 1);
            pthread_t threads[20];
            for (intptr_t k = 0; k < 20; k++)
                threads[k] = t_go(adds, (void *)k);
            for (intptr_t k = 0; k < 20; k++)
                CHECK_EQ((intptr_t)t_join(threads[k]), k + 1);
            free(malloc(100000));
            int own[2];
            t_pair(own);
            CHECK_EQ(write(own[0], "x", 1), 1);
            ends[0] = own[1];
            t_join(t_go(waits, NULL));
            if (i == 4) { /* once more from a thread of the child */
                pid_t again = fork();
                if (again == 0) {
                    t_join(t_go(adds, NULL));
                    _exit(9);
                }
                t_expect_exit(again, 9);
            }
            _exit(20 + i);
        }
        t_expect_exit(pid, 20 + i);
        CHECK_EQ(gettid(), me);
    }
    return arg;
}

int main(void)
{
    t_pair(ends);
    pthread_t one = t_go(waits, NULL), two = t_go(computes, NULL), threads[4];
    for (int i = 0; i < 4; i++)
        threads[i] = t_go(forks, NULL);
    for (int i = 0; i < 4; i++)
        t_join(threads[i]);
    stop = 1;
    CHECK_EQ(write(ends[1], "x", 1), 1);
    t_join(one);
    t_join(two);
    return 0;
}
