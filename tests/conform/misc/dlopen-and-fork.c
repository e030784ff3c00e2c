/* fork while another thread is in dlopen: the child can make threads and open libraries itself. */
#include <dlfcn.h>

#include "../t.h"

static _Atomic int stop, opened;

static void *opens(void *arg)
{
    while (!stop) {
        void *library = dlopen("libc.so.6", RTLD_NOW);
        CHECK(library != NULL);
        CHECK_OK(dlclose(library));
        opened++;
    }
    return arg;
}

static void *opens_once(void *arg)
{
    void *library = dlopen("libc.so.6", RTLD_NOW);
    return library ? arg : NULL;
}

int main(void)
{
    pthread_t thread = t_go(opens, NULL);
    for (int i = 0; i < 40; i++) {
        int before = opened;
        while (opened == before)
            sched_yield();
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            t_bound();
            _exit(t_join(t_go(opens_once, &stop)) == &stop ? 0 : 1);
        }
        t_expect_exit(child, 0);
    }
    stop = 1;
    t_join(thread);
    return 0;
}
