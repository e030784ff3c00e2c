/* After a signalfd is closed its signals do what they did before: handlers, sigwait, default actions. */
#include <sys/signalfd.h>

#include "../t.h"

static volatile sig_atomic_t handled;
static sem_t ready;

static void count(int sig)
{
    (void)sig;
    handled++;
}

static sigset_t set_of(int sig)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, sig);
    return set;
}

static void open_and_close(int sig)
{
    sigset_t set = set_of(sig), old;
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &set, &old));
    int fd = signalfd(-1, &set, 0);
    CHECK(fd >= 0);
    CHECK_OK(kill(getpid(), sig));
    struct signalfd_siginfo info;
    CHECK_EQ(read(fd, &info, sizeof info), sizeof info);
    CHECK_OK(close(fd));
    CHECK_OK(pthread_sigmask(SIG_SETMASK, &old, NULL));
}

static void from_outside(int sig)
{
    pid_t self = getpid(), child = fork();
    if (child == 0)
        _exit(kill(self, sig) != 0);
    t_expect_exit(child, 0);
}

static void *takes(void *arg)
{
    sigset_t set = set_of(SIGUSR2);
    int sig = 0;
    CHECK_OK(sem_post(&ready));
    for (int i = 0; i < 3; i++) {
        CHECK_OK(sigwait(&set, &sig));
        CHECK_EQ(sig, SIGUSR2);
        CHECK_OK(sem_post(&ready));
    }
    return arg;
}

static void *idles(void *arg)
{
    sigset_t all;
    sigfillset(&all);
    CHECK_OK(pthread_sigmask(SIG_SETMASK, &all, NULL));
    CHECK_OK(sem_post(&ready));
    CHECK_OK(sem_wait(arg));
    return arg;
}

int main(void)
{
    struct sigaction action = {.sa_handler = count};
    struct timespec tick = {0, MSEC};
    sem_t end;
    CHECK_OK(sem_init(&ready, 0, 0));
    CHECK_OK(sem_init(&end, 0, 0));
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    sigset_t usr2 = set_of(SIGUSR2);
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &usr2, NULL));
    pthread_t other = t_go(idles, &end);
    CHECK_OK(sem_wait(&ready));

    /* A handler. */
    open_and_close(SIGUSR1);
    CHECK_OK(kill(getpid(), SIGUSR1));
    CHECK_EQ(handled, 1);
    from_outside(SIGUSR1);
    while (handled < 2)
        nanosleep(&tick, NULL);
    CHECK_OK(raise(SIGUSR1));
    CHECK_EQ(handled, 3);

    /* sigwait. */
    open_and_close(SIGUSR2);
    pthread_t taker = t_go(takes, NULL);
    CHECK_OK(sem_wait(&ready));
    for (int i = 0; i < 3; i++) {
        if (i == 0)
            from_outside(SIGUSR2);
        else if (i == 1)
            CHECK_OK(kill(getpid(), SIGUSR2));
        else
            CHECK_OK(pthread_kill(taker, SIGUSR2));
        CHECK_OK(sem_wait(&ready));
    }
    t_join(taker);

    /* The default action; in a child of its own, with threads. */
    int ends[2];
    CHECK_OK(pipe(ends));
    pid_t child = fork();
    if (child == 0) {
        t_bound();
        sem_t never;
        CHECK_OK(sem_init(&never, 0, 0));
        t_go(idles, &never);
        CHECK_OK(sem_wait(&ready));
        open_and_close(SIGTERM);
        CHECK_EQ(write(ends[1], "x", 1), 1);
        for (;;)
            pause();
    }
    CHECK_OK(close(ends[1]));
    char c;
    CHECK_EQ(read(ends[0], &c, 1), 1);
    CHECK_OK(kill(child, SIGTERM));
    t_expect_signal(child, SIGTERM);

    CHECK_OK(sem_post(&end));
    t_join(other);
    return 0;
}
