/* RLIMIT_SIGPENDING: with no room for a single queued signal those that the kernel merges still come, to threads that compute, sleep or wait; only what
 * would have to be queued is refused. */
#include "../t.h"

static _Atomic int hits[3];
static volatile int stop;
static pthread_t computer, sleeper, waiter;
static int pipefd[2];

static void hit(int number)
{
    (void)number;
    hits[pthread_equal(pthread_self(), computer) ? 0 : pthread_equal(pthread_self(), sleeper) ? 1 : 2]++;
}
static void *computes(void *arg)
{
    while (!stop)
        ;
    return arg;
}
static void *sleeps(void *arg)
{
    struct timespec t = {100, 0};
    while (!stop)
        nanosleep(&t, NULL);
    return arg;
}
static void *waits(void *arg)
{
    char byte;
    while (read(pipefd[0], &byte, 1) < 0)
        CHECK_EQ(errno, EINTR);
    return arg;
}

static void come(pthread_t thread, int i)
{
    for (int n = 0; n < 20; n++) {
        int before = hits[i];
        CHECK_OK(pthread_kill(thread, SIGUSR1));
        while (hits[i] == before)
            sched_yield();
    }
}

int main(void)
{
    struct rlimit none = {0, 0};
    struct sigaction a = {.sa_handler = hit};
    CHECK_OK(setrlimit(RLIMIT_SIGPENDING, &none));
    CHECK_OK(pipe(pipefd));
    CHECK_OK(sigaction(SIGUSR1, &a, NULL));
    computer = t_go(computes, NULL);
    sleeper = t_go(sleeps, NULL);
    waiter = t_go(waits, NULL);
    t_settle();
    come(computer, 0);
    come(sleeper, 1);
    come(waiter, 2);
    int before = hits[0] + hits[1] + hits[2]; /* main, too, is among the last */
    CHECK_OK(kill(getpid(), SIGUSR1));
    while (hits[0] + hits[1] + hits[2] == before)
        sched_yield();
    union sigval value = {.sival_int = 1};
    CHECK_EQ(sigqueue(getpid(), SIGRTMIN, value), -1);
    CHECK_EQ(errno, EAGAIN);
    CHECK_OK(setgid(getgid())); /* by all threads, which are told by signals */
    pid_t child = fork();
    if (child == 0) {
        pthread_kill(pthread_self(), SIGUSR1);
        _exit(7);
    }
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(WEXITSTATUS(status), 7);
    stop = 1;
    CHECK_OK(pthread_kill(sleeper, SIGUSR1));
    CHECK_EQ(write(pipefd[1], "x", 1), 1);
    t_join(computer);
    t_join(sleeper);
    t_join(waiter);
    return 0;
}
