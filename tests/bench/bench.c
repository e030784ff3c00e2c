/*
 * bench NAME [COUNT]... - the small measurements of the acceptance table, plain pthread code.
 *
 * Each prints "key value" lines; tests/bench/run runs it natively and preloaded and compares. Times
 * are nanoseconds.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void fail(const char *what, int error)
{
    fprintf(stderr, "bench: %s: %s\n", what, strerror(error));
    exit(1);
}

static void check(int rc, const char *what)
{
    if (rc != 0)
        fail(what, rc > 0 ? rc : errno);
}

static void say(const char *key, double value)
{
    printf("%s %.3f\n", key, value);
    fflush(stdout);
}

static pthread_t start(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    check(pthread_create(&thread, NULL, body, argument), "pthread_create");
    return thread;
}

/* --- create_join: a thread made and joined, over and over */

static void *nothing(void *arg)
{
    return arg;
}

static void create_join(long count)
{
    for (long i = 0; i < 100; i++)
        pthread_join(start(nothing, NULL), NULL);
    int64_t begin = now();
    for (long i = 0; i < count; i++)
        pthread_join(start(nothing, NULL), NULL);
    say("ns", (double)(now() - begin) / (double)count);
}

/* --- wake_sem, wake_cond: two threads take turns; half a round is one wake-up */

static sem_t sems[2];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t conds[2] = {PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER};
static long rounds, turn;

static void *sem_turns(void *arg)
{
    intptr_t me = (intptr_t)arg;
    for (long i = 0; i < rounds; i++) {
        sem_wait(&sems[me]);
        sem_post(&sems[1 - me]);
    }
    return NULL;
}

