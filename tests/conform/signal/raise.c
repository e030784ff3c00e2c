/* raise and pthread_kill of oneself run the handler in this thread, before they return; sa_mask and
 * the signal are blocked meanwhile. */
#include "../t.h"

static __thread volatile int ran;
static __thread volatile pthread_t ran_in;

static void handler(int number)
{
    sigset_t now;
    ran = number;
    ran_in = pthread_self();
    CHECK_OK(pthread_sigmask(SIG_BLOCK, NULL, &now));
    CHECK_EQ(sigismember(&now, SIGUSR1), 1);
    CHECK_EQ(sigismember(&now, SIGUSR2), 1);
    errno = 9999;
}

static void *body(void *arg)
{
    sigset_t now;
    for (int i = 0; i < 50; i++) {
        ran = 0;
        errno = 0;
        CHECK_OK(raise(SIGUSR1));
        CHECK_EQ(ran, SIGUSR1);
        CHECK(pthread_equal(ran_in, pthread_self()));
        ran = 0;
        CHECK_OK(pthread_kill(pthread_self(), SIGUSR1));
        CHECK_EQ(ran, SIGUSR1);
        ran = 0;
        CHECK_OK((int)syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1));
        CHECK_EQ(ran, SIGUSR1);
        ran = 0;
        CHECK_OK((int)syscall(SYS_tkill, gettid(), SIGUSR1));
        CHECK_EQ(ran, SIGUSR1);
        CHECK_OK(pthread_sigmask(SIG_BLOCK, NULL, &now));
        CHECK_EQ(sigismember(&now, SIGUSR1), 0);
        CHECK_EQ(sigismember(&now, SIGUSR2), 0);
    }
    return arg;
}

int main(void)
{
    pthread_t threads[10];
    struct sigaction action = {.sa_handler = handler};
    sigaddset(&action.sa_mask, SIGUSR2);
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    body(NULL);
    for (int i = 0; i < 10; i++)
        threads[i] = t_go(body, NULL);
    for (int i = 0; i < 10; i++)
        t_join(threads[i]);
    CHECK_EQ(pthread_kill(pthread_self(), 0), 0);
    CHECK_EQ(pthread_kill(pthread_self(), 999), EINVAL);
    CHECK_ERR(syscall(SYS_tgkill, getpid(), 0x3ffffff0, SIGUSR1), ESRCH);
    CHECK_ERR(syscall(SYS_tgkill, -1, gettid(), SIGUSR1), EINVAL);
    return 0;
}
