/* Which calls go on after a handler with SA_RESTART, and which end with EINTR: printed for every
 * call that can wait, to be the same as natively; without SA_RESTART all of them end. */
#include "../t.h"
#include <mqueue.h>
#include <pty.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/sendfile.h>
#include <sys/timerfd.h>

static int tube[2], full[2], pair[2], stuffed[2], udp, listener, un_listener, event, event_full,
    timer, notify, master, slave, lock_fd, queue, sem, quiet[2];
static mqd_t mq;
static pid_t child;
static struct sockaddr_un un = {.sun_family = AF_UNIX};
static socklen_t un_length;
static char dir[] = "handoff-restart-XXXXXX", path[100];
static char block[1 << 20];
static _Atomic int hits;
static volatile int entered, done;

static void handler(int number)
{
    (void)number;
    hits++;
}

enum {
    READ_PIPE,
    READV_PIPE,
    WRITE_PIPE,
    READ_UNIX,
    RECV,
    RECVMSG,
    RECVMMSG,
    RECV_ALL,
    RECV_UDP,
    SEND,
    SENDMSG,
    ACCEPT,
    CONNECT,
    READ_EVENT,
    WRITE_EVENT,
    READ_TIMER,
    READ_INOTIFY,
    READ_TTY,
    SPLICE,
    TEE,
    SENDFILE,
    POLL,
    PPOLL,
    SELECT,
    PSELECT,
    EPOLL_WAIT,
    EPOLL_PWAIT,
    OPEN_FIFO,
    FLOCK,
    SETLKW,
    WAIT4,
    WAITID,
    MSGRCV,
    SEMOP,
    MQ_RECEIVE,
    SEM_WAIT,
    NANOSLEEP,
    PAUSE,
    CALLS
};
static const char *const names[] = {
    "read pipe", "readv pipe",   "write pipe",    "read unix",    "recv",         "recvmsg",
    "recvmmsg",  "recv all",     "recv udp",      "send",         "sendmsg",      "accept",
    "connect",   "read eventfd", "write eventfd", "read timerfd", "read inotify", "read tty",
    "splice",    "tee",          "sendfile",      "poll",         "ppoll",        "select",
    "pselect",   "epoll_wait",   "epoll_pwait",   "open fifo",    "flock",        "F_OFD_SETLKW",
    "wait4",     "waitid",       "msgrcv",        "semop",        "mq_receive",   "sem_wait",
    "nanosleep", "pause"};
static sem_t semaphore;

static long make(int call)
{
    char text[64] = "";
    uint64_t value = 1;
    struct iovec v = {text, 8}, big = {block, sizeof block};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1}, bm = {.msg_iov = &big, .msg_iovlen = 1};
    struct mmsghdr mm = {.msg_hdr = m};
    struct pollfd p = {quiet[0], POLLIN, 0};
    struct epoll_event e = {.events = EPOLLIN};
    struct timespec hour = {3600, 0};
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct sembuf down = {0, -1, 0};
    siginfo_t info;
    fd_set set;
    int fd;
    long r;
    FD_ZERO(&set);
    FD_SET(quiet[0], &set);
    switch (call) {
    case READ_PIPE:
        return read(tube[0], text, 8);
    case READV_PIPE:
        return readv(tube[0], &v, 1);
    case WRITE_PIPE:
        return write(full[1], text, 8);
    case READ_UNIX:
        return read(pair[0], text, 8);
    case RECV:
        return recv(pair[0], text, 8, 0);
    case RECVMSG:
        return recvmsg(pair[0], &m, 0);
    case RECVMMSG:
        return recvmmsg(pair[0], &mm, 1, 0, NULL);
    case RECV_ALL:
        return recv(pair[0], text, 8, MSG_WAITALL);
    case RECV_UDP:
        return recv(udp, text, 8, 0);
    case SEND:
        return send(stuffed[1], block, sizeof block, 0);
    case SENDMSG:
        return sendmsg(stuffed[1], &bm, 0);
    case ACCEPT:
        return accept(listener, NULL, NULL);
    case CONNECT:
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
        r = connect(fd, (struct sockaddr *)&un, un_length);
        if (r < 0) {
            int error = errno;
            close(fd);
            errno = error;
        }
        return r;
    case READ_EVENT:
        return read(event, &value, 8);
    case WRITE_EVENT:
        return write(event_full, &value, 8);
    case READ_TIMER:
        return read(timer, &value, 8);
    case READ_INOTIFY:
        return read(notify, block, sizeof block);
    case READ_TTY:
        return read(slave, text, 8);
    case SPLICE:
        return splice(tube[0], NULL, quiet[1], NULL, 8, 0);
    case TEE:
        return tee(tube[0], full[1], 8, 0);
    case SENDFILE:
        return sendfile(stuffed[1], lock_fd, &(off_t){0}, 100000);
    case POLL:
        return poll(&p, 1, 3600000);
    case PPOLL:
        return ppoll(&p, 1, &hour, NULL);
    case SELECT:
        return select(quiet[0] + 1, &set, NULL, NULL, NULL);
    case PSELECT:
        return pselect(quiet[0] + 1, &set, NULL, NULL, &hour, NULL);
    case EPOLL_WAIT:
    case EPOLL_PWAIT:
        fd = epoll_create1(0);
        CHECK_OK(epoll_ctl(fd, EPOLL_CTL_ADD, quiet[0], &e));
        r = call == EPOLL_WAIT ? epoll_wait(fd, &e, 1, -1) : epoll_pwait(fd, &e, 1, 3600000, NULL);
        if (r < 0) {
            int error = errno;
            close(fd);
            errno = error;
        }
        return r;
    case OPEN_FIFO:
        return open(path, O_RDONLY);
    case FLOCK:
        fd = open("/proc/self/exe", O_RDONLY);
        r = flock(fd, LOCK_EX);
        if (r == 0)
            flock(fd, LOCK_UN);
        return r;
    case SETLKW:
        snprintf(text, sizeof text, "%s/lock", dir);
        fd = open(text, O_RDWR);
        return fcntl(fd, F_OFD_SETLKW, &lock);
    case WAIT4:
        return waitpid(child, NULL, 0);
    case WAITID:
        return waitid(P_PID, (id_t)child, &info, WEXITED);
    case MSGRCV:
        return msgrcv(queue, block, 8, 0, 0);
    case SEMOP:
        return semop(sem, &down, 1);
    case MQ_RECEIVE:
        return mq_receive(mq, text, 8, NULL);
    case SEM_WAIT:
        return sem_wait(&semaphore);
    case NANOSLEEP:
        return nanosleep(&hour, NULL);
    default:
        return pause();
    }
}