static void *cond_turns(void *arg)
{
    intptr_t me = (intptr_t)arg;
    for (long i = 0; i < rounds; i++) {
        pthread_mutex_lock(&lock);
        while (turn != me)
            pthread_cond_wait(&conds[me], &lock);
        turn = 1 - me;
        pthread_cond_signal(&conds[1 - me]);
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

static void wake(void *(*body)(void *), long count)
{
    sem_init(&sems[0], 0, 1);
    sem_init(&sems[1], 0, 0);
    rounds = count;
    int64_t begin = now();
    pthread_t one = start(body, (void *)0), two = start(body, (void *)1);
    pthread_join(one, NULL);
    pthread_join(two, NULL);
    say("ns", (double)(now() - begin) / (double)count / 2);
}

/* --- cond_queue: one producer, a bounded queue, many consumers that wait for an item each */

#define QUEUE_ROOM 64
static pthread_cond_t not_empty = PTHREAD_COND_INITIALIZER, not_full = PTHREAD_COND_INITIALIZER;
static long queued, taken, items;

static void *consumes(void *arg)
{
    pthread_mutex_lock(&lock);
    for (;;) {
        while (queued == 0 && taken < items)
            pthread_cond_wait(&not_empty, &lock);
        if (queued == 0)
            break;
        if (queued-- == QUEUE_ROOM)
            pthread_cond_signal(&not_full);
        if (++taken == items)
            pthread_cond_broadcast(&not_empty);
    }
    pthread_mutex_unlock(&lock);
    return arg;
}

static void cond_queue(long consumers, long count)
{
    pthread_t *threads = calloc((size_t)consumers, sizeof *threads);
    items = count;
    for (long i = 0; i < consumers; i++)
        threads[i] = start(consumes, NULL);
    usleep(100000); /* let them all wait; nothing depends on it but the number */
    int64_t begin = now();
    for (long i = 0; i < count; i++) {
        pthread_mutex_lock(&lock);
        while (queued == QUEUE_ROOM)
            pthread_cond_wait(&not_full, &lock);
        queued++;
        pthread_cond_signal(&not_empty);
        pthread_mutex_unlock(&lock);
    }
    pthread_mutex_lock(&lock);
    while (taken < items) {
        pthread_mutex_unlock(&lock);
        sched_yield();
        pthread_mutex_lock(&lock);
    }
    pthread_mutex_unlock(&lock);
    say("ns", (double)(now() - begin) / (double)count);
    for (long i = 0; i < consumers; i++)
        pthread_join(threads[i], NULL);
    free(threads);
}

/* --- mutex_contended: many threads, one mutex, a short critical section */

static volatile long shared_counter;

static pthread_barrier_t all_there; /* or the first would be done before the last is made */

static void *locks(void *arg)
{
    pthread_barrier_wait(&all_there);
    for (long i = 0; i < rounds; i++) {
        pthread_mutex_lock(&lock);
        shared_counter++;
        pthread_mutex_unlock(&lock);
    }
    return arg;
}

static void mutex_contended(long threads_wanted, long count)
{
    pthread_t *threads = calloc((size_t)threads_wanted, sizeof *threads);
    rounds = count / threads_wanted;
    pthread_barrier_init(&all_there, NULL, (unsigned)threads_wanted + 1);
    for (long i = 0; i < threads_wanted; i++)
        threads[i] = start(locks, NULL);
    int64_t begin = now();
    pthread_barrier_wait(&all_there);
    for (long i = 0; i < threads_wanted; i++)
        pthread_join(threads[i], NULL);
    say("ns", (double)(now() - begin) / (double)(rounds * threads_wanted));
    if (shared_counter != rounds * threads_wanted)
        fail("the mutex does not exclude", EINVAL);
    free(threads);
}

/* --- hash: threads that only compute (a 64-bit mix over a 1 MiB block each) */

static void *hashes(void *arg)
{
    size_t size = 1 << 17;
    uint64_t *block = malloc(size * 8), h = 0x9e3779b97f4a7c15;
    for (size_t i = 0; i < size; i++)
        block[i] = i * h;
    for (long round = 0; round < rounds; round++)
        for (size_t i = 0; i < size; i++) {
            h ^= block[i];
            h *= 0xff51afd7ed558ccd;
            h ^= h >> 32;
        }
    *(uint64_t *)arg = h;
    free(block);
    return NULL;
}

static void hash(long threads_wanted, long count)
{
    pthread_t threads[64];
    uint64_t results[64];
    rounds = count;
    int64_t begin = now();
    for (long i = 0; i < threads_wanted && i < 64; i++)
        threads[i] = start(hashes, &results[i]);
    for (long i = 0; i < threads_wanted && i < 64; i++)
        pthread_join(threads[i], NULL);
    say("ns", (double)(now() - begin) / (double)count);
}

/* --- loops: single-thread system call loops, in a process that never made a thread, that once did, or that has another, which
 * sleeps: then the kernel counts references to files natively, too, as it always does for our workers */

enum company { ALONE, ONCE, BESIDE };

static void *sleeps(void *arg)
{
    for (;;)
        pause();
    return arg;
}

static void loops(enum company company, long count)
{
    static const char *const names[] = {"getppid", "read", "write", "clock"};
    int zero = open("/dev/zero", O_RDONLY), null = open("/dev/null", O_WRONLY);
    char byte = 0;
    if (company != ALONE)
        pthread_join(start(nothing, NULL), NULL);
    if (company == BESIDE)
        start(sleeps, NULL);
    for (int loop = 0; loop < 4; loop++) {
        double best = 1e18;
        for (int part = 0; part < 5; part++) {
            int64_t begin = now();
            for (long i = 0; i < count / 5; i++)
                switch (loop) {
                case 0:
                    getppid();
                    break;
                case 1:
                    if (read(zero, &byte, 1) != 1)
                        fail("read", errno);
                    break;
                case 2:
                    if (write(null, &byte, 1) != 1)
                        fail("write", errno);
                    break;
                default:
                    clock();
                    break;
                }
            double ns = (double)(now() - begin) / (double)(count / 5);
            best = ns < best ? ns : best;
        }
        say(names[loop], best);
    }
}

/* --- activate: the first pthread_create of a process against the second */

static void activate(int hold)
{
    char byte;
    int64_t begin = now();
    pthread_t first = start(nothing, NULL);
    int64_t middle = now();
    pthread_join(first, NULL);
    int64_t again = now();
    pthread_t second = start(nothing, NULL);
    int64_t end = now();
    pthread_join(second, NULL);
    say("first_ns", (double)(middle - begin));
    say("second_ns", (double)(end - again));
    if (hold && read(0, &byte, 1) < 0)
        fail("read", errno);
}

/* --- load LIB COUNT: start `true` with and without the library, in turn; medians */

extern char **environ;

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double spawn_once(char *const program[], char *const environment[])
{
    pid_t pid;
    int status;
    int64_t begin = now();
    check(posix_spawn(&pid, program[0], NULL, NULL, program, environment), "posix_spawn");
    if (waitpid(pid, &status, 0) != pid || status != 0)
        fail("the started program did not end well", ECHILD);
    return (double)(now() - begin);
}

static void load(const char *lib, long count, char *program)
{
    char preload[4096], word[] = "true";
    char *with[3] = {preload, NULL, NULL}, *without[2] = {NULL, NULL},
         *args[] = {program, word, NULL};
    double *a = calloc((size_t)count, sizeof *a), *b = calloc((size_t)count, sizeof *b);
    snprintf(preload, sizeof preload, "LD_PRELOAD=%s", lib);
    for (long i = 0; i < count; i++) {
        a[i] = spawn_once(args, without);
        b[i] = spawn_once(args, with);
    }
    qsort(a, (size_t)count, sizeof *a, compare);
    qsort(b, (size_t)count, sizeof *b, compare);
    say("native_ns", a[count / 2]);
    say("preloaded_ns", b[count / 2]);
    free(a);
    free(b);
}

/* --- parked N: memory of N threads parked in read, by kind; exist N: how many can be made */

static double field(const char *path, const char *name)
{
    char line[256];
    double value = 0;
    FILE *f = fopen(path, "r");
    size_t length = strlen(name);
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, name, length) == 0 && line[length] == ':')
            value = strtod(line + length + 1, NULL);
    if (f)
        fclose(f);
    return value;
}

