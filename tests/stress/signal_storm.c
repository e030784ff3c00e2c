/*
 * signal_storm SEED SECONDS - signals from everywhere, at threads that do all kinds of things, for a while.
 *
 * Each thread does one kind of work over and over and checks what it gets: computing (general and vector registers), pipes, streams,
 * locks, timeouts, threads and children of its own. Meanwhile main sends them signals, by pthread_kill, kill and a timer, some
 * to handlers that wait, on the thread's own stack or an alternate one, one inside the other. No work may notice.
 */
#include "../conform/t.h"
#include <sys/epoll.h>
#include <sys/time.h>
#include <ucontext.h>

#define KINDS 11
#define EACH  3
#define THREADS (KINDS * EACH)

struct job {
    pthread_t thread;
    uint64_t state, rounds;
    int kind, ends[2];
};

static struct job jobs[THREADS];
static _Atomic int stop, started;
static _Atomic long handled, queued, taken;
static __thread int myself = -1;
static __thread volatile int depth;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static long guarded_a, guarded_b;
static int tube[2]; /* what handlers write to */

static uint64_t draw(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Vector registers and flags differ from what was interrupted when this is left. */
static void dirty(void)
{
    volatile double d[8];
    for (int i = 0; i < 8; i++)
        d[i] = i * 1.5 + d[(i + 1) % 8] * 0;
    __asm__ volatile("pcmpeqd %%xmm0, %%xmm0; pcmpeqd %%xmm7, %%xmm7; pcmpeqd %%xmm15, %%xmm15; std; cld" ::
                         : "xmm0", "xmm7", "xmm15");
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    int kept = errno, me = myself;
    char byte = 'x';
    ucontext_t *u = context;
    CHECK(me >= -1 && me < THREADS);
    CHECK_EQ(info->si_signo, number);
    CHECK(u->uc_mcontext.gregs[REG_RIP] != 0);
    depth++;
    handled++;
    dirty();
    switch ((handled + number) % 7) {
    case 0:
        sched_yield();
        break;
    case 1:
        CHECK_EQ(write(tube[1], &byte, 1), 1);
        break;
    case 2: {
        struct timespec t = {0, 30000};
        nanosleep(&t, NULL);
        break;
    }
    case 3:
        for (volatile int i = 0; i < 20000; i++)
            ;
        break;
    case 4: {
        struct pollfd p = {tube[0], POLLOUT, 0}; /* never */
        poll(&p, 1, 1);
        break;
    }
    case 5:
        if (depth < 3)
            raise(number == SIGUSR1 ? SIGUSR2 : SIGUSR1);
        break;
    default:
        break;
    }
    CHECK_EQ(myself, me); /* the same thread */
    depth--;
    errno = kept;
}

static void on_alarm(int number)
{
    int kept = errno;
    (void)number;
    handled++;
    sched_yield();
    errno = kept;
}

/* ---- the work: each does one round ---- */

static void computes(struct job *j)
{
    uint64_t a = j->state | 1, b = a;
    double x[4] = {1, 2, 3, 4}, y[4] = {1, 2, 3, 4};
    for (int i = 0; i < 20000; i++) {
        a = a * 6364136223846793005u + 1;
        b = b * 6364136223846793005u + 1;
        for (int k = 0; k < 4; k++) {
            x[k] = x[k] * 1.0000001 + 0.25;
            y[k] = y[k] * 1.0000001 + 0.25;
        }
        CHECK(a == b);
    }
    for (int k = 0; k < 4; k++)
        CHECK(x[k] == y[k]);
}

static void fills(struct job *j)
{
    unsigned char out[3000], in[3000], seed = (unsigned char)draw(&j->state);
    size_t n = 1 + draw(&j->state) % sizeof out;
    for (size_t i = 0; i < n; i++)
        out[i] = (unsigned char)(seed + i * 7);
    t_write_all(j->ends[1], out, n);
    t_read_all(j->ends[0], in, n);
    CHECK(memcmp(in, out, n) == 0);
}

static void *answers(void *arg)
{
    struct job *j = arg;
    unsigned char data[512];
    ssize_t n;
    while ((n = recv(j->ends[0], data, sizeof data, 0)) > 0)
        t_write_all(j->ends[0], data, (size_t)n);
    CHECK_EQ(n, 0);
    return NULL;
}

static void asks(struct job *j)
{
    uint64_t out[40], in[40];
    size_t n = 1 + draw(&j->state) % 40, got = 0;
    for (size_t i = 0; i < n; i++)
        out[i] = draw(&j->state);
    t_write_all(j->ends[1], out, n * 8);
    while (got < n * 8) { /* a handler ends MSG_WAITALL early, once something came */
        ssize_t r = recv(j->ends[1], (char *)in + got, n * 8 - got, MSG_WAITALL);
        CHECK(r > 0);
        got += (size_t)r;
    }
    CHECK(memcmp(in, out, n * 8) == 0);
}

static void locks(struct job *j)
{
    CHECK_OK(pthread_mutex_lock(&lock));
    CHECK_EQ(guarded_a, guarded_b);
    guarded_a++;
    if (draw(&j->state) % 4 == 0)
        sched_yield();
    guarded_b++;
    if (draw(&j->state) % 2) {
        struct timespec until = t_spec(t_now(CLOCK_REALTIME) + (int64_t)(draw(&j->state) % MSEC));
        int rc = pthread_cond_timedwait(&cond, &lock, &until);
        CHECK(rc == 0 || rc == ETIMEDOUT);
        CHECK_EQ(guarded_a, guarded_b);
    }
    pthread_cond_broadcast(&cond);
    CHECK_OK(pthread_mutex_unlock(&lock));
}

static void sleeps(struct job *j)
{
    struct timespec t = {0, (long)(draw(&j->state) % (2 * MSEC))}, left;
    int64_t start = t_now(CLOCK_MONOTONIC), asked = t.tv_nsec;
    errno = 0;
    while (nanosleep(&t, &left) != 0) {
        CHECK_EQ(errno, EINTR);
        CHECK(left.tv_sec == 0 && left.tv_nsec <= t.tv_nsec + 100000); /* the timer has a slack of 50 us */
        t = left;
    }
    CHECK_GE(t_now(CLOCK_MONOTONIC) - start, asked);
}

static void polls(struct job *j)
{
    struct pollfd p = {j->ends[0], POLLIN, 0};
    char byte = 'p';
    int rc = poll(&p, 1, (int)(draw(&j->state) % 3));
    CHECK(rc == 0 || (rc == -1 && errno == EINTR));
    CHECK_EQ(write(j->ends[1], &byte, 1), 1);
    while ((rc = poll(&p, 1, -1)) < 0)
        CHECK_EQ(errno, EINTR);
    CHECK(rc == 1 && p.revents == POLLIN);
    CHECK_EQ(read(j->ends[0], &byte, 1), 1);
}

static void epolls(struct job *j)
{
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = j->state};
    int ep = epoll_create1(EPOLL_CLOEXEC), rc;
    char byte = 'e';
    CHECK(ep >= 0);
    CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, j->ends[0], &e));
    rc = epoll_wait(ep, &e, 1, 1);
    CHECK(rc == 0 || (rc == -1 && errno == EINTR));
    CHECK_EQ(write(j->ends[1], &byte, 1), 1);
    while ((rc = epoll_wait(ep, &e, 1, -1)) < 0)
        CHECK_EQ(errno, EINTR);
    CHECK(rc == 1 && e.events == EPOLLIN && e.data.u64 == j->state);
    CHECK_EQ(read(j->ends[0], &byte, 1), 1);
    CHECK_OK(close(ep));
}

