/*
 * t.h - the few helpers every conformance program uses.
 *
 * A program shows one behaviour: it exits 0 when the behaviour holds, 77 when the machine cannot
 * show it, and otherwise prints file, line and the values that differ, and exits 1. It must never
 * depend on how long something takes: t_settle() only makes an interleaving likely, the result must
 * be the same without it.
 *
 * Each program is bounded by alarm() (T_BOUND seconds, default 5). tests/conform/run sets T_BOUND=0
 * and bounds the program itself, so that it can look at a hung one before ending it.
 */
#ifndef T_H
#define T_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define T_UNUSED __attribute__((unused))

#define NSEC 1000000000LL
#define MSEC 1000000LL

T_UNUSED __attribute__((noreturn, format(printf, 3, 4))) static void
t_fail(const char *file, int line, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    dprintf(2, "%s:%d: %s\n", file, line, text);
    _exit(1);
}

T_UNUSED __attribute__((noreturn)) static void t_skip(const char *why)
{
    dprintf(2, "skipped: %s\n", why);
    _exit(77);
}

/* CHECK(condition): it holds. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            t_fail(__FILE__, __LINE__, "%s: does not hold (errno %d %s)", #condition, errno,       \
                   strerror(errno));                                                               \
    } while (0)

/* CHECK_EQ(got, want): equal as integers. */
#define CHECK_EQ(got, want)                                                                        \
    do {                                                                                           \
        long long t_got_ = (long long)(got);                                                       \
        int t_errno_ = errno;                                                                      \
        long long t_want_ = (long long)(want);                                                     \
        if (t_got_ != t_want_)                                                                     \
            t_fail(__FILE__, __LINE__, "%s is %lld, not %s (%lld) (errno %d %s)", #got, t_got_,    \
                   #want, t_want_, t_errno_, strerror(t_errno_));                                  \
    } while (0)

/* CHECK_GE(got, least): not below. */
#define CHECK_GE(got, least)                                                                       \
    do {                                                                                           \
        long long t_got_ = (long long)(got);                                                       \
        long long t_least_ = (long long)(least);                                                   \
        if (t_got_ < t_least_)                                                                     \
            t_fail(__FILE__, __LINE__, "%s is %lld, below %s (%lld)", #got, t_got_, #least,        \
                   t_least_);                                                                      \
    } while (0)

/* CHECK_OK(call): a pthread-style call that answers 0. */
#define CHECK_OK(call)                                                                             \
    do {                                                                                           \
        int t_rc_ = (call);                                                                        \
        if (t_rc_ != 0)                                                                            \
            t_fail(__FILE__, __LINE__, "%s: %d %s", #call, t_rc_,                                  \
                   t_rc_ > 0 ? strerror(t_rc_) : strerror(errno));                                 \
    } while (0)

/* CHECK_ERR(call, error): a call that answers -1 with this errno. */
#define CHECK_ERR(call, error)                                                                     \
    do {                                                                                           \
        errno = 0;                                                                                 \
        long long t_rc_ = (long long)(call);                                                       \
        int t_errno_ = errno;                                                                      \
        if (t_rc_ != -1 || t_errno_ != (error))                                                    \
            t_fail(__FILE__, __LINE__, "%s is %lld, errno %d (%s), not %s", #call, t_rc_,          \
                   t_errno_, strerror(t_errno_), #error);                                          \
    } while (0)

/* t_bound: the program's own time limit; in a forked child too, where alarms are not inherited. */
T_UNUSED static void t_bound(void)
{
    const char *bound = getenv("T_BOUND");
    alarm(bound ? (unsigned)atoi(bound) : 5);
}

__attribute__((constructor)) static void t_start(void)
{
    t_bound();
}

struct t_start {
    void *(*body)(void *);
    void *argument;
    long late;           /* microseconds */
    volatile pid_t *tid; /* where to leave the thread's, if anywhere */
};

T_UNUSED static void *t_started(void *argument)
{
    struct t_start start = *(struct t_start *)argument;
    if (start.late) { /* by a call that is no cancellation point */
        struct timespec t = {start.late / 1000000, start.late % 1000000 * 1000};
        syscall(SYS_nanosleep, &t, NULL);
    }
    if (start.tid)
        *start.tid = (pid_t)syscall(SYS_gettid);
    return start.body(start.argument);
}

T_UNUSED static pthread_t t_start_thread(void *(*body)(void *), void *argument, long late,
                                         volatile pid_t *tid)
{
    static struct t_start all[100]; /* not malloc: the thread is to make no call of its own accord */
    static unsigned used;
    unsigned n = __atomic_fetch_add(&used, 1, __ATOMIC_RELAXED);
    CHECK(n < sizeof all / sizeof all[0]);
    struct t_start *start = &all[n];
    pthread_t thread;
    start->body = body;
    start->argument = argument;
    start->late = late;
    start->tid = tid;
    CHECK_OK(pthread_create(&thread, NULL, t_started, start));
    return thread;
}

/* t_go: a thread. With T_LATE=MS in the environment the first ones of a process begin up to so much later, as on a
 * machine with much other work: a program that needs a thread to be somewhere when t_settle() returns then fails. */
T_UNUSED static pthread_t t_go(void *(*body)(void *), void *argument)
{
    static int started;
    static unsigned seed = 1;
    const char *late = getenv("T_LATE");
    if (late && __atomic_fetch_add(&started, 1, __ATOMIC_RELAXED) < 20) {
        seed = seed * 1103515245 + 12345;
        return t_start_thread(body, argument, 1 + (seed >> 8) % (unsigned)(atoi(late) * 1000), NULL);
    }
    pthread_t thread;
    CHECK_OK(pthread_create(&thread, NULL, body, argument));
    return thread;
}

T_UNUSED static void *t_join(pthread_t thread)
{
    void *value;
    CHECK_OK(pthread_join(thread, &value));
    return value;
}

T_UNUSED static int64_t t_now(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * NSEC + now.tv_nsec;
}

T_UNUSED static struct timespec t_spec(int64_t ns)
{
    struct timespec spec;
    spec.tv_sec = ns / NSEC;
    spec.tv_nsec = ns % NSEC;
    return spec;
}

/* t_settle: make it likely, never certain, that the other threads have blocked. */
T_UNUSED static void t_settle(void)
{
    for (int i = 0; i < 20; i++)
        sched_yield();
    struct timespec pause = {0, 2 * MSEC};
    nanosleep(&pause, NULL);
}

/* t_go_waits: a thread, which is asleep in the first call of its body that blocks when this returns: for certain natively,
 * where the kernel tells; else, where the kernel does not know the thread, very likely. */
T_UNUSED static pthread_t t_go_waits(void *(*body)(void *), void *argument)
{
    volatile pid_t tid = 0;
    char path[64], line[256], *state;
    pthread_t thread = t_start_thread(body, argument, 0, &tid);
    while (tid == 0)
        t_settle();
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
    for (;;) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            break;
        ssize_t n = read(fd, line, sizeof line - 1);
        close(fd);
        CHECK(n > 0);
        line[n] = 0;
        state = strrchr(line, ')');
        CHECK(state != NULL);
        if (state[2] == 'S')
            return thread;
        t_settle();
    }
    struct timespec pause = {0, 50 * MSEC};
    nanosleep(&pause, NULL);
    return thread;
}

struct t_passer {
    sem_t token;
    struct t_passer *next;
    int times;
};

T_UNUSED static void *t_passes(void *argument)
{
    struct t_passer *me = (struct t_passer *)argument;
    for (int i = 0; i < me->times; i++) {
        CHECK_OK(sem_wait(&me->token));
        CHECK_OK(sem_post(&me->next->token));
    }
    return NULL;
}

/* t_pass_round: so many threads (up to 8) hand a token round so many times. It returns when they have: others can run, whatever
 * the rest waits for. */
T_UNUSED static void t_pass_round(int threads, int times)
{
    struct t_passer all[8];
    pthread_t started[8];
    CHECK(threads <= 8);
    for (int i = 0; i < threads; i++) {
        CHECK_OK(sem_init(&all[i].token, 0, i == 0));
        all[i].next = &all[(i + 1) % threads];
        all[i].times = times;
    }
    for (int i = 0; i < threads; i++)
        started[i] = t_go(t_passes, &all[i]);
    for (int i = 0; i < threads; i++)
        t_join(started[i]);
}

/* t_tasks: kernel threads of this process. */
T_UNUSED static int t_tasks(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/task");
    CHECK(d != NULL);
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

/* t_poke: signal the thread until *done is set; one signal may come before the wait it is meant to end. */
T_UNUSED static void t_poke(pthread_t thread, int number, const volatile int *done)
{
    while (!*done) {
        struct timespec tick = {0, 300000};
        pthread_kill(thread, number);
        nanosleep(&tick, NULL);
    }
}

/* t_descriptors: at least this many numbers may be open, or the program is skipped. */
T_UNUSED static void t_descriptors(rlim_t count)
{
    struct rlimit limit;
    CHECK_OK(getrlimit(RLIMIT_NOFILE, &limit));
    if (limit.rlim_cur >= count)
        return;
    limit.rlim_cur = count;
    if (limit.rlim_max < count)
        limit.rlim_max = count;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        t_skip("not that many descriptors allowed");
}

T_UNUSED static void t_pair(int ends[2])
{
    CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
}

/* t_listen: a TCP listener on loopback, its address in *address. */
T_UNUSED static int t_listen(struct sockaddr_in *address, int backlog)
{
    socklen_t length = sizeof *address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0);
    memset(address, 0, sizeof *address);
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK_OK(bind(fd, (struct sockaddr *)address, length));
    CHECK_OK(listen(fd, backlog));
    CHECK_OK(getsockname(fd, (struct sockaddr *)address, &length));
    return fd;
}

T_UNUSED static int t_connect(const struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0);
    CHECK_OK(connect(fd, (const struct sockaddr *)address, sizeof *address));
    return fd;
}

