/* Ten thousand threads one after another, in waves of a hundred, without running out of anything.
 */
#include "../t.h"

static _Atomic int ran;

static void *body(void *arg)
{
    ran++;
    return arg;
}

int main(void)
{
    for (int wave = 0; wave < 100; wave++) {
        pthread_t threads[100];
        for (intptr_t i = 0; i < 100; i++)
            threads[i] = t_go(body, (void *)i);
        for (intptr_t i = 0; i < 100; i++)
            CHECK_EQ((intptr_t)t_join(threads[i]), i);
    }
    CHECK_EQ(ran, 10000);
    return 0;
}
