/* Detached threads run to their end and their memory is used again. */
#include "../t.h"

#define COUNT 3000
static sem_t done;
static _Atomic int ran;

static void *body(void *arg)
{
    (void)arg;
    ran++;
    CHECK_OK(sem_post(&done));
    return NULL;
}

int main(void)
{
    pthread_attr_t attr;
    CHECK_OK(sem_init(&done, 0, 0));
    CHECK_OK(pthread_attr_init(&attr));
    CHECK_OK(pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED));
    for (int i = 0; i < COUNT; i++) {
        pthread_t thread;
        if (i % 2) {
            CHECK_OK(pthread_create(&thread, &attr, body, NULL));
        } else {
            thread = t_go(body, NULL);
            CHECK_OK(pthread_detach(thread));
        }
        if (i % 50 == 49)
            for (int k = 0; k < 50; k++)
                CHECK_OK(sem_wait(&done));
    }
    CHECK_EQ(ran, COUNT);
    return 0;
}
