/* A process-shared mutex, condition variable, semaphore and barrier between a threaded parent and
 * its threaded child. */
#include "../t.h"

struct shared {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    sem_t sem;
    pthread_barrier_t barrier;
    long counter;
    int turn;
};
static struct shared *s;

static void *adds(void *arg)
{
    for (int i = 0; i < 2000; i++) {
        CHECK_OK(pthread_mutex_lock(&s->lock));
        s->counter++;
        CHECK_OK(pthread_mutex_unlock(&s->lock));
    }
    int who = (int)(intptr_t)arg;
    for (int i = 0; i < 100; i++) {
        CHECK_OK(pthread_mutex_lock(&s->lock));
        while (s->turn % 2 != who)
            CHECK_OK(pthread_cond_wait(&s->cond, &s->lock));
        s->turn++;
        CHECK_OK(pthread_cond_broadcast(&s->cond));
        CHECK_OK(pthread_mutex_unlock(&s->lock));
    }
    CHECK_OK(sem_post(&s->sem));
    int rc = pthread_barrier_wait(&s->barrier);
    CHECK(rc == 0 || rc == PTHREAD_BARRIER_SERIAL_THREAD);
    return NULL;
}

static void run(intptr_t who)
{
    pthread_t one = t_go(adds, (void *)who), two = t_go(adds, (void *)who);
    t_join(one);
    t_join(two);
}

int main(void)
{
    pthread_mutexattr_t ma;
    pthread_condattr_t ca;
    pthread_barrierattr_t ba;
    s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(s != MAP_FAILED);
    CHECK_OK(pthread_mutexattr_init(&ma));
    CHECK_OK(pthread_mutexattr_setpshared(&ma, PTHREAD_PROCESS_SHARED));
    CHECK_OK(pthread_mutex_init(&s->lock, &ma));
    CHECK_OK(pthread_condattr_init(&ca));
    CHECK_OK(pthread_condattr_setpshared(&ca, PTHREAD_PROCESS_SHARED));
    CHECK_OK(pthread_cond_init(&s->cond, &ca));
    CHECK_OK(sem_init(&s->sem, 1, 0));
    CHECK_OK(pthread_barrierattr_init(&ba));
    CHECK_OK(pthread_barrierattr_setpshared(&ba, PTHREAD_PROCESS_SHARED));
    CHECK_OK(pthread_barrier_init(&s->barrier, &ba, 5));

    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        t_bound();
        run(1);
        _exit(0);
    }
    pthread_t one = t_go(adds, (void *)0), two = t_go(adds, (void *)0);
    for (int i = 0; i < 4; i++)
        CHECK_OK(sem_wait(&s->sem));
    int rc = pthread_barrier_wait(&s->barrier);
    CHECK(rc == 0 || rc == PTHREAD_BARRIER_SERIAL_THREAD);
    t_join(one);
    t_join(two);
    t_expect_exit(pid, 0);
    CHECK_EQ(s->counter, 8000);
    CHECK_EQ(s->turn, 400);
    return 0;
}
