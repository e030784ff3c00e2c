/* On a PTHREAD_STACK_MIN stack the blocking calls still fit: semaphores, pipes, sleeps, condition
 * variables. */
#include "../t.h"

static sem_t sem;
static int ends[2];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int turn;

static void *small(void *arg)
{
    char byte;
    struct timespec tick = {0, 1000};
    CHECK_OK(sem_wait(&sem));
    CHECK_EQ(read(ends[0], &byte, 1), 1);
    CHECK_OK(nanosleep(&tick, NULL));
    pthread_mutex_lock(&lock);
    while (!turn)
        pthread_cond_wait(&cond, &lock);
    pthread_mutex_unlock(&lock);
    return arg;
}

int main(void)
{
    pthread_t threads[50];
    pthread_attr_t attr;
    t_pair(ends);
    CHECK_OK(sem_init(&sem, 0, 0));
    CHECK_OK(pthread_attr_init(&attr));
    CHECK_OK(pthread_attr_setstacksize(&attr, (size_t)PTHREAD_STACK_MIN));
    for (int i = 0; i < 50; i++)
        CHECK_OK(pthread_create(&threads[i], &attr, small, NULL));
    t_settle();
    for (int i = 0; i < 50; i++) {
        CHECK_OK(sem_post(&sem));
        CHECK_EQ(write(ends[1], "x", 1), 1);
    }
    pthread_mutex_lock(&lock);
    turn = 1;
    pthread_cond_broadcast(&cond);
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < 50; i++)
        t_join(threads[i]);
    return 0;
}
