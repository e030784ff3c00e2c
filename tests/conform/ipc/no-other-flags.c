/* What is an error without a flag stays one: MSG_COPY without IPC_NOWAIT; and waitid by a pidfd that does not block is EAGAIN at once, however
 * many wait already. */
/* conform: also HANDOFF_MAX_WORKERS=4 */
#include "../t.h"
#include <sys/ipc.h>
#include <sys/msg.h>

#ifndef MSG_COPY
#define MSG_COPY 040000
#endif
#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static int gate[2];

static void *waits_for(void *arg)
{
    siginfo_t info;
    CHECK_OK(waitid(P_PID, (id_t)(intptr_t)arg, &info, WEXITED | WNOWAIT));
    return NULL;
}

static pid_t child_behind_the_gate(void)
{
    char byte;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        t_bound();
        close(gate[1]);
        _exit(read(gate[0], &byte, 1) == 0 ? 0 : 1);
    }
    return child;
}

int main(void)
{
    enum { WAITERS = 6 };
    struct { long type; char text[8]; } message = {1, "hello"};
    pthread_t threads[WAITERS];
    siginfo_t info;
    CHECK_OK(pipe2(gate, O_CLOEXEC));
    pid_t child = child_behind_the_gate();
    for (int i = 0; i < WAITERS; i++)
        threads[i] = t_go(waits_for, (void *)(intptr_t)child);
    t_settle();
    int pidfd = (int)syscall(SYS_pidfd_open, child, O_NONBLOCK);
    if (pidfd < 0 && (errno == ENOSYS || errno == EINVAL))
        t_skip("no pidfds");
    CHECK_ERR(waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED), EAGAIN);

    int queue = msgget(IPC_PRIVATE, 0600);
    CHECK(queue >= 0);
    CHECK_OK(msgsnd(queue, &message, sizeof message.text, 0));
    CHECK_ERR(msgrcv(queue, &message, sizeof message.text, 0, MSG_COPY), EINVAL);
    CHECK_OK(msgctl(queue, IPC_RMID, NULL));

    CHECK_OK(close(gate[1]));
    for (int i = 0; i < WAITERS; i++)
        t_join(threads[i]);
    CHECK_OK(waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED));
    return 0;
}
