/* Two threads take turns by pthread_cond_signal, each signal wakes the other one. */
#include "../t.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t conds[2] = {PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER};
static int turn, rounds[2];

static void *body(void *arg)
{
    int me = (int)(intptr_t)arg;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < 5000; i++) {
        while (turn != me)
            pthread_cond_wait(&conds[me], &lock);
        rounds[me]++;
        turn = 1 - me;
        pthread_cond_signal(&conds[turn]);
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

int main(void)
{
    pthread_t one = t_go(body, (void *)0), two = t_go(body, (void *)1);
    t_join(one);
    t_join(two);
    CHECK_EQ(rounds[0], 5000);
    CHECK_EQ(rounds[1], 5000);
    return 0;
}
