/* A thread that spins without any call on a flag that another thread must set stalls nobody. */
/* conform: also HANDOFF_MAX_WORKERS=1 HANDOFF_PROCS=1 */
#include "../t.h"

static _Atomic int flag, spinning, answered;

static void *spins(void *arg)
{
    spinning++;
    while (!flag)
        ;
    answered++;
    return arg;
}

static void *sets(void *arg)
{
    flag = 1;
    return arg;
}

int main(void)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        threads[i] = t_go(spins, NULL);
    while (spinning < 4)
        ; /* main spins too, on what the others must set */
    t_join(t_go(sets, NULL));
    for (int i = 0; i < 4; i++)
        t_join(threads[i]);
    CHECK_EQ(answered, 4);
    return 0;
}
