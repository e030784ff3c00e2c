/* The affinity of one thread: set by itself, by another, by attributes, inherited by the threads it makes; it holds over
 * waits, reads back from anywhere, and concerns nobody else. */
#include "../t.h"

static cpu_set_t all;
static sem_t told, go, back;
static int last;

static cpu_set_t only(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return set;
}

static void has(pthread_t thread, cpu_set_t want)
{
    cpu_set_t got;
    CHECK_OK(pthread_getaffinity_np(thread, sizeof got, &got));
    CHECK(CPU_EQUAL(&got, &want));
}

/* Over waits of several kinds. */
static void stays_on(int cpu)
{
    struct timespec tick = {0, 1000};
    for (int i = 0; i < 50; i++) {
        CHECK_EQ(sched_getcpu(), cpu);
        if (i % 3 == 0)
            nanosleep(&tick, NULL);
        else if (i % 3 == 1)
            sched_yield();
        else {
            CHECK_OK(sem_post(&go));
            CHECK_OK(sem_wait(&back));
        }
    }
}

static void *answers(void *arg)
{
    for (int i = 0; i < *(int *)arg; i++) {
        CHECK_OK(sem_wait(&go));
        CHECK_OK(sem_post(&back));
    }
    has(pthread_self(), all);
    return NULL;
}

static void *inherits(void *arg)
{
    has(pthread_self(), only(last));
    CHECK_EQ(sched_getcpu(), last);
    return arg;
}

static void *by_itself(void *arg)
{
    cpu_set_t one = only(last);
    CHECK_OK(sched_setaffinity(0, sizeof one, &one));
    has(pthread_self(), one);
    pthread_t helper = *(pthread_t *)arg;
    has(helper, all);
    stays_on(last);
    t_join(t_go(inherits, NULL));
    CHECK_OK(pthread_setaffinity_np(pthread_self(), sizeof all, &all));
    has(pthread_self(), all);
    return NULL;
}

static void *by_others(void *arg)
{
    CHECK_OK(sem_post(&told));
    CHECK_OK(sem_wait(arg));
    for (int i = 0; i < 100 && sched_getcpu() != last; i++)
        sched_yield();
    for (int i = 0; i < 20; i++) {
        CHECK_EQ(sched_getcpu(), last);
        sched_yield();
    }
    has(pthread_self(), only(last));
    return NULL;
}

/* Never a system call. */
static volatile int at_last, sum;
static void *computes(void *arg)
{
    double x = 1.5, y = *(double *)arg;
    CHECK_OK(sem_post(&told));
    while (sched_getcpu() != last || !at_last) {
        for (int i = 0; i < 1000; i++)
            x = x * 1.0000001 + y;
        sum++;
    }
    for (int i = 0; i < 1000; i++)
        CHECK_EQ(sched_getcpu(), last);
    CHECK(x >= 1.5);
    return arg;
}

static void *has_attr(void *arg)
{
    has(pthread_self(), only(last));
    for (int i = 0; i < 20; i++) {
        CHECK_EQ(sched_getcpu(), last);
        sched_yield();
    }
    return arg;
}

int main(void)
{
    sem_t resume;
    int rounds = 16;
    cpu_set_t one, none;
    CHECK_OK(sched_getaffinity(0, sizeof all, &all));
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &all))
            last = i;
    one = only(last);
    CPU_ZERO(&none);
    CHECK_OK(sem_init(&told, 0, 0));
    CHECK_OK(sem_init(&go, 0, 0));
    CHECK_OK(sem_init(&back, 0, 0));
    CHECK_OK(sem_init(&resume, 0, 0));

    pthread_t helper = t_go(answers, &rounds);
    t_join(t_go(by_itself, &helper));
    t_join(helper);

    pthread_t parked = t_go(by_others, &resume);
    CHECK_OK(sem_wait(&told));
    t_settle();
    CHECK_EQ(pthread_setaffinity_np(parked, sizeof none, &none), EINVAL);
    CHECK_OK(pthread_setaffinity_np(parked, sizeof one, &one));
    has(parked, one);
    has(pthread_self(), all);
    CHECK_OK(sem_post(&resume));
    t_join(parked);

    double y = 0.25;
    for (int i = 0; i < 5; i++) {
        at_last = 0;
        pthread_t computing = t_go(computes, &y);
        CHECK_OK(sem_wait(&told));
        CHECK_OK(pthread_setaffinity_np(computing, sizeof one, &one));
        at_last = 1;
        t_join(computing);
    }

    pthread_attr_t attr;
    pthread_t thread;
    CHECK_OK(pthread_attr_init(&attr));
    CHECK_OK(pthread_attr_setaffinity_np(&attr, sizeof one, &one));
    for (int i = 0; i < 20; i++) {
        CHECK_OK(pthread_create(&thread, &attr, has_attr, NULL));
        t_join(thread);
    }

    /* main, and a child of fork. */
    has(pthread_self(), all);
    CHECK_OK(sched_setaffinity(0, sizeof one, &one));
    for (int i = 0; i < 20; i++) {
        CHECK_EQ(sched_getcpu(), last);
        sched_yield();
    }
    pid_t child = fork();
    if (child == 0) {
        has(pthread_self(), one);
        t_join(t_go(inherits, NULL));
        _exit(0);
    }
    t_expect_exit(child, 0);
    CHECK_OK(sched_setaffinity(0, sizeof all, &all));
    has(pthread_self(), all);
    return 0;
}
