/* Every kind of descriptor that can become readable wakes a thread waiting for it in poll, ppoll,
 * select, pselect, epoll_wait (level and edge) and is told as readable to all of them. */
#include "../t.h"
#include <linux/io_uring.h>
#include <linux/netlink.h>
#include <linux/userfaultfd.h>
#include <mqueue.h>
#include <pty.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

enum kind {
    TCP,
    LISTENER,
    UDP,
    UNIX_STREAM,
    UNIX_DGRAM,
    SEQPACKET,
    PIPE,
    FIFO,
    EVENTFD,
    TIMERFD,
    SIGNALFD,
    INOTIFY,
    PTY_SLAVE,
    PTY_MASTER,
    EPOLL,
    PIDFD,
    NETLINK,
    MQUEUE,
    RAW,
    FANOTIFY,
    USERFAULT,
    URING,
    HANGUP,
    KINDS
};
static const char *const names[] = {
    "tcp",   "listener", "udp",     "unix stream", "unix dgram", "seqpacket", "pipe",
    "fifo",  "eventfd",  "timerfd", "signalfd",    "inotify",    "pty slave", "pty master",
    "epoll", "pidfd",    "netlink", "mqueue",      "raw",        "fanotify",
    "userfaultfd", "io_uring", "hang-up"};
#define METHODS 6

struct job {
    enum kind kind;
    int method, fd, peer, aux;
    char *memory;
    struct sockaddr_in address;
};

static struct job jobs[KINDS][METHODS];
static int absent[KINDS]; /* the machine has no such thing, or does not let us */
static pthread_t faulting[METHODS];
static char dir[] = "handoff-kinds-XXXXXX";

