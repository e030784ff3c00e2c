/* System V message queues: 300 threads wait for messages, each of its own type or any; senders wait for room; nothing is
 * lost or doubled; another process sends; IPC_RMID is EIDRM for who waits. */
/* conform: also HANDOFF_MAX_WORKERS=16 */
/* conform: also HANDOFF_MAX_WORKERS=1 HANDOFF_PROCS=1 */
#include "../t.h"
#include <sys/ipc.h>
#include <sys/msg.h>

enum { THREADS = 300, LARGE = 4000 };

struct message {
    long type;
    char text[LARGE];
};
static int id;
static _Atomic int got;
static _Atomic long sum;

static void *own_type(void *arg)
{
    struct message m;
    CHECK_EQ(msgrcv(id, &m, sizeof m.text, (long)(intptr_t)arg, 0), 4);
    CHECK_EQ(m.type, (long)(intptr_t)arg);
    got++;
    return NULL;
}

static void *any_type(void *arg)
{
    struct message m;
    CHECK_EQ(msgrcv(id, &m, sizeof m.text, 0, 0), LARGE);
    sum += m.type;
    got++;
    return arg;
}

static void *sends(void *arg)
{
    struct message m = {.type = (long)(intptr_t)arg};
    CHECK_OK(msgsnd(id, &m, LARGE, 0));
    return NULL;
}

static void *removed(void *arg)
{
    struct message m;
    CHECK_EQ(msgrcv(id, &m, sizeof m.text, 7777, 0), -1);
    CHECK(errno == EIDRM || errno == EINVAL); /* EINVAL: came when all was over */
    got++;
    return arg;
}

int main(void)
{
    static pthread_t threads[THREADS], senders[THREADS];
    struct message m = {.type = 1};
    id = msgget(IPC_PRIVATE, 0600);
    if (id < 0)
        t_skip("no System V messages");
    CHECK_ERR(msgrcv(id, &m, sizeof m.text, 0, IPC_NOWAIT), ENOMSG);

    for (intptr_t i = 0; i < THREADS; i++)
        threads[i] = t_go(own_type, (void *)(i + 1));
    t_settle();
    CHECK_EQ(got, 0);
    for (int i = THREADS; i-- > 0;) {
        m.type = i + 1;
        CHECK_OK(msgsnd(id, &m, 4, 0));
        if (i % 50 == 0)
            t_join(threads[i]);
    }
    for (int i = 0; i < THREADS; i++)
        if (i % 50)
            t_join(threads[i]);
    CHECK_EQ(got, THREADS);

    got = 0; /* a queue holds some four of the large ones: senders wait, then receivers come */
    for (intptr_t i = 0; i < THREADS; i++)
        senders[i] = t_go(sends, (void *)(i + 1));
    t_settle();
    for (int i = 0; i < THREADS; i++)
        threads[i] = t_go(any_type, NULL);
    for (int i = 0; i < THREADS; i++) {
        t_join(senders[i]);
        t_join(threads[i]);
    }
    CHECK_EQ(got, THREADS);
    CHECK_EQ(sum, THREADS * (THREADS + 1) / 2);

    got = 0;
    for (intptr_t i = 0; i < THREADS; i++)
        threads[i] = t_go(own_type, (void *)(intptr_t)5);
    t_settle();
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        t_bound();
        m.type = 5;
        for (int i = 0; i < THREADS; i++)
            CHECK_OK(msgsnd(id, &m, 4, 0));
        _exit(0);
    }
    for (int i = 0; i < THREADS; i++)
        t_join(threads[i]);
    CHECK_EQ(got, THREADS);
    t_expect_exit(child, 0);

    got = 0;
    for (int i = 0; i < THREADS; i++)
        threads[i] = t_go(removed, NULL);
    t_settle();
    CHECK_OK(msgctl(id, IPC_RMID, NULL));
    for (int i = 0; i < THREADS; i++)
        t_join(threads[i]);
    CHECK_EQ(got, THREADS);
    return 0;
}
