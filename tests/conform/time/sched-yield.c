/* sched_yield answers 0 and lets others run: a thread yielding for a flag sees it set. */
#include "../t.h"

static _Atomic int turn;

static void *body(void *arg)
{
    int me = (int)(intptr_t)arg;
    for (int i = 0; i < 300; i++) {
        while (turn % 5 != me)
            CHECK_OK(sched_yield());
        turn++;
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[5];
    for (intptr_t i = 0; i < 5; i++)
        threads[i] = t_go(body, (void *)i);
    for (int i = 0; i < 5; i++)
        t_join(threads[i]);
    CHECK_EQ(turn, 1500);
    return 0;
}
