/* signal(), SIG_IGN and SIG_DFL from threads: the answers are the earlier dispositions, ignoring
 * works at once. */
#include "../t.h"

static volatile sig_atomic_t ran;
static void handler(int number)
{
    ran = number;
}

static void *body(void *arg)
{
    CHECK(signal(SIGUSR1, handler) == SIG_DFL);
    CHECK_OK(raise(SIGUSR1));
    CHECK_EQ(ran, SIGUSR1);
    ran = 0;
    CHECK(signal(SIGUSR1, SIG_IGN) == handler);
    CHECK_OK(raise(SIGUSR1));
    CHECK_OK(kill(getpid(), SIGUSR1));
    CHECK_EQ(ran, 0);
    CHECK(signal(SIGUSR1, handler) == SIG_IGN);
    struct sigaction action = {.sa_handler = handler, .sa_flags = (int)SA_RESETHAND}, old;
    CHECK_OK(sigaction(SIGUSR1, &action, &old));
    CHECK_OK(raise(SIGUSR1));
    CHECK_OK(sigaction(SIGUSR1, NULL, &old));
    CHECK(old.sa_handler == SIG_DFL);
    CHECK_ERR(sigaction(SIGKILL, &action, NULL), EINVAL);
    CHECK_ERR(sigaction(999, &action, NULL), EINVAL);
    CHECK(signal(SIGKILL, handler) == SIG_ERR);
    return arg;
}

int main(void)
{
    body(NULL);
    t_join(t_go(body, NULL));
    return 0;
}
