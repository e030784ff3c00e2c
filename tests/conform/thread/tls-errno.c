/* conform: also HANDOFF_DEBUG=arch_prctl
 * errno and __thread variables belong to the thread, across everything that may switch threads. */
#include "../t.h"

#define COUNT 40
static __thread int mine = 5;
static __thread char big[3000];
static pthread_barrier_t barrier;

static void *body(void *arg)
{
    int id = (int)(intptr_t)arg;
    CHECK_EQ(mine, 5);
    CHECK_EQ(big[2999], 0);
    mine = id;
    big[2999] = (char)id;
    for (int i = 0; i < 50; i++) {
        errno = id + 1000;
        sched_yield();
        CHECK_EQ(errno, id + 1000);
        CHECK_EQ(mine, id);
        CHECK_EQ(big[2999], id);
        if (i % 3 == 0)
            CHECK_ERR(close(-1), EBADF);
        if (i % 10 == 0)
            pthread_barrier_wait(&barrier);
        if (id % 2)
            CHECK_ERR(read(-1, big, 1), EBADF);
    }
    return &mine;
}

int main(void)
{
    pthread_t threads[COUNT];
    CHECK_OK(pthread_barrier_init(&barrier, NULL, COUNT));
    mine = 77;
    for (intptr_t i = 0; i < COUNT; i++)
        threads[i] = t_go(body, (void *)i);
    for (int i = 0; i < COUNT; i++)
        CHECK(t_join(threads[i]) != &mine);
    CHECK_EQ(mine, 77);
    return 0;
}
