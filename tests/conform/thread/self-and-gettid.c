/* pthread_self and gettid are distinct per live thread and stable over every kind of wait; main's
 * tid is the pid. */
#include "../t.h"

#define COUNT 100
static pthread_barrier_t barrier;
static pid_t tids[COUNT];
static pthread_t selves[COUNT];

static void *body(void *arg)
{
    int id = (int)(intptr_t)arg;
    tids[id] = gettid();
    selves[id] = pthread_self();
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < 10; i++) {
        struct timespec tick = {0, 1000};
        nanosleep(&tick, NULL);
        sched_yield();
        CHECK_EQ(gettid(), tids[id]);
        CHECK_EQ(syscall(SYS_gettid), tids[id]);
        CHECK(pthread_equal(pthread_self(), selves[id]));
        CHECK_EQ(getpid(), (pid_t)(intptr_t)syscall(SYS_getpid));
    }
    pthread_barrier_wait(&barrier);
    return NULL;
}

int main(void)
{
    pthread_t threads[COUNT];
    CHECK_OK(pthread_barrier_init(&barrier, NULL, COUNT));
    for (intptr_t i = 0; i < COUNT; i++)
        threads[i] = t_go(body, (void *)i);
    for (int i = 0; i < COUNT; i++) {
        t_join(threads[i]);
        CHECK(pthread_equal(threads[i], selves[i]));
        CHECK(tids[i] > 0 && tids[i] != getpid());
        for (int k = 0; k < i; k++)
            CHECK(tids[i] != tids[k] && selves[i] != selves[k]);
    }
    CHECK_EQ(gettid(), getpid());
    return 0;
}
