/* A handler without SA_RESTART ends every one of these waits with EINTR; with it, locks, POSIX messages and waits for
 * children go on and the System V calls end all the same (signal(7)). Cancellation ends those that are cancellation points. */
/* conform: also HANDOFF_MAX_WORKERS=1 */
/* conform: also HANDOFF_DEBUG=chaos=7 */
#include "../t.h"
#include <mqueue.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>

enum { FLOCK, OFD, SEMOP, SEMTIMEDOP, MSGRCV, MSGSND, MQ_RECEIVE, MQ_SEND, WAITPID, WAITID, CALLS };

static char path[] = "handoff-intr-XXXXXX";
static int fd_flock, fd_ofd, sem, queue_empty, queue_full, gate[2];
static mqd_t mq_empty, mq_full;
static pid_t child;
static _Atomic int hits;
static volatile int done;

static void handler(int number)
{
    (void)number;
    hits++;
}

static int call(int which)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct sembuf take = {0, -1, 0};
    struct timespec hour = {3600, 0};
    struct {
        long type;
        char text[8];
    } m = {.type = 1};
    char byte[8] = "";
    siginfo_t info;
    int status;
    switch (which) {
    case FLOCK: return flock(fd_flock, LOCK_EX);
    case OFD: return fcntl(fd_ofd, F_OFD_SETLKW, &lock);
    case SEMOP: return semop(sem, &take, 1);
    case SEMTIMEDOP: return semtimedop(sem, &take, 1, &hour);
    case MSGRCV: return (int)msgrcv(queue_empty, &m, sizeof m.text, 0, 0);
    case MSGSND: return msgsnd(queue_full, &m, 1, 0);
    case MQ_RECEIVE: return (int)mq_receive(mq_empty, byte, sizeof byte, NULL);
    case MQ_SEND: return mq_send(mq_full, byte, 1, 0);
    case WAITPID: return waitpid(child, &status, 0);
    case WAITID: return waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT);
    }
    return 0;
}

static int restarts(int which)
{
    return which != SEMOP && which != SEMTIMEDOP && which != MSGRCV && which != MSGSND;
}

static int cancellable(int which)
{
    return which == OFD || which >= MSGRCV;
}

/* End the wait properly, or undo what its end did. */
static void release(int which)
{
    struct flock lock = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    char byte[8] = "";
    switch (which) {
    case FLOCK: CHECK_OK(flock(gate[0], LOCK_UN)); break;
    case OFD: CHECK_OK(fcntl(gate[0], F_OFD_SETLK, &lock)); break;
    case MQ_RECEIVE: CHECK_OK(mq_send(mq_empty, byte, 1, 0)); break;
    case MQ_SEND: CHECK_EQ(mq_receive(mq_full, byte, sizeof byte, NULL), 1); break;
    default: CHECK_OK(kill(child, SIGKILL)); break;
    }
}

static void *interrupted(void *arg)
{
    CHECK_ERR(call((int)(intptr_t)arg), EINTR);
    done = 1;
    return NULL;
}

static void *goes_on(void *arg)
{
    CHECK_GE(call((int)(intptr_t)arg), 0);
    done = 1;
    return NULL;
}

static void *cancelled(void *arg)
{
    call((int)(intptr_t)arg);
    CHECK(!"cancelled");
    return NULL;
}

static void poke(pthread_t thread)
{
    while (!done) {
        struct timespec tick = {0, 300000};
        pthread_kill(thread, SIGUSR1);
        nanosleep(&tick, NULL);
    }
    t_join(thread);
}

static mqd_t mq_new(int which)
{
    char name[40];
    struct mq_attr attr = {.mq_maxmsg = 1, .mq_msgsize = 8};
    snprintf(name, sizeof name, "/handoff-%d-%d", (int)getpid(), which);
    mqd_t q = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
    if (q == (mqd_t)-1)
        t_skip("no POSIX message queues");
    mq_unlink(name);
    return q;
}

int main(void)
{
    struct sigaction action = {.sa_handler = handler};
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct {
        long type;
        char text[64];
    } m = {.type = 1};
    close(mkstemp(path));
    gate[0] = open(path, O_RDWR);
    fd_flock = open(path, O_RDWR);
    fd_ofd = open(path, O_RDWR);
    unlink(path);
    CHECK_OK(flock(gate[0], LOCK_EX));
    CHECK_OK(fcntl(gate[0], F_OFD_SETLK, &lock));
    mq_empty = mq_new(0);
    mq_full = mq_new(1);
    CHECK_OK(mq_send(mq_full, "x", 1, 0));
    sem = semget(IPC_PRIVATE, 1, 0600);
    queue_empty = msgget(IPC_PRIVATE, 0600);
    queue_full = msgget(IPC_PRIVATE, 0600);
    if (sem < 0 || queue_empty < 0 || queue_full < 0)
        t_skip("no System V IPC");
    while (msgsnd(queue_full, &m, sizeof m.text, IPC_NOWAIT) == 0)
        ;
    while (msgsnd(queue_full, &m, 1, IPC_NOWAIT) == 0)
        ;
    child = fork();
    CHECK(child >= 0);
    if (child == 0)
        for (;;)
            pause();

    for (int restart = 0; restart < 2; restart++) {
        action.sa_flags = restart ? SA_RESTART : 0;
        CHECK_OK(sigaction(SIGUSR1, &action, NULL));
        for (int which = 0; which < CALLS; which++) {
            if (restart && restarts(which))
                continue;
            done = 0;
            poke(t_go(interrupted, (void *)(intptr_t)which));
        }
    }
    for (int which = 0; which < CALLS; which++)
        if (cancellable(which)) {
            pthread_t thread = t_go(cancelled, (void *)(intptr_t)which);
            if (which % 2)
                t_settle();
            CHECK_OK(pthread_cancel(thread));
            CHECK(t_join(thread) == PTHREAD_CANCELED);
        }
    for (int which = 0; which < CALLS; which++) {
        if (!restarts(which) || which == WAITPID)
            continue;
        done = 0;
        pthread_t thread = t_go(goes_on, (void *)(intptr_t)which);
        for (int i = 0; i < 5; i++) {
            int before = hits;
            CHECK_OK(pthread_kill(thread, SIGUSR1));
            while (hits == before)
                sched_yield();
        }
        CHECK_EQ(done, 0);
        release(which);
        t_join(thread);
    }
    t_expect_signal(child, SIGKILL);
    semctl(sem, 0, IPC_RMID);
    msgctl(queue_empty, IPC_RMID, NULL);
    msgctl(queue_full, IPC_RMID, NULL);
    return 0;
}
