/* pselect and ppoll without waiting, with a mask that lets a pending signal in: how programs take what is pending. The handler runs, and
 * the call is EINTR; but what is ready goes first. */
#include "../t.h"

static volatile int handled;

static void on_signal(int number)
{
    (void)number;
    handled++;
}

static void *takes(void *arg)
{
    static const struct timespec zero;
    sigset_t blocked, open;
    int ends[2];
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &blocked, &open));
    for (int i = 0; i < 20; i++) {
        handled = 0;
        CHECK_OK(raise(SIGUSR1));
        CHECK_ERR(pselect(0, NULL, NULL, NULL, &zero, &open), EINTR);
        CHECK_EQ(handled, 1);
        CHECK_EQ(pselect(0, NULL, NULL, NULL, &zero, &open), 0);
        CHECK_OK(raise(SIGUSR1));
        CHECK_ERR(ppoll(NULL, 0, &zero, &open), EINTR);
        CHECK_EQ(handled, 2);
        CHECK_EQ(ppoll(NULL, 0, &zero, &open), 0);
    }
    t_pair(ends);
    CHECK_EQ(write(ends[1], "x", 1), 1);
    struct pollfd p = {ends[0], POLLIN, 0};
    CHECK_OK(raise(SIGUSR1));
    CHECK_EQ(ppoll(&p, 1, &zero, &open), 1);
    CHECK_OK(pthread_sigmask(SIG_SETMASK, &open, NULL));
    CHECK_EQ(handled, 3);
    return arg;
}

int main(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    t_join(t_go(takes, NULL));
    takes(NULL);
    return 0;
}
