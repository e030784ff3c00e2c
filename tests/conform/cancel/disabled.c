/* Cancellation that is disabled stays pending over waits and acts once enabled; a finished thread
 * cannot be hurt. */
#include "../t.h"

static int ends[2];
static sem_t ready;

static void *body(void *arg)
{
    char byte;
    int old;
    CHECK_OK(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old));
    CHECK_EQ(old, PTHREAD_CANCEL_ENABLE);
    CHECK_OK(sem_post(&ready));
    CHECK_EQ(read(ends[0], &byte, 1), 1);
    *(int *)arg = 1;
    CHECK_OK(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old));
    pthread_testcancel();
    *(int *)arg = 2;
    return NULL;
}

int main(void)
{
    t_pair(ends);
    CHECK_OK(sem_init(&ready, 0, 0));
    for (int i = 0; i < 20; i++) {
        int seen = 0;
        pthread_t thread = t_go(body, &seen);
        CHECK_OK(sem_wait(&ready));
        CHECK_OK(pthread_cancel(thread));
        if (i % 2)
            t_settle();
        CHECK_EQ(write(ends[1], "x", 1), 1);
        CHECK(t_join(thread) == PTHREAD_CANCELED);
        CHECK_EQ(seen, 1);
    }
    return 0;
}
