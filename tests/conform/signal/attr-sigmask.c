/* pthread_attr_setsigmask_np gives the new thread its mask. */
#include "../t.h"

static void *body(void *arg)
{
    sigset_t now;
    CHECK_OK(pthread_sigmask(SIG_BLOCK, NULL, &now));
    CHECK_EQ(sigismember(&now, SIGUSR1), 0);
    CHECK_EQ(sigismember(&now, SIGUSR2), 1);
    return arg;
}

int main(void)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    CHECK_OK(pthread_sigmask(SIG_SETMASK, &set, NULL));
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    CHECK_OK(pthread_attr_init(&attr));
    CHECK_OK(pthread_attr_setsigmask_np(&attr, &set));
    CHECK_OK(pthread_create(&thread, &attr, body, NULL));
    t_join(thread);
    return 0;
}
