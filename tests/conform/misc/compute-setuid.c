/* Threads compute on CPUs that are short, others wake each other: whoever helps meanwhile with that changes its credentials with the
 * process, and a child forked then does without. */
#include "../t.h"
#include "../credentials.h"
#include <sys/wait.h>

enum { COMPUTE = 4, PAIRS = 8 };
static volatile int stop;

static void *computes(void *arg)
{
    volatile unsigned long x = 1;
    while (!stop)
        x = x * 6364136223846793005u + 1;
    return arg;
}

static void *bounces(void *arg)
{
    int *ends = arg;
    char byte;
    while (read(ends[0], &byte, 1) == 1)
        CHECK_EQ(write(ends[0], &byte, 1), 1);
    return NULL;
}

static void *serves(void *arg)
{
    int *ends = arg;
    char byte = 'x';
    while (!stop) {
        CHECK_EQ(write(ends[1], &byte, 1), 1);
        CHECK_EQ(read(ends[1], &byte, 1), 1);
    }
    shutdown(ends[1], SHUT_RDWR);
    return NULL;
}

static void crowd(void (*meanwhile)(void))
{
    pthread_t threads[COMPUTE + 2 * PAIRS];
    int ends[PAIRS][2], n = 0;
    struct timespec t = {0, 200 * MSEC};
    stop = 0;
    for (int i = 0; i < COMPUTE; i++)
        threads[n++] = t_go(computes, NULL);
    for (int i = 0; i < PAIRS; i++) {
        t_pair(ends[i]);
        threads[n++] = t_go(bounces, ends[i]);
        threads[n++] = t_go(serves, ends[i]);
    }
    nanosleep(&t, NULL);
    if (meanwhile)
        meanwhile();
    nanosleep(&t, NULL);
    stop = 1;
    for (int i = 0; i < n; i++)
        t_join(threads[i]);
    for (int i = 0; i < PAIRS; i++) {
        close(ends[i][0]);
        close(ends[i][1]);
    }
}

static void changes(void)
{
    CHECK_OK(setresgid(65534, 65534, 65534));
    CHECK_OK(setresuid(65534, 65534, 65534));
    t_all_run_as(65534);
}

static void forks(void)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        crowd(geteuid() == 0 ? changes : NULL);
        _exit(0);
    }
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
}

int main(void)
{
    crowd(forks);
    if (geteuid() == 0)
        crowd(changes);
    return 0;
}
