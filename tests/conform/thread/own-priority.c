/* Nice value and scheduling policy of one thread, by itself and by another; inherited by the threads it makes. */
#include "../t.h"

static volatile pid_t tid;
static sem_t told, resume;

static int nice_of(pid_t who)
{
    errno = 0;
    int n = getpriority(PRIO_PROCESS, (id_t)who);
    CHECK_EQ(errno, 0);
    return n;
}

static void *inherits(void *arg)
{
    CHECK_EQ(nice_of(0), 5);
    CHECK_EQ(nice_of(gettid()), 5);
    return arg;
}

static void *by_itself(void *arg)
{
    int before = nice_of(0);
    CHECK_EQ(before, 0);
    CHECK_OK(setpriority(PRIO_PROCESS, 0, 5));
    for (int i = 0; i < 20; i++) {
        CHECK_EQ(nice_of(0), 5);
        sched_yield();
    }
    CHECK_EQ(nice_of(getpid()), 0);
    t_join(t_go(inherits, NULL));
    CHECK_OK(setpriority(PRIO_PROCESS, (id_t)gettid(), 6));
    CHECK_EQ(nice_of(0), 6);
    return arg;
}

static void *by_others(void *arg)
{
    struct sched_param zero = {0};
    tid = gettid();
    CHECK_OK(sem_post(&told));
    CHECK_OK(sem_wait(&resume));
    CHECK_EQ(nice_of(0), 7);
    CHECK_EQ(sched_getscheduler(0), SCHED_BATCH);
    CHECK_OK(sched_setscheduler(0, SCHED_OTHER, &zero));
    CHECK_EQ(sched_getscheduler(gettid()), SCHED_OTHER);
    return arg;
}

int main(void)
{
    struct sched_param zero = {0}, one = {.sched_priority = 1}, got;
    CHECK_OK(sem_init(&told, 0, 0));
    CHECK_OK(sem_init(&resume, 0, 0));
    t_join(t_go(by_itself, NULL));
    CHECK_EQ(nice_of(0), 0);

    pthread_t other = t_go(by_others, NULL);
    CHECK_OK(sem_wait(&told));
    CHECK_OK(setpriority(PRIO_PROCESS, (id_t)tid, 7));
    CHECK_OK(sched_setscheduler(tid, SCHED_BATCH, &zero));
    CHECK_EQ(nice_of(tid), 7);
    CHECK_EQ(sched_getscheduler(tid), SCHED_BATCH);
    CHECK_OK(sched_getparam(tid, &got));
    CHECK_EQ(got.sched_priority, 0);
    CHECK_EQ(sched_getscheduler(0), SCHED_OTHER);
    CHECK_EQ(nice_of(0), 0);
    CHECK_ERR(sched_setscheduler(tid, SCHED_OTHER, &one), EINVAL);
    CHECK_OK(sem_post(&resume));
    t_join(other);
    while (sched_getscheduler(tid) >= 0) /* the kernel may take a moment after the join */
        sched_yield();
    CHECK_EQ(errno, ESRCH);
    CHECK_ERR(setpriority(PRIO_PROCESS, (id_t)tid, 1), ESRCH);
    CHECK_OK(sched_setscheduler(0, SCHED_OTHER, &zero));
    return 0;
}
