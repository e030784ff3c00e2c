/* sched_getcpu and sched_getaffinity answer something sane in every thread. */
#include "../t.h"

static void *body(void *arg)
{
    cpu_set_t set;
    for (int i = 0; i < 50; i++) {
        int cpu = sched_getcpu();
        CHECK(cpu >= 0);
        CHECK_OK(sched_getaffinity(0, sizeof set, &set));
        CHECK(CPU_COUNT(&set) > 0);
        CHECK(CPU_ISSET(cpu, &set));
        sched_yield();
    }
    CHECK_OK(pthread_getaffinity_np(pthread_self(), sizeof set, &set));
    CHECK(CPU_COUNT(&set) > 0);
    return arg;
}

int main(void)
{
    pthread_t threads[8];
    body(NULL);
    for (int i = 0; i < 8; i++)
        threads[i] = t_go(body, NULL);
    for (int i = 0; i < 8; i++)
        t_join(threads[i]);
    return 0;
}