/* Signals it blocks and sends itself come in order, with what was sent. */
static void waits(struct job *j)
{
    sigset_t set;
    siginfo_t info;
    union sigval value = {.sival_int = (int)(draw(&j->state) % 100000)};
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 3);
    for (int i = 0; i < 3; i++) {
        CHECK_OK(pthread_sigqueue(pthread_self(), SIGRTMIN + 3, value));
        value.sival_int++;
    }
    queued += 3;
    for (int i = 3; i > 0; i--) {
        int rc;
        while ((rc = sigwaitinfo(&set, &info)) < 0)
            CHECK_EQ(errno, EINTR);
        CHECK_EQ(rc, SIGRTMIN + 3);
        CHECK_EQ(info.si_value.sival_int, value.sival_int - i);
        taken++;
    }
}

static void *empty(void *arg)
{
    return arg;
}

static void creates(struct job *j)
{
    pthread_t threads[4];
    for (intptr_t i = 0; i < 4; i++)
        CHECK_OK(pthread_create(&threads[i], NULL, empty, (void *)(i + j->kind)));
    for (intptr_t i = 0; i < 4; i++)
        CHECK_EQ((intptr_t)t_join(threads[i]), i + j->kind);
}

static void forks(struct job *j)
{
    int code = (int)(draw(&j->state) % 100), status;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        alarm(20); /* the timer is not inherited, the handlers are */
        CHECK_EQ((intptr_t)t_join(t_go(empty, (void *)(intptr_t)code)), code);
        _exit(code);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == code);
    struct timespec t = {0, 5 * MSEC};
    nanosleep(&t, NULL);
}

