/* Asynchronous cancellation ends a thread that computes without any call. */
#include "../t.h"

static sem_t ready;

static void *body(void *arg)
{
    int old;
    CHECK_OK(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old));
    CHECK_OK(sem_post(&ready));
    for (;;)
        __asm__ volatile("" ::: "memory");
    return arg;
}

int main(void)
{
    CHECK_OK(sem_init(&ready, 0, 0));
    for (int i = 0; i < 10; i++) {
        pthread_t thread = t_go(body, NULL);
        CHECK_OK(sem_wait(&ready));
        CHECK_OK(pthread_cancel(thread));
        CHECK(t_join(thread) == PTHREAD_CANCELED);
    }
    return 0;
}
