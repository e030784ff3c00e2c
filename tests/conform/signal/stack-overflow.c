/* A thread's stack overflows while it makes system calls: its handler, on a stack of its own, leaves by siglongjmp, time and
 * again. */
#include "../t.h"
#include <setjmp.h>

enum { ALTERNATE = 64 * 1024 };
static sigjmp_buf before;
static volatile int hits, endless = 1;

static void handler(int number)
{
    (void)number;
    hits++;
    siglongjmp(before, 1);
}

__attribute__((noinline)) static int recurses(int n)
{
    volatile char frame[64];
    frame[0] = (char)n;
    CHECK_ERR(write(-1, "", 0), EBADF);
    return endless ? recurses(n + 1) + frame[0] : 0;
}

static void *overflows(void *arg)
{
    stack_t alternate = {.ss_sp = malloc(ALTERNATE), .ss_size = ALTERNATE};
    CHECK_OK(sigaltstack(&alternate, NULL));
    for (volatile int i = 0; i < 20; i++)
        if (!sigsetjmp(before, 1))
            recurses(0);
    CHECK_EQ(hits, 20);
    return arg;
}

int main(void)
{
    pthread_attr_t attr;
    pthread_t thread;
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
    CHECK_OK(sigaction(SIGSEGV, &action, NULL));
    CHECK_OK(pthread_attr_init(&attr));
    CHECK_OK(pthread_attr_setstacksize(&attr, 128 * 1024));
    CHECK_OK(pthread_create(&thread, &attr, overflows, NULL));
    t_join(thread);
    return 0;
}
