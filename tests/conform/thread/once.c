/* pthread_once runs its function once; the others wait until it has ended, even when it blocks. */
#include "../t.h"

static pthread_once_t control = PTHREAD_ONCE_INIT;
static int runs, finished;
static int ends[2];

static void init(void)
{
    char byte;
    runs++;
    CHECK_EQ(read(ends[0], &byte, 1), 1);
    finished = 1;
}

static void *body(void *arg)
{
    CHECK_OK(pthread_once(&control, init));
    CHECK_EQ(finished, 1);
    return arg;
}

int main(void)
{
    pthread_t threads[30];
    t_pair(ends);
    for (int i = 0; i < 30; i++)
        threads[i] = t_go(body, NULL);
    t_settle();
    CHECK_EQ(write(ends[1], "x", 1), 1);
    for (int i = 0; i < 30; i++)
        t_join(threads[i]);
    CHECK_EQ(runs, 1);
    return 0;
}
