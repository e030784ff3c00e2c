/* pthread_join returns what the thread returned or gave to pthread_exit; the argument arrives. */
#include "../t.h"

static void *returns(void *arg)
{
    return (char *)arg + 1;
}

static void *exits(void *arg)
{
    pthread_exit((char *)arg + 2);
}

int main(void)
{
    for (intptr_t i = 0; i < 200; i++) {
        CHECK_EQ((intptr_t)t_join(t_go(returns, (void *)i)), i + 1);
        CHECK_EQ((intptr_t)t_join(t_go(exits, (void *)i)), i + 2);
    }
    pthread_t many[100];
    for (intptr_t i = 0; i < 100; i++)
        many[i] = t_go(i % 2 ? returns : exits, (void *)(i * 10));
    for (intptr_t i = 99; i >= 0; i--)
        CHECK_EQ((intptr_t)t_join(many[i]), i * 10 + (i % 2 ? 1 : 2));
    return 0;
}
