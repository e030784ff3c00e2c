/* A stack the program provides is the one the thread runs on, and is the program's again after
 * join. */
#include "../t.h"

#define SIZE (128 << 10)

static void *body(void *arg)
{
    char here;
    CHECK(&here > (char *)arg && &here < (char *)arg + SIZE);
    sched_yield();
    return arg;
}

int main(void)
{
    char *stack = aligned_alloc(4096, SIZE);
    CHECK(stack);
    for (int i = 0; i < 20; i++) {
        pthread_attr_t attr;
        pthread_t thread;
        memset(stack, i, SIZE);
        CHECK_OK(pthread_attr_init(&attr));
        CHECK_OK(pthread_attr_setstack(&attr, stack, SIZE));
        CHECK_OK(pthread_create(&thread, &attr, body, stack));
        CHECK(t_join(thread) == stack);
        CHECK_EQ(stack[0], i);
        memset(stack, 0xff, SIZE);
    }
    free(stack);
    return 0;
}
