/* A fork child in which threads cannot be made M:N again (no descriptor is to be had): natively they begin, end and
 * are joined, through sites that were redirected in the parent. */
#include "../t.h"

static void *adds(void *arg)
{
    return (char *)arg + 1;
}

static void *forks(void *arg)
{
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        struct rlimit none = {3, 3};
        pthread_t threads[4];
        t_bound();
        CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
        for (intptr_t k = 0; k < 4; k++)
            threads[k] = t_go(adds, (void *)k);
        for (intptr_t k = 0; k < 4; k++)
            CHECK_EQ((intptr_t)t_join(threads[k]), k + 1);
        _exit(20);
    }
    t_expect_exit(pid, 20);
    return arg;
}

int main(void)
{
    t_join(t_go(forks, NULL));
    return 0;
}