static const struct {
    const char *path, *name, *key;
} memory_fields[] = {
    {"/proc/self/status", "RssAnon", "user_kb"},
    {"/proc/self/status", "RssShmem", "shmem_kb"},
    {"/proc/self/status", "VmPTE", "pagetables_kb"},
    {"/proc/meminfo", "KernelStack", "stacks_kb"},
    {"/proc/meminfo", "Slab", "slab_kb"},
    {"/proc/meminfo", "MemAvailable", "available_kb"},
    {"/proc/self/status", "Threads", "kernel_threads"},
};
#define MEMORY_FIELDS (sizeof memory_fields / sizeof *memory_fields)

static void memory_now(double *values)
{
    for (size_t i = 0; i < MEMORY_FIELDS; i++)
        values[i] = field(memory_fields[i].path, memory_fields[i].name);
}

static sem_t arrived;

static void *parks(void *arg)
{
    char byte;
    sem_post(&arrived);
    if (read((int)(intptr_t)arg, &byte, 1) < 0)
        fail("read", errno);
    return NULL;
}

static int (*make_ends(long count))[2]
{
    struct rlimit files = {(rlim_t)(2 * count + 1000), (rlim_t)(2 * count + 1000)}, old;
    getrlimit(RLIMIT_NOFILE, &old);
    if (old.rlim_max > files.rlim_max)
        files.rlim_max = old.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0)
        fail("raising RLIMIT_NOFILE (needs root, or a hard limit of 2 per thread)", errno);
    int(*ends)[2] = calloc((size_t)count, sizeof *ends);
    for (long i = 0; i < count; i++)
        check(socketpair(AF_UNIX, SOCK_STREAM, 0, ends[i]), "socketpair");
    return ends;
}

