/* Threads that take turns between calls which take long without a sleep: half of 1 ms, after some that take more. Prints "done", and ends with its
 * standard input. (HANDOFF_RETAKE=1ms: a time for which others on the machine seldom take the CPU away.) */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 4, ROUNDS = 200, FIRST = 4, MOST = 128 << 20, LONG = 600 * 1000 /* ns */ };

static int zero;
static char *room; /* all write there, nobody looks */
static size_t size = 1 << 18;

static long call(size_t bytes)
{
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    if (read(zero, room, bytes) != (ssize_t)bytes)
        _exit(1);
    clock_gettime(CLOCK_MONOTONIC, &b);
    return (b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec;
}

static void *calls(void *arg)
{
    for (int i = 0; i < FIRST + ROUNDS; i++) {
        call(i < FIRST ? 4 * size : size);
        sched_yield();
    }
    return arg;
}

int main(void)
{
    pthread_t threads[THREADS];
    zero = open("/dev/zero", O_RDONLY);
    room = calloc(1, MOST);
    if (zero < 0 || !room)
        return 1;
    for (long took = 0; took < LONG && size < MOST / 5; size += size / 8) {
        took = call(size);
        for (int i = 0; i < 5; i++) {
            long again = call(size);
            took = again < took ? again : took;
        }
    }
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, calls, NULL) != 0)
            return 1;
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    puts("done");
    fflush(stdout);
    char byte;
    return read(0, &byte, 1) != 0;
}
