/* main's return ends the process with its value while other threads wait, sleep, compute and sit in
 * the kernel. */
#include "../t.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *waits(void *arg)
{
    pthread_mutex_lock(&lock);
    return arg;
}

static void *reads(void *arg)
{
    char byte;
    CHECK(read(((int *)arg)[0], &byte, 1) >= 0);
    return arg;
}

static void *spins(void *arg)
{
    for (;;)
        __asm__ volatile("" ::: "memory");
    return arg;
}

static void *sleeps(void *arg)
{
    sleep(1000);
    return arg;
}

int main(void)
{
    for (int i = 0; i < 5; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            static int ends[2], tube[2];
            t_bound();
            t_pair(ends);
            CHECK_OK(pipe(tube));
            pthread_mutex_lock(&lock);
            t_go(waits, NULL);
            t_go(reads, ends);
            t_go(reads, tube);
            t_go(sleeps, NULL);
            t_go(spins, NULL);
            if (i % 2)
                t_settle();
            return 40 + i;
        }
        t_expect_exit(pid, 40 + i);
    }
    return 0;
}
