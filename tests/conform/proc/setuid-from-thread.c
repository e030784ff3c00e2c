/* A thread gives up root: the whole process has, every kernel thread of it included. */
#include "../t.h"
#include "../credentials.h"
#include <sys/syscall.h>

static sem_t go;

static void *other(void *arg)
{
    CHECK_OK(sem_wait(&go));
    CHECK_EQ(geteuid(), 65534);
    return arg;
}

static void *drops(void *arg)
{
    CHECK_OK(setresgid(65534, 65534, 65534));
    CHECK_OK(setresuid(65534, 65534, 65534));
    return arg;
}

int main(void)
{
    if (geteuid() != 0)
        t_skip("not root");
    CHECK_OK(sem_init(&go, 0, 0));
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        threads[i] = t_go(other, NULL);
    t_settle();
    t_join(t_go(drops, NULL));
    CHECK_EQ(geteuid(), 65534);
    for (int i = 0; i < 8; i++)
        CHECK_OK(sem_post(&go));
    for (int i = 0; i < 8; i++)
        t_join(threads[i]);
    t_all_run_as(65534);
    return 0;
}
