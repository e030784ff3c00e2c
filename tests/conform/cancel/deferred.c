/* pthread_cancel ends a thread in each kind of wait with PTHREAD_CANCELED; cleanup handlers run in
 * reverse, with the mutex of a condition wait held. */
#include "../t.h"
#include <sys/select.h>

static int ends[2], tube[2], listener;
static sem_t never;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static __thread int order;
static _Atomic int cleaned;

static void second(void *arg)
{
    CHECK_EQ(order, 1);
    CHECK_EQ(*(int *)arg, 7);
    cleaned++;
}

static void first(void *arg)
{
    (void)arg;
    CHECK_EQ(order, 0);
    order = 1;
}

static void unlock(void *arg)
{
    CHECK_EQ(pthread_mutex_trylock(arg), EBUSY);
    CHECK_OK(pthread_mutex_unlock(arg));
}

static void wait_in(int call)
{
    char byte;
    struct timespec hour = {3600, 0};
    struct pollfd p = {ends[0], POLLIN, 0};
    switch (call) {
    case 0:
        read(ends[0], &byte, 1);
        break;
    case 1:
        recv(ends[0], &byte, 1, 0);
        break;
    case 2:
        read(tube[0], &byte, 1);
        break;
    case 3:
        accept(listener, NULL, NULL);
        break;
    case 4:
        sem_wait(&never);
        break;
    case 5:
        nanosleep(&hour, NULL);
        break;
    case 6:
        poll(&p, 1, -1);
        break;
    case 7:
        sem_clockwait(&never, CLOCK_MONOTONIC, &(struct timespec){1 << 30, 0});
        break;
    case 8:
        pthread_mutex_lock(&lock);
        pthread_cleanup_push(unlock, &lock);
        pthread_cond_wait(&cond, &lock);
        pthread_cleanup_pop(0);
        break;
    case 9:
        select(0, NULL, NULL, NULL, NULL);
        break;
    case 10:
        pause();
        break;
    case 11:
        waitpid(-1, NULL, 0);
        break;
    default:
        for (;;)
            pthread_testcancel();
    }
    CHECK(0);
}

static void *body(void *arg)
{
    int seven = 7;
    pthread_cleanup_push(second, &seven);
    pthread_cleanup_push(first, NULL);
    wait_in((int)(intptr_t)arg);
    pthread_cleanup_pop(0);
    pthread_cleanup_pop(0);
    return NULL;
}

int main(void)
{
    struct sockaddr_in address;
    t_pair(ends);
    CHECK_OK(pipe(tube));
    listener = t_listen(&address, 4);
    CHECK_OK(sem_init(&never, 0, 0));
    pid_t pid = fork(); /* so that waitpid waits */
    CHECK(pid >= 0);
    if (pid == 0)
        for (;;)
            pause();
    int want = 0;
    for (int settle = 0; settle < 2; settle++)
        for (intptr_t call = 0; call <= 12; call++) {
            pthread_t thread = t_go(body, (void *)call);
            if (settle)
                t_settle();
            CHECK_OK(pthread_cancel(thread));
            CHECK(t_join(thread) == PTHREAD_CANCELED);
            CHECK_EQ(cleaned, ++want);
        }
    CHECK_OK(kill(pid, SIGKILL));
    t_expect_signal(pid, SIGKILL);
    CHECK_OK(pthread_mutex_lock(&lock));
    CHECK_OK(pthread_mutex_unlock(&lock));
    return 0;
}
