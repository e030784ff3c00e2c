/* A handler with SA_RESETHAND that has run is gone in a child made later too: the next signal there kills. */
#include "../t.h"

static volatile int hits;

static void handler(int number)
{
    (void)number;
    hits++;
}

static void *body(void *arg)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESETHAND}, now;
    hits = 0;
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    CHECK_OK(raise(SIGUSR1));
    CHECK_EQ(hits, 1);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        t_bound();
        CHECK_OK(sigaction(SIGUSR1, NULL, &now));
        CHECK(now.sa_handler == SIG_DFL);
        CHECK_OK(kill(getpid(), SIGUSR1));
        _exit(3);
    }
    t_expect_signal(child, SIGUSR1);
    return arg;
}

int main(void)
{
    t_join(t_go(body, NULL));
    body(NULL);
    return 0;
}