static void make(struct job *j)
{
    int ends[2], type = SOCK_STREAM;
    socklen_t length = sizeof j->address;
    char path[200];
    snprintf(path, sizeof path, "%s/%d-%d", dir, j->kind, j->method);
    switch (j->kind) {
    case TCP:
        t_tcp(ends);
        break;
    case LISTENER:
        ends[0] = t_listen(&j->address, 4);
        ends[1] = -1;
        break;
    case UDP:
        for (int i = 0; i < 2; i++)
            CHECK((ends[i] = socket(AF_INET, SOCK_DGRAM, 0)) >= 0);
        j->address.sin_family = AF_INET;
        j->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        CHECK_OK(bind(ends[0], (struct sockaddr *)&j->address, sizeof j->address));
        CHECK_OK(getsockname(ends[0], (struct sockaddr *)&j->address, &length));
        CHECK_OK(connect(ends[1], (struct sockaddr *)&j->address, length));
        break;
    case SEQPACKET:
    case UNIX_DGRAM:
        type = j->kind == SEQPACKET ? SOCK_SEQPACKET : SOCK_DGRAM; /* fall through */
    case UNIX_STREAM:
    case HANGUP:
        CHECK_OK(socketpair(AF_UNIX, type, 0, ends));
        break;
    case PIPE:
        CHECK_OK(pipe(ends));
        break;
    case FIFO:
        CHECK_OK(mkfifo(path, 0600));
        CHECK((ends[0] = open(path, O_RDONLY | O_NONBLOCK)) >= 0);
        CHECK((ends[1] = open(path, O_WRONLY)) >= 0);
        break;
    case EVENTFD:
        ends[0] = ends[1] = eventfd(0, 0);
        break;
    case TIMERFD:
        ends[0] = ends[1] = timerfd_create(CLOCK_MONOTONIC, 0);
        break;
    case SIGNALFD: {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGRTMIN + j->method);
        ends[0] = signalfd(-1, &set, 0);
        ends[1] = -1;
        break;
    }
    case INOTIFY:
        CHECK_OK(mkdir(path, 0700));
        ends[0] = inotify_init1(0);
        CHECK(inotify_add_watch(ends[0], path, IN_CREATE) >= 0);
        ends[1] = -1;
        break;
    case PTY_SLAVE:
        CHECK_OK(openpty(&ends[1], &ends[0], NULL, NULL, NULL));
        break;
    case PTY_MASTER:
        CHECK_OK(openpty(&ends[0], &ends[1], NULL, NULL, NULL));
        break;
    case EPOLL: {
        struct epoll_event event = {.events = EPOLLIN};
        ends[0] = epoll_create1(0);
        ends[1] = eventfd(0, 0);
        CHECK_OK(epoll_ctl(ends[0], EPOLL_CTL_ADD, ends[1], &event));
        break;
    }
    case PIDFD: {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0)
            for (;;)
                pause();
        ends[0] = (int)syscall(SYS_pidfd_open, child, 0);
        ends[1] = child;
        break;
    }
    case NETLINK: {
        struct sockaddr_nl to = {.nl_family = AF_NETLINK};
        length = sizeof to;
        CHECK((ends[0] = socket(AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK)) >= 0);
        CHECK((ends[1] = socket(AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK)) >= 0);
        CHECK_OK(bind(ends[0], (struct sockaddr *)&to, sizeof to));
        CHECK_OK(getsockname(ends[0], (struct sockaddr *)&to, &length));
        CHECK_OK(connect(ends[1], (struct sockaddr *)&to, sizeof to));
        break;
    }
    case MQUEUE: {
        struct mq_attr attr = {.mq_maxmsg = 2, .mq_msgsize = 8};
        snprintf(path, sizeof path, "/handoff-%d-%d", (int)getpid(), j->method);
        ends[0] = ends[1] = mq_open(path, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
        mq_unlink(path);
        break;
    }
    case RAW:
        j->address.sin_family = AF_INET; /* an address each: a raw socket hears all that comes to its own */
        j->address.sin_addr.s_addr = htonl(0x7f000002u + ((uint32_t)getpid() * METHODS + (uint32_t)j->method) % 0xfffff0u);
        for (int i = 0; i < 2; i++)
            ends[i] = socket(AF_INET, SOCK_RAW, 253); /* for experiments */
        if (ends[0] < 0 || bind(ends[0], (struct sockaddr *)&j->address, sizeof j->address) != 0 ||
            connect(ends[1], (struct sockaddr *)&j->address, sizeof j->address) != 0)
            absent[j->kind] = 1;
        break;
    case FANOTIFY:
        CHECK_OK(mkdir(path, 0700));
        ends[0] = fanotify_init(FAN_CLASS_NOTIF, O_RDONLY);
        ends[1] = -1;
        if (ends[0] < 0 || fanotify_mark(ends[0], FAN_MARK_ADD, FAN_OPEN | FAN_ONDIR, AT_FDCWD, path) != 0)
            absent[j->kind] = 1;
        break;
    case USERFAULT: {
        struct uffdio_api api = {.api = UFFD_API};
        ends[0] = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY); /* others say POLLERR */
        ends[1] = -1;
        j->memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        struct uffdio_register area = {.range = {(uint64_t)(uintptr_t)j->memory, 4096}, .mode = UFFDIO_REGISTER_MODE_MISSING};
        if (ends[0] < 0 || ioctl(ends[0], UFFDIO_API, &api) != 0 || ioctl(ends[0], UFFDIO_REGISTER, &area) != 0)
            absent[j->kind] = 1;
        break;
    }
    case URING: {
        struct io_uring_params p = {0};
        ends[0] = (int)syscall(SYS_io_uring_setup, 4, &p);
        ends[1] = -1;
        if (ends[0] < 0) {
            absent[j->kind] = 1;
            break;
        }
        char *ring = mmap(NULL, p.sq_off.array + p.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ends[0],
                          IORING_OFF_SQ_RING);
        struct io_uring_sqe *sqe = mmap(NULL, p.sq_entries * sizeof *sqe, PROT_READ | PROT_WRITE,
                                        MAP_SHARED | MAP_POPULATE, ends[0], IORING_OFF_SQES);
        CHECK(ring != MAP_FAILED && sqe != MAP_FAILED);
        sqe->opcode = IORING_OP_NOP;
        *(unsigned *)(ring + p.sq_off.array) = 0;
        __atomic_store_n((unsigned *)(ring + p.sq_off.tail), 1, __ATOMIC_RELEASE);
        break;
    }
    default:
        abort();
    }
    if (absent[j->kind])
        return;
    CHECK(ends[0] >= 0);
    j->fd = ends[0];
    j->peer = ends[1];
}

static void *faults(void *arg)
{
    CHECK_EQ(*(volatile char *)arg, 0);
    return NULL;
}

/* Who waits has been told: let the faulting thread go on. */
static void end_fault(struct job *j)
{
    struct uffdio_zeropage zero = {.range = {(uint64_t)(uintptr_t)j->memory, 4096}};
    CHECK_OK(ioctl(j->fd, UFFDIO_ZEROPAGE, &zero));
    t_join(faulting[j->method]);
}

