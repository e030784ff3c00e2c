/* A fork handler takes a lock that another thread holds while it opens libraries: whoever serves fork must not hold, when the handler waits, what dlopen waits for. */
#include <dlfcn.h>

#include "../t.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int stop, opened;

static void prepare(void)
{
    CHECK_OK(pthread_mutex_lock(&lock));
}

static void after(void)
{
    CHECK_OK(pthread_mutex_unlock(&lock));
}

static void *opens(void *arg)
{
    struct timespec moment = {0, 100000};
    while (!stop) {
        CHECK_OK(pthread_mutex_lock(&lock));
        void *library = dlopen("libc.so.6", RTLD_NOW);
        CHECK(library != NULL);
        CHECK_OK(dlclose(library));
        opened++;
        CHECK_OK(pthread_mutex_unlock(&lock));
        nanosleep(&moment, NULL);
    }
    return arg;
}

int main(void)
{
    CHECK_OK(pthread_atfork(prepare, after, after)); /* before the first thread */
    pthread_t thread = t_go(opens, NULL);
    for (int i = 0; i < 100; i++) {
        int before = opened;
        while (opened == before)
            sched_yield();
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0)
            _exit(0);
        t_expect_exit(child, 0);
    }
    stop = 1;
    t_join(thread);
    return 0;
}
