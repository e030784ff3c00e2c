/*
 * soak SEED SECONDS - threads made, woken, cancelled, signalled, forked and joined at random, for a
 * while.
 *
 * A controller keeps a set of slots; each turn it takes a random one and, by a random draw, starts
 * a job in it or ends the one that is there. Every job checks its own data; at the end nothing is
 * left: no thread, no descriptor. The same seed draws the same jobs (their interleaving is the
 * scheduler's).
 */
#include "../conform/t.h"
#include "../../shim/stats/page.h"

#define SLOTS 48

struct slot {
    pthread_t thread;
    int kind; /* -1: free */
    int ends[2];
    sem_t sem;
    uint64_t seed;
};

static struct slot slots[SLOTS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static long generation, guarded_a, guarded_b;
static _Atomic long signals_seen, cleanups;

static uint64_t draw(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void on_signal(int number)
{
    (void)number;
    signals_seen++;
}

static void cleanup(void *arg)
{
    (void)arg;
    cleanups++;
}

static void *empty(void *arg)
{
    return arg;
}

/* Echo over the slot's socket until it is closed. */
static void *echo(void *arg)
{
    struct slot *s = arg;
    uint64_t word;
    ssize_t n;
    while ((n = recv(s->ends[0], &word, sizeof word, MSG_WAITALL)) == (ssize_t)sizeof word) {
        word = ~word;
        t_write_all(s->ends[0], &word, sizeof word);
    }
    CHECK_EQ(n, 0);
    return NULL;
}

/* Waits that end by cancellation. */
static void *cancelled(void *arg)
{
    struct slot *s = arg;
    char byte;
    pthread_cleanup_push(cleanup, NULL);
    switch (s->seed % 4) {
    case 0:
        CHECK(read(s->ends[0], &byte, 1) == 99);
        break;
    case 1:
        for (;;)
            if (sem_wait(&s->sem) != 0)
                CHECK_EQ(errno, EINTR);
    case 2:
        for (;;)
            sleep(1000);
    default:
        for (;;)
            pthread_testcancel(), sched_yield();
    }
    pthread_cleanup_pop(0);
    return NULL;
}

/* Locks, waits on the shared condition with a timeout, sleeps. */
static void *works(void *arg)
{
    struct slot *s = arg;
    uint64_t x = s->seed | 1;
    for (int i = 0; i < 50; i++) {
        struct timespec span = {0, (long)(draw(&x) % 200000)};
        pthread_mutex_lock(&lock);
        CHECK_EQ(guarded_a, guarded_b);
        guarded_a++;
        if (draw(&x) % 8 == 0)
            sched_yield();
        guarded_b++;
        if (draw(&x) % 4 == 0) {
            struct timespec until = t_spec(t_now(CLOCK_REALTIME) + (int64_t)(draw(&x) % MSEC));
            pthread_cond_timedwait(&cond, &lock, &until);
        }
        generation++;
        pthread_cond_broadcast(&cond);
        pthread_mutex_unlock(&lock);
        if (draw(&x) % 3 == 0)
            nanosleep(&span, NULL);
    }
    return NULL;
}

/* Threads of its own. */
static void *nests(void *arg)
{
    struct slot *s = arg;
    pthread_t threads[8];
    for (intptr_t i = 0; i < 8; i++)
        threads[i] = t_go(empty, (void *)(i + (intptr_t)(s->seed % 1000)));
    for (intptr_t i = 0; i < 8; i++)
        CHECK_EQ((intptr_t)t_join(threads[i]), i + (intptr_t)(s->seed % 1000));
    return NULL;
}

/* A child process that makes threads and tells by its status. */
static void *forks(void *arg)
{
    struct slot *s = arg;
    int code = (int)(s->seed % 100);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        for (intptr_t i = 0; i < 4; i++)
            CHECK_EQ((intptr_t)t_join(t_go(empty, (void *)i)), i);
        _exit(code);
    }
    t_expect_exit(pid, code);
    return NULL;
}

/* Computes for some milliseconds, without a call. */
static void *computes(void *arg)
{
    struct slot *s = arg;
    volatile uint64_t x = s->seed;
    for (long i = 0; i < (long)(s->seed % 20) * 500000; i++)
        x = x * 6364136223846793005u + 1;
    return NULL;
}

static void *(*const jobs[])(void *) = {echo, cancelled, works, nests, forks, computes};
#define JOBS 6

static void begin(struct slot *s, uint64_t *state)
{
    uint64_t d = draw(state) % 100;
    s->kind = d < 30 ? 0 : d < 50 ? 1 : d < 75 ? 2 : d < 88 ? 3 : d < 92 ? 4 : 5;
    s->seed = draw(state) >> 8;
    CHECK_OK(sem_init(&s->sem, 0, 0));
    t_pair(s->ends);
    s->thread = t_go(jobs[s->kind], s);
}

static void end(struct slot *s)
{
    if (s->kind == 0)
        CHECK_OK(shutdown(s->ends[1], SHUT_WR));
    if (s->kind == 1)
        CHECK_OK(pthread_cancel(s->thread));
    void *value = t_join(s->thread);
    CHECK(value == (s->kind == 1 ? PTHREAD_CANCELED : NULL));
    close(s->ends[0]);
    close(s->ends[1]);
    s->kind = -1;
}

static int descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 900; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* Under handoff, by its statistics page: one user thread is left, and no more workers than the work could have needed. */
static void no_leak(void)
{
    const char *preload = getenv("LD_PRELOAD"), *run = getenv("XDG_RUNTIME_DIR");
    char paths[3][300] = {""};
    int fd = -1, pid = (int)getpid(), uid = (int)getuid();
    if (!preload || !strstr(preload, "libhandoff"))
        return;
    if (run)
        snprintf(paths[0], sizeof paths[0], "%s/handoff/%d", run, pid);
    snprintf(paths[1], sizeof paths[1], "/dev/shm/handoff-%d/%d", uid, pid);
    snprintf(paths[2], sizeof paths[2], "/tmp/handoff-%d/%d", uid, pid);
    for (int i = 0; i < 3 && fd < 0; i++)
        fd = open(paths[i], O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    struct stats_header h;
    CHECK_EQ(pread(fd, &h, sizeof h, 0), sizeof h);
    CHECK_EQ(h.state, STATS_ACTIVE);
    uint32_t live = 0;
    for (int turn = 0; turn < 100; turn++) { /* who was joined may be on its last steps */
        live = 0;
        for (uint32_t i = 0; i < h.uthreads_hwm; i++) {
            struct stats_uthread u;
            CHECK_EQ(pread(fd, &u, sizeof u, (off_t)(h.uthreads_off + (uint64_t)i * h.uthread_stride)), sizeof u);
            live += u.tid != 0 && u.state != UTHREAD_FREE;
        }
        if (live == 1)
            break;
        usleep(10000);
    }
    CHECK_EQ(live, 1);
    CHECK(h.uthreads_hwm <= 4 * SLOTS); /* slots are used again */
    CHECK(h.workers_hwm <= 4 * SLOTS);
    close(fd);
}

int main(int argc, char **argv)
{
    uint64_t state = argc > 1 ? strtoull(argv[1], NULL, 10) * 2654435761u + 1 : 1;
    long seconds = argc > 2 ? atol(argv[2]) : 5, turns = 0, echoes = 0;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    alarm(0);
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    for (int i = 0; i < SLOTS; i++)
        slots[i].kind = -1;
    t_join(t_go(empty, NULL));
    int before = descriptors();
    int64_t until = t_now(CLOCK_MONOTONIC) + seconds * NSEC;
    while (t_now(CLOCK_MONOTONIC) < until) {
        struct slot *s = &slots[draw(&state) % SLOTS];
        uint64_t d = draw(&state) % 8;
        turns++;
        if (s->kind < 0) {
            begin(s, &state);
        } else if (s->kind == 0 && d < 5) {
            uint64_t word = draw(&state), answer;
            t_write_all(s->ends[1], &word, sizeof word);
            t_read_all(s->ends[1], &answer, sizeof answer);
            CHECK_EQ(answer, ~word);
            echoes++;
        } else if (s->kind < 2 && d == 5) {
            CHECK_OK(
                pthread_kill(s->thread, SIGUSR1)); /* a job that ends only when told still lives */
        } else {
            end(s);
        }
    }
    for (int i = 0; i < SLOTS; i++)
        if (slots[i].kind >= 0)
            end(&slots[i]);
    CHECK_EQ(guarded_a, guarded_b);
    CHECK_EQ(descriptors(), before);
    no_leak();
    fprintf(stderr, "%ld turns, %ld echoes, %ld cancelled, %ld signals\n", turns, echoes,
            (long)cleanups, (long)signals_seen);
    return 0;
}