/* t_tcp: a connected TCP pair on loopback. */
T_UNUSED static void t_tcp(int ends[2])
{
    struct sockaddr_in address;
    int listener = t_listen(&address, 1);
    ends[0] = t_connect(&address);
    ends[1] = accept(listener, NULL, NULL);
    CHECK(ends[1] >= 0);
    close(listener);
}

/* t_write_all, t_read_all: the whole of it, or the program fails. */
T_UNUSED static void t_write_all(int fd, const void *data, size_t size)
{
    const char *at = (const char *)data;
    while (size > 0) {
        ssize_t n = write(fd, at, size);
        CHECK(n > 0);
        at += n;
        size -= (size_t)n;
    }
}

T_UNUSED static void t_read_all(int fd, void *data, size_t size)
{
    char *at = (char *)data;
    while (size > 0) {
        ssize_t n = read(fd, at, size);
        CHECK(n > 0);
        at += n;
        size -= (size_t)n;
    }
}

/* t_fill: a byte pattern that shows losses, doublings and swaps. */
T_UNUSED static void t_fill(unsigned char *data, size_t size, uint32_t seed)
{
    uint32_t x = seed * 2654435761u + 1;
    for (size_t i = 0; i < size; i++) {
        x = x * 1664525u + 1013904223u;
        data[i] = (unsigned char)(x >> 24);
    }
}

/* t_bad: an address with nothing there, that the compiler does not see through. */
T_UNUSED static void *t_bad(void)
{
    void *volatile bad = (void *)16;
    return bad;
}

/* t_wait: the wait status of a child. */
T_UNUSED static int t_wait(pid_t child)
{
    int status;
    pid_t got;
    do
        got = waitpid(child, &status, 0);
    while (got < 0 && errno == EINTR);
    CHECK_EQ(got, child);
    return status;
}

/* t_expect_exit: the child ends by exit(code). */
T_UNUSED static void t_expect_exit(pid_t child, int code)
{
    int status = t_wait(child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != code)
        t_fail(__FILE__, __LINE__, "child's wait status is %#x, not exit %d", status, code);
}

/* t_expect_signal: the child is killed by this signal. */
T_UNUSED static void t_expect_signal(pid_t child, int signal)
{
    int status = t_wait(child);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != signal)
        t_fail(__FILE__, __LINE__, "child's wait status is %#x, not signal %d", status, signal);
}

#endif
