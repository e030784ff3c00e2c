/* A thread whose exec fails keeps what is pending for it: no other thread takes it, and it does once it blocks it no more. */
#include "../t.h"

static volatile int handled;
static volatile pthread_t handled_by;
static const char *const paths[] = {"/nonexistent/program", "/", "/dev/null"};
static const int errors[] = {ENOENT, EACCES, EACCES};

static void handler(int number)
{
    (void)number;
    handled++;
    handled_by = pthread_self();
}

static void *execs(void *arg)
{
    sigset_t set, pending;
    char *const argv[] = {"program", NULL};
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    for (int i = 0; i < 3; i++) {
        CHECK_OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
        handled = 0;
        CHECK_OK(raise(SIGUSR1));
        CHECK_ERR(execv(paths[i], argv), errors[i]);
        t_settle();
        CHECK_OK(sigpending(&pending));
        CHECK(sigismember(&pending, SIGUSR1));
        CHECK_EQ(handled, 0);
        CHECK_OK(pthread_sigmask(SIG_UNBLOCK, &set, NULL));
        CHECK_EQ(handled, 1);
        CHECK(pthread_equal(handled_by, pthread_self()));
    }
    return arg;
}

int main(void)
{
    CHECK(signal(SIGUSR1, handler) != SIG_ERR);
    t_join(t_go(execs, NULL));
    return 0;
}
