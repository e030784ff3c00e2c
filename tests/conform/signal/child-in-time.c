/* When waitpid has returned, its child's SIGCHLD was sent: the handler has run in the only thread that takes it, or the signal is
 * pending where all block it. */
#include "../t.h"

enum { ROUNDS = 100 };
static volatile int hits;
static sigset_t set;

static void handler(int number)
{
    (void)number;
    hits++;
}

static void ends_child(void)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        _exit(3);
    t_expect_exit(child, 3);
}

static void *handles(void *arg)
{
    CHECK_OK(pthread_sigmask(SIG_UNBLOCK, &set, NULL));
    for (int i = 0; i < ROUNDS; i++) {
        hits = 0;
        ends_child();
        CHECK_EQ(hits, 1);
    }
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
    return arg;
}

static void *takes(void *arg)
{
    const struct timespec none = {0, 0};
    sigset_t pending;
    for (int i = 0; i < ROUNDS; i++) {
        ends_child();
        if (i % 2) {
            CHECK_OK(sigpending(&pending));
            CHECK(sigismember(&pending, SIGCHLD));
        }
        CHECK_EQ(sigtimedwait(&set, NULL, &none), SIGCHLD);
    }
    return arg;
}

int main(void)
{
    void *(*const bodies[])(void *) = {handles, takes};
    CHECK(signal(SIGCHLD, handler) != SIG_ERR);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
    for (int i = 0; i < 2; i++) {
        t_join(t_go(bodies[i], NULL));
        bodies[i](NULL);
    }
    return 0;
}
