/* The child of a fork has its thread's timer slack, current and default, its name and its alternate signal stack. */
#include "../t.h"
#include <sys/prctl.h>

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1U << 31)
#endif

static void *body(void *arg)
{
    static char stacks[2][65536];
    intptr_t thread = (intptr_t)arg;
    stack_t alternate = {.ss_sp = stacks[thread], .ss_size = sizeof stacks[0]}, now;
    char name[17] = "";
    int slack = prctl(PR_GET_TIMERSLACK);
    for (int i = 0; i < 2; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            t_bound();
            CHECK_EQ(prctl(PR_GET_TIMERSLACK), slack);
            if (i == 1) {
                CHECK_OK(prctl(PR_GET_NAME, name));
                CHECK_EQ(strcmp(name, thread ? "a thread" : "the first"), 0);
                CHECK_OK(sigaltstack(NULL, &now));
                CHECK(now.ss_sp == alternate.ss_sp && now.ss_size == alternate.ss_size);
                CHECK_EQ(now.ss_flags, alternate.ss_flags);
            }
            CHECK_OK(prctl(PR_SET_TIMERSLACK, 1));
            CHECK_OK(prctl(PR_SET_TIMERSLACK, 0));
            CHECK_EQ(prctl(PR_GET_TIMERSLACK), slack);
            _exit(3);
        }
        t_expect_exit(child, 3);
        if (i == 0) {
            alternate.ss_flags = thread ? 0 : (int)SS_AUTODISARM;
            CHECK_OK(sigaltstack(&alternate, NULL));
            CHECK_OK(pthread_setname_np(pthread_self(), thread ? "a thread" : "the first"));
            slack = thread ? 12345 : 23456;
            CHECK_OK(prctl(PR_SET_TIMERSLACK, slack));
        }
    }
    return arg;
}

int main(void)
{
    t_join(t_go(body, (void *)1));
    body(NULL);
    return 0;
}