static void fire(struct job *j)
{
    uint64_t one = 1;
    char path[200];
    switch (j->kind) {
    case LISTENER:
        j->aux = t_connect(&j->address);
        break;
    case TIMERFD: {
        struct itimerspec soon = {{0, 0}, {0, 1}};
        CHECK_OK(timerfd_settime(j->fd, 0, &soon, NULL));
        break;
    }
    case SIGNALFD:
        CHECK_OK(kill(getpid(), SIGRTMIN + j->method));
        break;
    case INOTIFY:
        snprintf(path, sizeof path, "%s/%d-%d/x", dir, j->kind, j->method);
        close(creat(path, 0600));
        unlink(path);
        break;
    case FANOTIFY:
        snprintf(path, sizeof path, "%s/%d-%d", dir, j->kind, j->method);
        close(open(path, O_RDONLY | O_DIRECTORY));
        break;
    case USERFAULT:
        faulting[j->method] = t_go(faults, j->memory);
        break;
    case URING:
        CHECK_EQ(syscall(SYS_io_uring_enter, j->fd, 1, 0, 0, NULL, 0), 1);
        break;
    case PIDFD:
        CHECK_OK(kill(j->peer, SIGKILL));
        break;
    case MQUEUE:
        CHECK_OK(mq_send(j->peer, "x", 1, 0));
        break;
    case HANGUP:
        CHECK_OK(close(j->peer));
        break;
    case PTY_SLAVE:
        CHECK_EQ(write(j->peer, "x\n", 2), 2);
        break;
    case EVENTFD:
    case EPOLL:
        CHECK_EQ(write(j->peer, &one, 8), 8);
        break;
    default:
        CHECK_EQ(write(j->peer, "x", 1), 1);
    }
}

static void *waits(void *arg)
{
    struct job *j = arg;
    struct pollfd p = {j->fd, POLLIN, 0};
    fd_set set;
    FD_ZERO(&set);
    FD_SET(j->fd, &set);
    int rc, readable;
    if (j->method < 2) {
        rc = j->method ? ppoll(&p, 1, NULL, NULL) : poll(&p, 1, -1);
        readable = p.revents & POLLIN;
    } else if (j->method < 4) {
        rc = j->method == 2 ? select(j->fd + 1, &set, NULL, NULL, NULL)
                            : pselect(j->fd + 1, &set, NULL, NULL, NULL, NULL);
        readable = FD_ISSET(j->fd, &set);
    } else {
        int ep = epoll_create1(0);
        struct epoll_event event = {.events = EPOLLIN | (j->method == 5 ? EPOLLET : 0),
                                    .data.ptr = j};
        CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, j->fd, &event));
        rc = epoll_wait(ep, &event, 1, -1);
        readable = event.events & EPOLLIN;
        CHECK(event.data.ptr == j);
        close(ep);
    }
    if (rc != 1 || !readable)
        t_fail(__FILE__, __LINE__, "%s, method %d: %d, revents %#x (errno %d)", names[j->kind],
               j->method, rc, p.revents, errno);
    return NULL;
}

int main(void)
{
    static pthread_t threads[KINDS][METHODS];
    sigset_t set;
    CHECK(mkdtemp(dir));
    sigemptyset(&set);
    for (int i = 0; i < METHODS; i++)
        sigaddset(&set, SIGRTMIN + i);
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
    for (int k = 0; k < KINDS; k++)
        for (int m = 0; m < METHODS; m++) {
            jobs[k][m].kind = (enum kind)k;
            jobs[k][m].method = m;
            make(&jobs[k][m]);
        }
    for (int k = 0; k < KINDS; k++)
        for (int m = 0; m < METHODS && !absent[k]; m++)
            threads[k][m] = t_go(waits, &jobs[k][m]);
    t_settle();
    for (int m = METHODS - 1; m >= 0; m--)
        for (int k = 0; k < KINDS; k++)
            if (!absent[k])
                fire(&jobs[k][m]);
    for (int k = 0; k < KINDS; k++)
        for (int m = 0; m < METHODS && !absent[k]; m++)
            t_join(threads[k][m]);
    for (int m = 0; m < METHODS && !absent[USERFAULT]; m++)
        end_fault(&jobs[USERFAULT][m]);
    for (int m = 0; m < METHODS; m++)
        t_expect_signal(jobs[PIDFD][m].peer, SIGKILL);
    char path[300];
    for (int k = 0; k < KINDS; k++)
        for (int m = 0; m < METHODS; m++) {
            snprintf(path, sizeof path, "%s/%d-%d", dir, k, m);
            remove(path);
        }
    CHECK_OK(rmdir(dir));
    return 0;
}
