/* pthread_setname_np and pthread_getname_np are per thread, on oneself and on another. */
#include "../t.h"

static sem_t named, done;

static void *body(void *arg)
{
    char name[16];
    CHECK_OK(pthread_setname_np(pthread_self(), arg));
    CHECK_OK(pthread_getname_np(pthread_self(), name, sizeof name));
    CHECK_OK(strcmp(name, arg));
    CHECK_OK(sem_post(&named));
    CHECK_OK(sem_wait(&done));
    CHECK_OK(pthread_getname_np(pthread_self(), name, sizeof name));
    CHECK_OK(strcmp(name, arg));
    return NULL;
}

int main(void)
{
    char before[16], after[16];
    CHECK_OK(sem_init(&named, 0, 0));
    CHECK_OK(sem_init(&done, 0, 0));
    CHECK_OK(pthread_getname_np(pthread_self(), before, sizeof before));
    pthread_t one = t_go(body, "worker-one"), two = t_go(body, "worker-two");
    CHECK_OK(sem_wait(&named));
    CHECK_OK(sem_wait(&named));
    CHECK_OK(pthread_getname_np(pthread_self(), after, sizeof after));
    CHECK_OK(strcmp(before, after));
    CHECK_EQ(pthread_setname_np(pthread_self(), "far-too-long-a-name"), ERANGE);
    CHECK_OK(sem_post(&done));
    CHECK_OK(sem_post(&done));
    t_join(one);
    t_join(two);
    return 0;
}
