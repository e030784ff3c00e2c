/* A signal for the process goes to main while main does not block it, even when another thread that does not block it
 * either sends it: by this programs get their main loop out of a wait. */
#include "../t.h"

static pthread_t main_thread;
static int ends[2];
static _Atomic int in_main, in_others, waiting;

static void handler(int number)
{
    (void)number;
    if (pthread_equal(pthread_self(), main_thread))
        in_main++;
    else
        in_others++;
    CHECK_EQ(write(ends[1], "", 1), 1);
}

static void *sends(void *arg)
{
    while (!waiting)
        sched_yield();
    t_settle();
    union sigval value = {.sival_int = 1};
    if (arg)
        CHECK_OK(sigqueue(getpid(), SIGUSR1, value));
    else
        CHECK_OK(kill(getpid(), SIGUSR1));
    return arg;
}

int main(void)
{
    struct sigaction action = {.sa_handler = handler};
    main_thread = pthread_self();
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    CHECK_OK(pipe(ends));
    for (int i = 0; i < 20; i++) {
        char byte;
        ssize_t got;
        waiting = 0;
        pthread_t sender = t_go(sends, i % 2 ? &waiting : NULL);
        waiting = 1;
        while ((got = read(ends[0], &byte, 1)) < 0)
            CHECK_EQ(errno, EINTR);
        CHECK_EQ(got, 1);
        t_join(sender);
        CHECK_EQ(in_main, i + 1);
        CHECK_EQ(in_others, 0);
    }
    return 0;
}
