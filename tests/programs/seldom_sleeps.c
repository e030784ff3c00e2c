/* A thread whose calls of one kind seldom sleep: each tenth open(2) is of a FIFO that nobody has opened yet; another thread opens it a moment
 * later. A third always wants to run. Prints "done", and ends with its standard input. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 100, SHORT = 9, AWAY_NS = 4000000 };

static char dir[] = "/tmp/seldom-sleeps-XXXXXX", fifo[64];
static sem_t asked, answered;
static int over; /* atomic */

static void *opens(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        for (int k = 0; k < SHORT; k++)
            if (open("/", O_WRONLY) >= 0)
                _exit(1);
        sem_post(&asked);
        int fd = open(fifo, O_RDONLY);
        if (fd < 0)
            _exit(1);
        close(fd);
        sem_wait(&answered);
    }
    return arg;
}

static void *answers(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        sem_wait(&asked);
        nanosleep(&(struct timespec){.tv_nsec = AWAY_NS}, NULL);
        int fd = open(fifo, O_WRONLY);
        if (fd < 0)
            _exit(1);
        close(fd);
        sem_post(&answered);
    }
    return arg;
}

static void *runs(void *arg)
{
    while (!__atomic_load_n(&over, __ATOMIC_RELAXED))
        sched_yield();
    return arg;
}

int main(void)
{
    pthread_t threads[3];
    void *(*const what[])(void *) = {opens, answers, runs};
    sem_init(&asked, 0, 0);
    sem_init(&answered, 0, 0);
    if (!mkdtemp(dir) || snprintf(fifo, sizeof fifo, "%s/fifo", dir) < 0)
        return 1;
    int made = mkfifo(fifo, 0600), path = open(fifo, O_PATH);
    unlink(fifo); /* however this ends, nothing stays behind */
    rmdir(dir);
    if (made != 0 || path < 0 || snprintf(fifo, sizeof fifo, "/proc/self/fd/%d", path) < 0)
        return 1;
    for (int i = 0; i < 3; i++)
        if (pthread_create(&threads[i], NULL, what[i], NULL) != 0)
            return 1;
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    __atomic_store_n(&over, 1, __ATOMIC_RELAXED);
    pthread_join(threads[2], NULL);
    puts("done");
    fflush(stdout);
    char byte;
    return read(0, &byte, 1) != 0;
}
