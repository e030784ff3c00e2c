/* A signal that comes to be ignored is pending no more: for the process, for the thread that ignores it and for others. */
#include "../t.h"

static pthread_barrier_t sent, ignored;
static volatile int hits;
static sigset_t all;

static void handler(int number)
{
    (void)number;
    hits++;
}

static int is_pending(int number)
{
    sigset_t pending;
    CHECK_OK(sigpending(&pending));
    return sigismember(&pending, number);
}

static void meet(pthread_barrier_t *barrier)
{
    CHECK(pthread_barrier_wait(barrier) >= PTHREAD_BARRIER_SERIAL_THREAD);
}

static void *waits(void *arg)
{
    meet(&sent);
    CHECK(is_pending(SIGUSR1));
    CHECK(is_pending(SIGRTMIN));
    meet(&ignored);
    meet(&ignored);
    CHECK(!is_pending(SIGUSR1));
    CHECK(!is_pending(SIGRTMIN));
    CHECK(is_pending(SIGUSR2));
    CHECK_OK(pthread_sigmask(SIG_UNBLOCK, &all, NULL));
    return arg;
}

int main(void)
{
    const int numbers[] = {SIGUSR1, SIGUSR2, SIGRTMIN, SIGCHLD};
    sigemptyset(&all);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        CHECK(signal(numbers[i], handler) != SIG_ERR);
        sigaddset(&all, numbers[i]);
    }
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &all, NULL));
    CHECK_OK(pthread_barrier_init(&sent, NULL, 2));
    CHECK_OK(pthread_barrier_init(&ignored, NULL, 2));
    pthread_t thread = t_go(waits, NULL);
    CHECK_OK(pthread_kill(thread, SIGUSR1));
    CHECK_OK(pthread_kill(thread, SIGUSR2));
    CHECK_OK(pthread_kill(thread, SIGRTMIN));
    CHECK_OK(pthread_kill(thread, SIGRTMIN));
    CHECK_OK(raise(SIGUSR1));
    CHECK_OK(kill(getpid(), SIGRTMIN));
    CHECK_OK(kill(getpid(), SIGCHLD));
    meet(&sent);
    CHECK(is_pending(SIGUSR1) && is_pending(SIGRTMIN) && is_pending(SIGCHLD));
    meet(&ignored);
    CHECK(signal(SIGUSR1, SIG_IGN) != SIG_ERR);
    CHECK(signal(SIGRTMIN, SIG_IGN) != SIG_ERR);
    CHECK(signal(SIGCHLD, SIG_DFL) != SIG_ERR);
    CHECK(!is_pending(SIGUSR1) && !is_pending(SIGRTMIN) && !is_pending(SIGCHLD));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        CHECK(signal(numbers[i], handler) != SIG_ERR);
    CHECK_OK(pthread_sigmask(SIG_UNBLOCK, &all, NULL));
    CHECK_EQ(hits, 0);
    meet(&ignored);
    t_join(thread);
    CHECK_EQ(hits, 1);
    return 0;
}
