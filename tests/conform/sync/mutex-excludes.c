/* A mutex excludes: a plain counter under it loses no increment. */
#include "../t.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long counter;

static void *body(void *arg)
{
    for (int i = 0; i < 5000; i++) {
        pthread_mutex_lock(&lock);
        long seen = counter;
        if (i % 100 == 0)
            sched_yield();
        counter = seen + 1;
        pthread_mutex_unlock(&lock);
    }
    return arg;
}

int main(void)
{
    pthread_t threads[16];
    for (int i = 0; i < 16; i++)
        threads[i] = t_go(body, NULL);
    for (int i = 0; i < 16; i++)
        t_join(threads[i]);
    CHECK_EQ(counter, 16 * 5000);
    return 0;
}
