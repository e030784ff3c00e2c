/* sigaltstack(2) in detail: refused from a handler on it, disarmed while a handler runs with SS_AUTODISARM, put back by the
 * return from a handler, not inherited by threads, inherited by fork. */
#include "../t.h"

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1U << 31)
#endif

enum { SIZE = 65536 };
static __thread char *low;
static __thread stack_t other;

static void stays(int sig)
{
    stack_t now;
    (void)sig;
    CHECK_OK(sigaltstack(NULL, &now));
    CHECK_EQ(now.ss_flags, SS_ONSTACK);
    CHECK_ERR(sigaltstack(&other, NULL), EPERM);
}

static void disarmed(int sig)
{
    stack_t now;
    char here;
    (void)sig;
    CHECK(&here > low && &here < low + SIZE);
    CHECK_OK(sigaltstack(NULL, &now));
    CHECK(now.ss_flags & SS_DISABLE);
    CHECK_EQ(now.ss_size, 0);
    CHECK_OK(sigaltstack(&other, NULL));
}

static void off_it(int sig)
{
    (void)sig;
    CHECK_OK(sigaltstack(&other, NULL)); /* until this handler returns */
}

static void sends(int sig, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    CHECK_OK(sigaction(sig, &action, NULL));
    CHECK_OK(pthread_kill(pthread_self(), sig));
}

static void *body(void *arg)
{
    stack_t now, bad;
    CHECK_OK(sigaltstack(NULL, &now));
    CHECK_EQ(now.ss_flags, SS_DISABLE);
    low = malloc(SIZE);
    stack_t stack = {.ss_sp = low, .ss_size = SIZE};
    other = (stack_t){.ss_sp = malloc(SIZE), .ss_size = SIZE};
    bad = stack;
    bad.ss_flags = 4;
    CHECK_ERR(sigaltstack(&bad, NULL), EINVAL);
    bad = stack;
    bad.ss_size = 100;
    CHECK_ERR(sigaltstack(&bad, NULL), ENOMEM);

    CHECK_OK(sigaltstack(&stack, NULL));
    sends(SIGUSR1, stays, SA_ONSTACK);
    sends(SIGUSR1, off_it, 0);
    CHECK_OK(sigaltstack(NULL, &now));
    CHECK(now.ss_sp == low && now.ss_flags == 0);

    stack.ss_flags = (int)SS_AUTODISARM;
    CHECK_OK(sigaltstack(&stack, NULL));
    CHECK_OK(sigaltstack(NULL, &now));
    CHECK_EQ(now.ss_flags, (int)SS_AUTODISARM);
    sends(SIGUSR1, disarmed, SA_ONSTACK);
    CHECK_OK(sigaltstack(NULL, &now));
    CHECK(now.ss_sp == low);
    CHECK_EQ(now.ss_flags, (int)SS_AUTODISARM);
    return arg;
}

int main(void)
{
    /* One after the other: dispositions are the process's. */
    t_join(t_go(body, NULL));
    body(NULL);
    t_join(t_go(body, NULL));
    pid_t child = fork();
    if (child == 0) {
        stack_t now;
        CHECK_OK(sigaltstack(NULL, &now));
        CHECK(now.ss_sp == low);
        _exit(0);
    }
    t_expect_exit(child, 0);
    return 0;
}
