/* pthread_atfork handlers run in order, in the forking thread, and a lock taken there keeps data
 * whole in the child. */
#include "../t.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int a, b;
static __thread int prepared, parents, children;
static _Atomic int stop;

static void prepare(void)
{
    pthread_mutex_lock(&lock);
    prepared++;
}

static void parent(void)
{
    pthread_mutex_unlock(&lock);
    parents++;
}

static void child(void)
{
    pthread_mutex_unlock(&lock);
    children++;
}

static void *changes(void *arg)
{
    while (!stop) {
        pthread_mutex_lock(&lock);
        a++;
        sched_yield();
        b++;
        pthread_mutex_unlock(&lock);
    }
    return arg;
}

static void *forks(void *arg)
{
    for (int i = 1; i <= 10; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            t_bound();
            CHECK_EQ(a, b);
            CHECK_EQ(children, 1);
            pthread_mutex_lock(&lock);
            pthread_mutex_unlock(&lock);
            _exit(3);
        }
        CHECK_EQ(prepared, i);
        CHECK_EQ(parents, i);
        CHECK_EQ(children, 0);
        t_expect_exit(pid, 3);
    }
    return arg;
}

int main(void)
{
    CHECK_OK(pthread_atfork(prepare, parent, child));
    pthread_t other = t_go(changes, NULL), thread = t_go(forks, NULL);
    t_join(thread);
    stop = 1;
    t_join(other);
    return 0;
}
