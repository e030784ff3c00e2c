/* A broadcast wakes every waiter, again and again over the same condition variable. */
#include "../t.h"

#define COUNT 50
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER, back = PTHREAD_COND_INITIALIZER;
static int generation, woken;

static void *body(void *arg)
{
    pthread_mutex_lock(&lock);
    for (int seen = 0; seen < 100; seen++) {
        while (generation == seen)
            pthread_cond_wait(&cond, &lock);
        CHECK_EQ(generation, seen + 1);
        if (++woken == COUNT)
            pthread_cond_signal(&back);
    }
    pthread_mutex_unlock(&lock);
    return arg;
}

int main(void)
{
    pthread_t threads[COUNT];
    for (int i = 0; i < COUNT; i++)
        threads[i] = t_go(body, NULL);
    pthread_mutex_lock(&lock);
    for (int i = 0; i < 100; i++) {
        woken = 0;
        generation++;
        pthread_cond_broadcast(&cond);
        while (woken < COUNT)
            pthread_cond_wait(&back, &lock);
    }
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < COUNT; i++)
        t_join(threads[i]);
    return 0;
}
