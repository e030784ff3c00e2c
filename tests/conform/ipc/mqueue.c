/* POSIX message queues: 300 threads wait to receive, then to send; priorities; time limits; O_NONBLOCK. */
/* conform: also HANDOFF_MAX_WORKERS=16 */
/* conform: also HANDOFF_MAX_WORKERS=1 HANDOFF_PROCS=1 */
#include "../t.h"
#include <mqueue.h>

enum { THREADS = 300 };

static mqd_t queue;
static _Atomic int got;
static _Atomic long sum;

static void *receives(void *arg)
{
    int value;
    unsigned priority;
    struct timespec limit = t_spec(t_now(CLOCK_REALTIME) + 3600 * NSEC);
    if (arg)
        CHECK_EQ(mq_receive(queue, (char *)&value, sizeof value, &priority), sizeof value);
    else
        CHECK_EQ(mq_timedreceive(queue, (char *)&value, sizeof value, &priority, &limit), sizeof value);
    CHECK_EQ(priority, (unsigned)value % 4);
    sum += value;
    got++;
    return NULL;
}

static void *sends(void *arg)
{
    int value = (int)(intptr_t)arg;
    CHECK_OK(mq_send(queue, (char *)&value, sizeof value, (unsigned)value % 4));
    return NULL;
}

int main(void)
{
    static pthread_t threads[THREADS], senders[THREADS];
    struct mq_attr attr = {.mq_maxmsg = 4, .mq_msgsize = sizeof(int)};
    char name[40];
    int value = 0;
    snprintf(name, sizeof name, "/handoff-%d", (int)getpid());
    queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
    if (queue == (mqd_t)-1)
        t_skip("no POSIX message queues");
    mqd_t nonblocking = mq_open(name, O_RDWR | O_NONBLOCK);
    CHECK(nonblocking != (mqd_t)-1);
    mq_unlink(name);

    CHECK_ERR(mq_receive(nonblocking, (char *)&value, sizeof value, NULL), EAGAIN);
    int64_t until = t_now(CLOCK_REALTIME) + 20 * MSEC;
    struct timespec limit = t_spec(until);
    CHECK_ERR(mq_timedreceive(queue, (char *)&value, sizeof value, NULL, &limit), ETIMEDOUT);
    CHECK_GE(t_now(CLOCK_REALTIME), until);
    limit.tv_nsec = NSEC;
    CHECK_ERR(mq_timedreceive(queue, (char *)&value, sizeof value, NULL, &limit), EINVAL);

    for (intptr_t i = 0; i < THREADS; i++)
        threads[i] = t_go(receives, (void *)(i % 2));
    t_settle();
    CHECK_EQ(got, 0);
    for (intptr_t i = 0; i < THREADS; i++)
        sends((void *)(i + 1));
    for (int i = 0; i < THREADS; i++)
        t_join(threads[i]);
    CHECK_EQ(got, THREADS);
    CHECK_EQ(sum, THREADS * (THREADS + 1) / 2);

    for (intptr_t i = 0; i < THREADS; i++)
        senders[i] = t_go(sends, (void *)(i + 1));
    t_settle();
    for (intptr_t i = 0; i < THREADS; i++)
        receives((void *)(i % 2));
    for (int i = 0; i < THREADS; i++)
        t_join(senders[i]);
    CHECK_EQ(sum, THREADS * (THREADS + 1));
    CHECK_ERR(mq_receive(nonblocking, (char *)&value, sizeof value, NULL), EAGAIN);
    for (int i = 0; i < 4; i++)
        sends((void *)(intptr_t)i);
    CHECK_ERR(mq_send(nonblocking, (char *)&value, sizeof value, 0), EAGAIN);
    limit = t_spec(t_now(CLOCK_REALTIME) + 20 * MSEC);
    CHECK_ERR(mq_timedsend(queue, (char *)&value, sizeof value, 0, &limit), ETIMEDOUT);
    return 0;
}
