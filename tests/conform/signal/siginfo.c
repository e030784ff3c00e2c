/* SA_SIGINFO: si_signo, si_code, si_pid, si_uid, si_value for kill, tgkill and sigqueue; the
 * ucontext's mask is the interrupted one. */
#include "../t.h"
#include <ucontext.h>

static volatile siginfo_t seen;
static volatile sig_atomic_t ran, masked;

static void handler(int number, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    CHECK_EQ(number, info->si_signo);
    memcpy((void *)(uintptr_t)&seen, info, sizeof *info);
    masked = sigismember(&uc->uc_sigmask, SIGWINCH);
    ran = 1;
}

static void *body(void *arg)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGWINCH);
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    CHECK_OK(pthread_sigmask(SIG_UNBLOCK, &set, NULL));

    ran = 0;
    CHECK_OK(kill(getpid(), SIGUSR1));
    while (!ran)
        sched_yield();
    CHECK_EQ(seen.si_code, SI_USER);
    CHECK_EQ(seen.si_pid, getpid());
    CHECK_EQ(seen.si_uid, getuid());
    CHECK_EQ(masked, 1);

    ran = 0;
    CHECK_OK(raise(SIGUSR1));
    CHECK_EQ(ran, 1);
    CHECK_EQ(seen.si_code, SI_TKILL);
    CHECK_EQ(seen.si_pid, getpid());

    ran = 0;
    union sigval value = {.sival_int = 4711};
    CHECK_OK(sigqueue(getpid(), SIGUSR1, value));
    while (!ran)
        sched_yield();
    CHECK_EQ(seen.si_code, SI_QUEUE);
    CHECK_EQ(seen.si_value.sival_int, 4711);

    ran = 0;
    CHECK_OK(pthread_sigqueue(pthread_self(), SIGUSR1, value));
    CHECK_EQ(ran, 1);
    CHECK_EQ(seen.si_code, SI_QUEUE);
    CHECK_EQ(seen.si_value.sival_int, 4711);
    return arg;
}

int main(void)
{
    sigset_t set;
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART}, old;
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    CHECK_OK(sigaction(SIGUSR1, NULL, &old));
    CHECK(old.sa_sigaction == handler); /* what was set is what is told */
    CHECK_EQ(old.sa_flags & (SA_SIGINFO | SA_RESTART), SA_SIGINFO | SA_RESTART);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
    t_join(t_go(body, NULL));
    CHECK_OK(sigaction(SIGUSR1, NULL, &old));
    CHECK(old.sa_sigaction == handler);
    CHECK_EQ(sigismember(&old.sa_mask, SIGUSR2), 0);
    return 0;
}
