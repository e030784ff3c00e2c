/* A thread that makes calls that never block, for ever, leaves room for others. */
/* conform: also HANDOFF_MAX_WORKERS=1 HANDOFF_PROCS=1 */
#include "../t.h"

static _Atomic int stop, turns;

static void *storms(void *arg)
{
    while (!stop)
        getppid();
    return arg;
}

static void *yields(void *arg)
{
    for (int i = 0; i < 5; i++) {
        turns++;
        sched_yield();
    }
    stop = 1;
    return arg;
}

int main(void)
{
    pthread_t a = t_go(storms, NULL), b = t_go(storms, NULL), c = t_go(storms, NULL),
              d = t_go(yields, NULL);
    t_join(a);
    t_join(b);
    t_join(c);
    t_join(d);
    CHECK_EQ(turns, 5);
    return 0;
}
