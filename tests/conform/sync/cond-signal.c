/* A signal wakes a waiter per signal; a ping-pong and a bounded buffer lose nothing. */
#include "../t.h"

#define SLOTS 4
#define ITEMS 3000
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t not_full = PTHREAD_COND_INITIALIZER, not_empty = PTHREAD_COND_INITIALIZER;
static int queue[SLOTS], head, count;
static int produced, consumed, seen[ITEMS];

static void *producer(void *arg)
{
    for (;;) {
        pthread_mutex_lock(&lock);
        while (count == SLOTS)
            pthread_cond_wait(&not_full, &lock);
        if (produced == ITEMS) {
            pthread_mutex_unlock(&lock);
            return arg;
        }
        queue[(head + count++) % SLOTS] = produced++;
        pthread_cond_signal(&not_empty);
        pthread_mutex_unlock(&lock);
    }
}

static void *consumer(void *arg)
{
    for (;;) {
        pthread_mutex_lock(&lock);
        while (count == 0 && consumed < ITEMS)
            pthread_cond_wait(&not_empty, &lock);
        if (count == 0) {
            pthread_mutex_unlock(&lock);
            return arg;
        }
        int item = queue[head];
        head = (head + 1) % SLOTS;
        count--;
        seen[item]++;
        if (++consumed == ITEMS)
            pthread_cond_broadcast(&not_empty);
        /* The producers that saw the end leave without consuming their signal: pass it on. */
        pthread_cond_broadcast(&not_full);
        pthread_mutex_unlock(&lock);
    }
}

int main(void)
{
    pthread_t threads[20];
    for (int i = 0; i < 20; i++)
        threads[i] = t_go(i % 2 ? producer : consumer, NULL);
    for (int i = 0; i < 20; i++)
        t_join(threads[i]);
    for (int i = 0; i < ITEMS; i++)
        CHECK_EQ(seen[i], 1);
    return 0;
}
