/* Threads that create and join threads, ten deep and binary wide. */
#include "../t.h"

static void *tree(void *arg)
{
    intptr_t depth = (intptr_t)arg;
    if (depth == 0)
        return (void *)1;
    pthread_t left = t_go(tree, (void *)(depth - 1));
    pthread_t right = t_go(tree, (void *)(depth - 1));
    intptr_t sum = (intptr_t)t_join(left);
    return (void *)(sum + (intptr_t)t_join(right));
}

int main(void)
{
    CHECK_EQ((intptr_t)t_join(t_go(tree, (void *)7)), 128);
    return 0;
}