/* Let the call that goes on succeed. */
static void satisfy(int call)
{
    uint64_t value = 1;
    struct itimerspec soon = {{0, 0}, {0, 1}};
    struct flock lock = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    struct sembuf up = {0, 1, 0};
    struct {
        long type;
        char text[8];
    } message = {1, ""};
    switch (call) {
    case READ_PIPE:
    case READV_PIPE:
    case SPLICE:
    case TEE:
        CHECK_EQ(write(tube[1], block, 8), 8);
        if (call == TEE)
            CHECK_GE(read(full[0], block, 8192), 1);
        break;
    case WRITE_PIPE:
        CHECK_GE(read(full[0], block, 8192), 1);
        break;
    case READ_UNIX:
    case RECV:
    case RECVMSG:
    case RECVMMSG:
    case RECV_ALL:
        CHECK_EQ(write(pair[1], block, 8), 8);
        break;
    case SEND:
    case SENDMSG:
    case SENDFILE:
        while (!done) {
            static char sink[1 << 16];
            recv(stuffed[0], sink, sizeof sink, MSG_DONTWAIT);
        }
        break;
    case READ_EVENT:
        CHECK_EQ(write(event, &value, 8), 8);
        break;
    case WRITE_EVENT:
        CHECK_EQ(read(event_full, &value, 8), 8);
        break;
    case READ_TIMER:
        CHECK_OK(timerfd_settime(timer, 0, &soon, NULL));
        break;
    case READ_TTY:
        CHECK_EQ(write(master, "hello\n", 6), 6);
        break;
    case OPEN_FIFO:
        close(open(path, O_WRONLY));
        break;
    case READ_INOTIFY: {
        char file[150];
        snprintf(file, sizeof file, "%s/x", dir);
        close(creat(file, 0600));
        unlink(file);
        break;
    }
    case FLOCK:
        break;
    case SETLKW:
        CHECK_OK(fcntl(lock_fd, F_OFD_SETLK, &lock));
        break;
    case WAIT4:
    case WAITID:
        CHECK_OK(kill(child, SIGKILL));
        break;
    case MSGRCV:
        CHECK_OK(msgsnd(queue, &message, 8, 0));
        break;
    case SEMOP:
        CHECK_OK(semop(sem, &up, 1));
        break;
    case MQ_RECEIVE:
        CHECK_OK(mq_send(mq, "x", 1, 0));
        break;
    case SEM_WAIT:
        CHECK_OK(sem_post(&semaphore));
        break;
    case CONNECT: {
        int fd = accept(un_listener, NULL, NULL);
        CHECK(fd >= 0);
        break;
    }
    default:
        t_fail(__FILE__, __LINE__, "%s goes on, and nothing is there to end it", names[call]);
    }
}

