/* What sigaction said before the process had threads it says afterwards: handlers, ignored ones, and the flags and masks of those that are the default. */
#include "../t.h"

enum { DEFAULT = SIGUSR1, IGNORED = SIGUSR2, HANDLED = SIGHUP, REAL_TIME = 40, UNTOUCHED = SIGTERM };

static void handler(int number)
{
    (void)number;
}

static void *nothing(void *arg)
{
    return arg;
}

static void set(int number, void (*how)(int), int flags, int masked)
{
    struct sigaction action = {.sa_handler = how, .sa_flags = flags};
    sigaddset(&action.sa_mask, masked);
    CHECK_OK(sigaction(number, &action, NULL));
}

static void expect(int number, void (*how)(int), int flags, int masked)
{
    struct sigaction action;
    CHECK_OK(sigaction(number, NULL, &action));
    CHECK(action.sa_handler == how);
    CHECK(((int)action.sa_flags & (int)(SA_RESTART | SA_NODEFER | SA_NOCLDWAIT | SA_NOCLDSTOP | SA_ONSTACK | SA_RESETHAND)) == flags);
    CHECK(sigismember(&action.sa_mask, SIGALRM) == (masked == SIGALRM));
    CHECK(sigismember(&action.sa_mask, SIGWINCH) == (masked == SIGWINCH));
}

static void expect_all(void)
{
    expect(DEFAULT, SIG_DFL, SA_RESTART, SIGALRM);
    expect(IGNORED, SIG_IGN, SA_NODEFER, SIGWINCH);
    expect(HANDLED, handler, SA_RESTART | SA_ONSTACK, SIGALRM);
    expect(REAL_TIME, SIG_DFL, SA_RESETHAND, SIGWINCH);
    expect(SIGCHLD, SIG_DFL, SA_NOCLDSTOP, SIGALRM);
    expect(UNTOUCHED, SIG_DFL, 0, 0);
}

int main(void)
{
    pthread_t thread;
    set(DEFAULT, SIG_DFL, SA_RESTART, SIGALRM);
    set(IGNORED, SIG_IGN, SA_NODEFER, SIGWINCH);
    set(HANDLED, handler, SA_RESTART | SA_ONSTACK, SIGALRM);
    set(REAL_TIME, SIG_DFL, SA_RESETHAND, SIGWINCH);
    set(SIGCHLD, SIG_DFL, SA_NOCLDSTOP, SIGALRM);
    expect_all();
    CHECK_OK(pthread_create(&thread, NULL, nothing, NULL));
    CHECK_OK(pthread_join(thread, NULL));
    expect_all();
    pid_t child = fork(); /* activated anew */
    CHECK(child >= 0);
    if (child == 0) {
        CHECK_OK(pthread_create(&thread, NULL, nothing, NULL));
        CHECK_OK(pthread_join(thread, NULL));
        expect_all();
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    return 0;
}
