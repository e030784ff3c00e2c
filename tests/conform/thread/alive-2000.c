/* Two thousand threads exist at once and all are woken by one broadcast. */
#include "../t.h"

#define COUNT 2000
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t all_here = PTHREAD_COND_INITIALIZER, go = PTHREAD_COND_INITIALIZER;
static int here, open_gate;

static void *body(void *arg)
{
    pthread_mutex_lock(&lock);
    if (++here == COUNT)
        pthread_cond_signal(&all_here);
    while (!open_gate)
        pthread_cond_wait(&go, &lock);
    pthread_mutex_unlock(&lock);
    return arg;
}

int main(void)
{
    static pthread_t threads[COUNT];
    pthread_attr_t attr;
    CHECK_OK(pthread_attr_init(&attr));
    CHECK_OK(pthread_attr_setstacksize(&attr, 64 << 10));
    for (intptr_t i = 0; i < COUNT; i++)
        CHECK_OK(pthread_create(&threads[i], &attr, body, (void *)i));
    pthread_mutex_lock(&lock);
    while (here < COUNT)
        pthread_cond_wait(&all_here, &lock);
    open_gate = 1;
    pthread_cond_broadcast(&go);
    pthread_mutex_unlock(&lock);
    for (intptr_t i = 0; i < COUNT; i++)
        CHECK_EQ((intptr_t)t_join(threads[i]), i);
    return 0;
}
