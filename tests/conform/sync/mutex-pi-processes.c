/* PI mutexes shared between processes of several threads each: one owner at a time, nobody left waiting, timeouts, and a signal handler
 * that does not end the wait. */
#include "../t.h"

static struct shared {
    pthread_mutex_t lock;
    long a, b;
} *s;

static void handler(int number)
{
    (void)number;
}

static void *locks(void *arg)
{
    for (int i = 0; i < 400; i++) {
        CHECK_OK(pthread_mutex_lock(&s->lock));
        s->a++;
        if (i % 16 == 0)
            usleep(1);
        s->b++;
        CHECK_EQ(s->a, s->b);
        CHECK_OK(pthread_mutex_unlock(&s->lock));
    }
    return arg;
}

static void *waits(void *arg)
{
    struct timespec soon;
    CHECK_OK(clock_gettime(CLOCK_REALTIME, &soon));
    soon.tv_nsec += 5 * MSEC;
    if (soon.tv_nsec >= NSEC) {
        soon.tv_sec++;
        soon.tv_nsec -= NSEC;
    }
    CHECK_EQ(pthread_mutex_timedlock(&s->lock, &soon), ETIMEDOUT);
    CHECK_EQ(pthread_mutex_trylock(&s->lock), EBUSY);
    CHECK_OK(pthread_mutex_lock(&s->lock));
    CHECK_OK(pthread_mutex_unlock(&s->lock));
    return arg;
}

int main(void)
{
    pthread_mutexattr_t attr;
    pid_t children[3];
    struct sigaction action = {.sa_handler = handler};
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(s != MAP_FAILED);
    CHECK_OK(pthread_mutexattr_init(&attr));
    CHECK_OK(pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED));
    CHECK_OK(pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT));
    CHECK_OK(pthread_mutex_init(&s->lock, &attr));
    for (int i = 0; i < 3; i++)
        if ((children[i] = fork()) == 0) {
            t_bound();
            pthread_t threads[3];
            for (int k = 0; k < 3; k++)
                threads[k] = t_go(locks, NULL);
            for (int k = 0; k < 3; k++)
                t_join(threads[k]);
            _exit(0);
        }
    for (int i = 0; i < 3; i++)
        t_expect_exit(children[i], 0);
    CHECK_EQ(s->a, 3 * 3 * 400);
    CHECK_OK(pthread_mutex_lock(&s->lock));
    pthread_t thread = t_go(waits, NULL);
    for (int i = 0; i < 20; i++) {
        usleep(1000);
        pthread_kill(thread, SIGUSR1);
    }
    CHECK_OK(pthread_mutex_unlock(&s->lock));
    t_join(thread);
    return 0;
}