static void *body(void *arg)
{
    errno = 0;
    entered = 1;
    long r = make((int)(intptr_t)arg);
    int error = errno;
    done = 1;
    return (void *)(intptr_t)(r < 0 ? -error : 0);
}

static void fill(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    CHECK_OK(fcntl(fd, F_SETFL, flags | O_NONBLOCK));
    while (write(fd, block, 65536) > 0)
        ;
    while (write(fd, block, 1) > 0)
        ;
    CHECK_OK(fcntl(fd, F_SETFL, flags));
}

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    uint64_t most = UINT64_MAX - 1;
    char file[100];
    CHECK(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/fifo", dir);
    CHECK_OK(mkfifo(path, 0600));
    snprintf(file, sizeof file, "%s/lock", dir);
    CHECK((lock_fd = open(file, O_RDWR | O_CREAT, 0600)) >= 0);
    CHECK_EQ(write(lock_fd, block, 100000), 100000);
    CHECK_OK(fcntl(lock_fd, F_OFD_SETLK, &lock));
    CHECK_OK(pipe(tube));
    CHECK_OK(pipe(full));
    fill(full[1]);
    t_pair(pair);
    t_pair(quiet);
    t_pair(stuffed);
    fill(stuffed[1]);
    udp = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK_OK(bind(udp, (struct sockaddr *)&address, sizeof address));
    listener = t_listen(&address, 1);
    un_listener = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_OK(bind(un_listener, (struct sockaddr *)&un, sizeof(sa_family_t)));
    un_length = sizeof un;
    CHECK_OK(getsockname(un_listener, (struct sockaddr *)&un, &un_length));
    CHECK_OK(listen(un_listener, 0));
    CHECK_OK(connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&un, un_length));
    event = eventfd(0, 0);
    event_full = eventfd(0, 0);
    CHECK_EQ(write(event_full, &most, 8), 8);
    timer = timerfd_create(CLOCK_MONOTONIC, 0);
    notify = inotify_init1(0);
    CHECK_OK(openpty(&master, &slave, NULL, NULL, NULL));
    CHECK((queue = msgget(IPC_PRIVATE, 0600)) >= 0);
    CHECK((sem = semget(IPC_PRIVATE, 1, 0600)) >= 0);
    struct mq_attr attr = {.mq_maxmsg = 2, .mq_msgsize = 8};
    snprintf(file, sizeof file, "/handoff-restart-%d", (int)getpid());
    CHECK((mq = mq_open(file, O_RDWR | O_CREAT | O_EXCL, 0600, &attr)) >= 0);
    mq_unlink(file);
    CHECK_OK(sem_init(&semaphore, 0, 0));
    for (int restart = 0; restart < 2; restart++) {
        struct sigaction action = {.sa_handler = handler, .sa_flags = restart ? SA_RESTART : 0};
        CHECK_OK(sigaction(SIGUSR1, &action, NULL));
        for (int call = 0; call < CALLS; call++) {
            if (call == FLOCK || (restart && (call == ACCEPT || call == RECV_UDP || call == SEND ||
                                              call == SENDMSG || call == SENDFILE)))
                continue; /* shown elsewhere, or a part of it ends it */
            if (call == WAIT4 || call == WAITID) {
                child = fork();
                CHECK(child >= 0);
                if (child == 0)
                    for (;;)
                        pause();
            }
            if (call == READ_INOTIFY && restart)
                CHECK(inotify_add_watch(notify, dir, IN_CREATE) >= 0);
            entered = done = 0;
            pthread_t thread = t_go(body, (void *)(intptr_t)call);
            while (!entered)
                sched_yield();
            t_settle();
            int ran = 0;
            while (!done && ran < 15) { /* each once the one before was handled */
                int before = hits;
                CHECK_OK(pthread_kill(thread, SIGUSR1));
                while (hits == before && !done)
                    sched_yield();
                t_settle();
                ran++;
            }
            int went_on = !done;
            if (went_on)
                satisfy(call);
            long r = (long)(intptr_t)t_join(thread);
            printf("%s, SA_RESTART %d: %s %s\n", names[call], restart,
                   went_on ? "goes on," : "ends,", r == 0 ? "succeeds" : strerror((int)-r));
            if (call == WAIT4 || call == WAITID) {
                kill(child, SIGKILL);
                waitpid(child, NULL, 0);
            }
        }
    }
    msgctl(queue, IPC_RMID, NULL);
    semctl(sem, 0, IPC_RMID);
    snprintf(file, sizeof file, "%s/lock", dir);
    unlink(file);
    unlink(path);
    rmdir(dir);
    return 0;
}
