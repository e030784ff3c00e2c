/* A thread may be joined by one that did not create it; main may be joined after pthread_exit. */
#include "../t.h"

static pthread_t main_thread;
static sem_t go;

static void *leaf(void *arg)
{
    CHECK_OK(sem_wait(&go));
    return arg;
}

static void *joiner(void *arg)
{
    return t_join(*(pthread_t *)arg);
}

static void *last(void *arg)
{
    (void)arg;
    CHECK(t_join(main_thread) == &go);
    puts("main joined");
    exit(0);
}

int main(void)
{
    CHECK_OK(sem_init(&go, 0, 0));
    pthread_t thread = t_go(leaf, &main_thread);
    pthread_t other = t_go(joiner, &thread);
    CHECK_OK(sem_post(&go));
    CHECK(t_join(other) == &main_thread);
    main_thread = pthread_self();
    t_go(last, NULL);
    pthread_exit(&go);
}
