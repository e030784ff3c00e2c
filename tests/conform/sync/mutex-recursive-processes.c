/* Recursive and error-checking mutexes shared between processes know their owner by its thread id: the first thread of one process is
 * not taken for the first thread of another. */
#include "../t.h"

static struct shared {
    pthread_mutex_t recursive, checking;
    long a, b;
} *s;

static void *locks(void *arg)
{
    for (int i = 0; i < 300; i++) {
        CHECK_OK(pthread_mutex_lock(&s->recursive));
        CHECK_OK(pthread_mutex_lock(&s->recursive));
        CHECK_OK(pthread_mutex_lock(&s->checking));
        CHECK_EQ(pthread_mutex_lock(&s->checking), EDEADLK);
        s->a++;
        if (i % 8 == 0)
            usleep(1);
        s->b++;
        CHECK_EQ(s->a, s->b);
        CHECK_OK(pthread_mutex_unlock(&s->checking));
        CHECK_OK(pthread_mutex_unlock(&s->recursive));
        CHECK_OK(pthread_mutex_unlock(&s->recursive));
    }
    return arg;
}

int main(void)
{
    pthread_mutexattr_t attr;
    pid_t children[4];
    s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(s != MAP_FAILED);
    CHECK_OK(pthread_mutexattr_init(&attr));
    CHECK_OK(pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED));
    CHECK_OK(pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE));
    CHECK_OK(pthread_mutex_init(&s->recursive, &attr));
    CHECK_OK(pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK));
    CHECK_OK(pthread_mutex_init(&s->checking, &attr));
    for (int i = 0; i < 4; i++)
        if ((children[i] = fork()) == 0) {
            t_bound();
            pthread_t threads[2];
            for (int k = 0; k < 2; k++)
                threads[k] = t_go(locks, NULL);
            for (int k = 0; k < 2; k++)
                t_join(threads[k]);
            _exit(0);
        }
    for (int i = 0; i < 4; i++)
        t_expect_exit(children[i], 0);
    CHECK_EQ(s->a, 4 * 2 * 300);
    return 0;
}
