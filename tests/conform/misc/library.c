/* The library that library-constructor.c needs: it makes a thread before main, and before the constructors of what
 * was preloaded. */
#include "../t.h"

static sem_t begin, end;
static pthread_t thread;
static pid_t id;

static void *early(void *arg)
{
    CHECK_OK(sem_wait(&begin));
    id = (pid_t)syscall(SYS_gettid);
    CHECK_OK(sem_post(&end));
    return arg;
}

__attribute__((constructor)) static void before_main(void)
{
    if (!getenv("CONFORM_EARLY"))
        return;
    CHECK_OK(sem_init(&begin, 0, 0));
    CHECK_OK(sem_init(&end, 0, 0));
    thread = t_go(early, NULL);
}

pid_t early_thread(void);
pid_t early_thread(void)
{
    CHECK_OK(sem_post(&begin));
    CHECK_OK(sem_wait(&end));
    t_join(thread);
    return id;
}
