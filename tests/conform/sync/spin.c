/* Spin locks exclude, and make progress with more threads than processors. */
#include "../t.h"

static pthread_spinlock_t lock;
static long counter;

static void *body(void *arg)
{
    for (int i = 0; i < 2000; i++) {
        CHECK_OK(pthread_spin_lock(&lock));
        counter++;
        CHECK_OK(pthread_spin_unlock(&lock));
    }
    return arg;
}

int main(void)
{
    pthread_t threads[6];
    CHECK_OK(pthread_spin_init(&lock, PTHREAD_PROCESS_PRIVATE));
    for (int i = 0; i < 6; i++)
        threads[i] = t_go(body, NULL);
    for (int i = 0; i < 6; i++)
        t_join(threads[i]);
    CHECK_EQ(counter, 12000);
    CHECK_OK(pthread_spin_lock(&lock));
    CHECK_EQ(pthread_spin_trylock(&lock), EBUSY);
    return 0;
}
