/* signalfd shows what every thread blocks: made before and after the first thread, for signals to the process and to a
 * thread, queued in order; and not what some thread takes. */
#include <stdbool.h>
#include <sys/signalfd.h>

#include "../t.h"

static volatile sig_atomic_t handled;
static sem_t go, gone;

static void count(int sig)
{
    (void)sig;
    handled++;
}

static bool readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

static void expect(int fd, int sig, int code, int value)
{
    struct signalfd_siginfo info;
    CHECK_EQ(read(fd, &info, sizeof info), sizeof info);
    CHECK_EQ(info.ssi_signo, sig);
    CHECK_EQ(info.ssi_code, code);
    CHECK_EQ(info.ssi_int, value);
    if (code != SI_KERNEL)
        CHECK_EQ(info.ssi_pid, getpid());
}

static void *reads(void *arg)
{
    int fd = *(int *)arg;
    expect(fd, SIGUSR1, SI_USER, 0);
    expect(fd, SIGUSR1, SI_TKILL, 0);
    return arg;
}

static void *waits(void *arg)
{
    CHECK_OK(sem_post(&go));
    CHECK_OK(sem_wait(&gone));
    return arg;
}

static void all_blocked(int fd, pthread_t other)
{
    sigset_t pending;
    CHECK(!readable(fd));
    CHECK_OK(kill(getpid(), SIGTERM));
    CHECK(readable(fd));
    CHECK_OK(sigpending(&pending));
    CHECK(sigismember(&pending, SIGTERM) == 1);
    CHECK_OK(kill(getpid(), SIGTERM)); /* merged */
    expect(fd, SIGTERM, SI_USER, 0);
    CHECK(!readable(fd));

    CHECK_OK(raise(SIGTERM)); /* to this thread, which reads it */
    CHECK(readable(fd));
    expect(fd, SIGTERM, SI_TKILL, 0);
    (void)other;

    for (int i = 0; i < 3; i++)
        CHECK_OK(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i}));
    for (int i = 0; i < 3; i++)
        expect(fd, SIGRTMIN, SI_QUEUE, i);

    pid_t child = fork();
    if (child == 0)
        _exit(kill(getppid(), SIGUSR2) != 0);
    t_expect_exit(child, 0);
    struct signalfd_siginfo info;
    CHECK_EQ(read(fd, &info, sizeof info), sizeof info);
    CHECK_EQ(info.ssi_signo, SIGUSR2);
    CHECK_EQ(info.ssi_pid, child);
    CHECK(!readable(fd));
}

int main(void)
{
    sigset_t set, usr1;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGRTMIN);
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
    CHECK_OK(sem_init(&go, 0, 0));
    CHECK_OK(sem_init(&gone, 0, 0));
    signal(SIGUSR1, count);

    int early = signalfd(-1, &set, SFD_CLOEXEC);
    CHECK(early >= 0);
    pthread_t one = t_go(waits, NULL);
    CHECK_OK(sem_wait(&go));
    all_blocked(early, one);

    int late = signalfd(-1, &set, SFD_CLOEXEC);
    CHECK(late >= 0);
    CHECK_OK(close(early));
    all_blocked(late, one);

    /* A blocked reader. */
    pthread_t reader = t_go(reads, &late);
    t_settle();
    CHECK_OK(kill(getpid(), SIGUSR1));
    while (readable(late))
        sched_yield();
    CHECK_OK(pthread_kill(reader, SIGUSR1));
    t_join(reader);

    /* Unblocked, it goes to the handler, pending or to come. */
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    CHECK_OK(kill(getpid(), SIGUSR1));
    CHECK(readable(late));
    CHECK_OK(pthread_sigmask(SIG_UNBLOCK, &usr1, NULL));
    CHECK_EQ(handled, 1);
    CHECK(!readable(late));
    CHECK_OK(kill(getpid(), SIGUSR1));
    CHECK_EQ(handled, 2);
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &usr1, NULL));
    CHECK_OK(kill(getpid(), SIGUSR1));
    CHECK_EQ(handled, 2);
    expect(late, SIGUSR1, SI_USER, 0);

    /* One for everything. */
    sigset_t all, before;
    sigfillset(&all);
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &all, &before));
    int every = signalfd(-1, &all, SFD_CLOEXEC);
    CHECK(every >= 0);
    CHECK_OK(kill(getpid(), SIGUSR2));
    CHECK(readable(every));
    expect(every, SIGUSR2, SI_USER, 0);
    CHECK_OK(close(every));
    CHECK_OK(pthread_sigmask(SIG_SETMASK, &before, NULL));

    /* In the child of fork, threaded anew. */
    pid_t child = fork();
    if (child == 0) {
        t_bound();
        pthread_t mine = t_go(waits, NULL);
        CHECK_OK(sem_wait(&go));
        all_blocked(late, mine);
        CHECK_OK(sem_post(&gone));
        t_join(mine);
        _exit(0);
    }
    t_expect_exit(child, 0);
    CHECK_OK(sem_post(&gone));
    t_join(one);
    return 0;
}