static void allocates(struct job *j)
{
    unsigned char *piece[32];
    char text[64];
    for (int i = 0; i < 32; i++) {
        size_t n = 16 + draw(&j->state) % 4000;
        piece[i] = malloc(n);
        memset(piece[i], i, n);
        CHECK(snprintf(text, sizeof text, "%d %.3f", i, i / 8.0) > 0);
        CHECK_EQ(atoi(text), i);
    }
    for (int i = 0; i < 32; i++) {
        CHECK_EQ(piece[i][15], i);
        free(piece[i]);
    }
}

static void (*const work[KINDS])(struct job *) = {computes, fills, asks, locks, sleeps, polls, epolls, waits, creates, forks, allocates};

static void *runs(void *arg)
{
    struct job *j = arg;
    stack_t alt = {.ss_size = 64 << 10, .ss_sp = malloc(64 << 10)};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 3);
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
    if ((j - jobs) % 2)
        CHECK_OK(sigaltstack(&alt, NULL));
    pthread_t other = 0;
    if (work[j->kind] == asks)
        other = t_go(answers, j);
    myself = (int)(j - jobs);
    started++;
    while (!stop) {
        work[j->kind](j);
        j->rounds++;
    }
    if (work[j->kind] == asks) {
        CHECK_OK(shutdown(j->ends[1], SHUT_WR));
        t_join(other);
    }
    myself = -1;
    alt.ss_flags = SS_DISABLE;
    CHECK_OK(sigaltstack(&alt, NULL));
    free(alt.ss_sp);
    return NULL;
}

static void *drains(void *arg)
{
    char data[4096];
    while (read(tube[0], data, sizeof data) > 0)
        ;
    return arg;
}

int main(int argc, char **argv)
{
    uint64_t state = argc > 1 ? strtoull(argv[1], NULL, 10) * 2654435761u + 1 : 1;
    long seconds = argc > 2 ? atol(argv[2]) : 5;
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_RESTART | SA_SIGINFO | SA_ONSTACK};
    struct itimerval timer = {{0, 1700}, {0, 1700}};
    uint64_t sent = 0, least = UINT64_MAX;
    alarm(0);
    CHECK_OK(pipe2(tube, O_CLOEXEC));
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    action.sa_flags &= ~SA_ONSTACK;
    CHECK_OK(sigaction(SIGUSR2, &action, NULL));
    CHECK_OK(sigaction(SIGRTMIN + 1, &action, NULL));
    action.sa_flags = SA_RESTART;
    action.sa_handler = on_alarm;
    CHECK_OK(sigaction(SIGALRM, &action, NULL));
    pthread_t drain = t_go(drains, NULL);
    for (int i = 0; i < THREADS; i++) {
        jobs[i].kind = i % KINDS;
        jobs[i].state = draw(&state) | 1;
        if (work[jobs[i].kind] == fills)
            CHECK_OK(pipe2(jobs[i].ends, O_CLOEXEC));
        else
            t_pair(jobs[i].ends);
        CHECK_OK(pthread_create(&jobs[i].thread, NULL, runs, &jobs[i]));
    }
    while (started < THREADS)
        sched_yield();
    CHECK_OK(setitimer(ITIMER_REAL, &timer, NULL));
    int64_t until = t_now(CLOCK_MONOTONIC) + seconds * NSEC;
    while (t_now(CLOCK_MONOTONIC) < until) {
        uint64_t d = draw(&state) % 16;
        pthread_t to = jobs[draw(&state) % THREADS].thread;
        if (d < 6)
            CHECK_OK(pthread_kill(to, SIGUSR1));
        else if (d < 10)
            CHECK_OK(pthread_kill(to, SIGUSR2));
        else if (d < 12)
            CHECK_OK(pthread_kill(to, SIGRTMIN + 1));
        else if (d == 12)
            CHECK_OK(kill(getpid(), SIGUSR1));
        else if (d == 13)
            usleep((useconds_t)(draw(&state) % 500));
        else
            for (volatile int i = 0; i < 3000; i++)
                ;
        sent++;
        if (sent % 8 == 0)
            usleep(200);
    }
    memset(&timer, 0, sizeof timer);
    CHECK_OK(setitimer(ITIMER_REAL, &timer, NULL));
    stop = 1;
    for (int i = 0; i < THREADS; i++) {
        t_join(jobs[i].thread);
        least = jobs[i].rounds < least ? jobs[i].rounds : least;
        close(jobs[i].ends[0]);
        close(jobs[i].ends[1]);
    }
    close(tube[1]);
    t_join(drain);
    CHECK_EQ(guarded_a, guarded_b);
    CHECK_EQ(queued, taken);
    CHECK(least > 0);
    fprintf(stderr, "%lu sent, %ld handled, at least %lu rounds each\n", (unsigned long)sent, (long)handled, (unsigned long)least);
    return 0;
}