static void parked(long count)
{
    double before[MEMORY_FIELDS], after[MEMORY_FIELDS];
    long pairs = (count + 1) / 2; /* a thread reads at either end: one descriptor each */
    int(*ends)[2] = make_ends(pairs);
    pthread_t *threads = calloc((size_t)count, sizeof *threads);
    memset(threads, 1, (size_t)count * sizeof *threads); /* its pages are not the threads' */
    sem_init(&arrived, 0, 0);
    pthread_join(start(nothing, NULL), NULL); /* what activation takes is not per thread */
    memory_now(before);
    for (long i = 0; i < count; i++)
        threads[i] = start(parks, (void *)(intptr_t)ends[i / 2][i % 2]);
    for (long i = 0; i < count; i++)
        sem_wait(&arrived);
    usleep(300000);
    memory_now(after);
    double sum = 0;
    for (size_t i = 0; i < MEMORY_FIELDS; i++) {
        double change = after[i] - before[i];
        say(memory_fields[i].key, change);
        if (i < 5)
            sum += change;
    }
    say("kb_per_thread", sum / (double)count);
    for (long i = 0; i < pairs; i++)
        shutdown(ends[i][0], SHUT_RDWR);
    for (long i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

static sem_t hold_all;

static void *holds(void *arg)
{
    sem_post(&arrived);
    sem_wait(&hold_all);
    return arg;
}

static void exist(long count)
{
    pthread_t *threads = calloc((size_t)count, sizeof *threads);
    long made = 0;
    int error = 0;
    sem_init(&arrived, 0, 0);
    sem_init(&hold_all, 0, 0);
    int64_t begin = now();
    while (made < count && (error = pthread_create(&threads[made], NULL, holds, NULL)) == 0)
        made++;
    for (long i = 0; i < made; i++)
        sem_wait(&arrived);
    say("made", (double)made);
    say("error", error);
    say("seconds", (double)(now() - begin) / 1e9);
    for (long i = 0; i < made; i++)
        sem_post(&hold_all);
    for (long i = 0; i < made; i++)
        pthread_join(threads[i], NULL);
}

/* --- polls N MS: N threads in poll, each with a socket of its own and a timeout of a second, again
 * and again for MS; the CPU time of the process in it */

static atomic_int polls_stop;

static void *polls_on(void *arg)
{
    struct pollfd p = {(int)(intptr_t)arg, POLLIN, 0};
    sem_post(&arrived);
    while (!polls_stop)
        if (poll(&p, 1, 1000) != 0)
            break;
    return NULL;
}

static double cpu_seconds(void)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static void polls(long count, long ms)
{
    long pairs = (count + 1) / 2;
    int(*ends)[2] = make_ends(pairs);
    pthread_t *threads = calloc((size_t)count, sizeof *threads);
    sem_init(&arrived, 0, 0);
    for (long i = 0; i < count; i++)
        threads[i] = start(polls_on, (void *)(intptr_t)ends[i / 2][i % 2]);
    for (long i = 0; i < count; i++)
        sem_wait(&arrived);
    usleep(200000);
    double cpu = cpu_seconds();
    int64_t begin = now();
    usleep((useconds_t)ms * 1000);
    say("cpu_ms_per_s", (cpu_seconds() - cpu) * 1e3 / ((double)(now() - begin) / 1e9));
    polls_stop = 1;
    for (long i = 0; i < pairs; i++)
        shutdown(ends[i][0], SHUT_RDWR);
    for (long i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    long a = argc > 2 ? atol(argv[2]) : 0, b = argc > 3 ? atol(argv[3]) : 0;
    if (strcmp(name, "true") == 0)
        return 0;
    if (strcmp(name, "create_join") == 0)
        create_join(a);
    else if (strcmp(name, "wake_sem") == 0)
        wake(sem_turns, a);
    else if (strcmp(name, "wake_cond") == 0)
        wake(cond_turns, a);
    else if (strcmp(name, "cond_queue") == 0)
        cond_queue(a, b);
    else if (strcmp(name, "mutex_contended") == 0)
        mutex_contended(a, b);
    else if (strcmp(name, "hash") == 0)
        hash(a, b);
    else if (strcmp(name, "loops_single") == 0)
        loops(ALONE, a);
    else if (strcmp(name, "loops_activated") == 0)
        loops(ONCE, a);
    else if (strcmp(name, "loops_beside") == 0)
        loops(BESIDE, a);
    else if (strcmp(name, "activate") == 0)
        activate((int)a);
    else if (strcmp(name, "load") == 0 && argc > 4)
        load(argv[2], b, argv[4]);
    else if (strcmp(name, "parked") == 0)
        parked(a);
    else if (strcmp(name, "exist") == 0)
        exist(a);
    else if (strcmp(name, "polls") == 0)
        polls(a, b);
    else {
        fprintf(stderr, "bench: unknown measurement '%s'\n", name);
        return 2;
    }
    return 0;
}
