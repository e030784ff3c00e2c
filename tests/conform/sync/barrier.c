/* A barrier lets all through together, exactly one of them serial, round after round, and can be
 * destroyed at once. */
#include "../t.h"

#define COUNT 13
static pthread_barrier_t barrier;
static _Atomic int arrived, serials;

static void *body(void *arg)
{
    for (int round = 1; round <= 200; round++) {
        arrived++;
        int rc = pthread_barrier_wait(&barrier);
        CHECK_GE(arrived, round * COUNT);
        if (rc == PTHREAD_BARRIER_SERIAL_THREAD)
            serials++;
        else
            CHECK_EQ(rc, 0);
        pthread_barrier_wait(&barrier);
    }
    return arg;
}

static void *destroys(void *arg)
{
    pthread_barrier_t *one = arg;
    if (pthread_barrier_wait(one) == PTHREAD_BARRIER_SERIAL_THREAD) {
        CHECK_OK(pthread_barrier_destroy(one));
        free(one);
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[COUNT];
    CHECK_OK(pthread_barrier_init(&barrier, NULL, COUNT));
    for (int i = 0; i < COUNT; i++)
        threads[i] = t_go(body, NULL);
    for (int i = 0; i < COUNT; i++)
        t_join(threads[i]);
    CHECK_EQ(serials, 200);
    CHECK_EQ(pthread_barrier_init(&barrier, NULL, 0), EINVAL);
    for (int i = 0; i < 50; i++) {
        pthread_barrier_t *one = malloc(sizeof *one);
        CHECK_OK(pthread_barrier_init(one, NULL, 3));
        for (int k = 0; k < 3; k++)
            threads[k] = t_go(destroys, one);
        for (int k = 0; k < 3; k++)
            t_join(threads[k]);
    }
    return 0;
}
