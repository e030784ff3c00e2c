/* Alternate stacks are per thread: SA_ONSTACK handlers run on the thread's own one, also after a
 * stack overflow. */
#include "../t.h"
#include <setjmp.h>

static __thread char *low;
static __thread volatile int on_it;
static __thread sigjmp_buf back;

static void handler(int number)
{
    char here;
    on_it = &here > low && &here < low + 65536;
    if (number == SIGSEGV)
        siglongjmp(back, 1);
}

static volatile int depth;
static __attribute__((noinline)) int recurse(volatile char *last)
{
    volatile char frame[4096];
    frame[0] = last[0];
    if (++depth < 0)
        return 0;
    int below = recurse(frame);
    return below + frame[0];
}

static void *body(void *arg)
{
    low = malloc(65536);
    stack_t stack = {.ss_sp = low, .ss_size = 65536}, old;
    CHECK_OK(sigaltstack(&stack, &old));
    CHECK_EQ(old.ss_flags, SS_DISABLE);
    for (int i = 0; i < 10; i++) {
        on_it = 0;
        CHECK_OK(raise(SIGUSR1));
        CHECK_EQ(on_it, 1);
        sched_yield();
        CHECK_OK(sigaltstack(NULL, &old));
        CHECK(old.ss_sp == low);
    }
    on_it = 0;
    if (arg && sigsetjmp(back, 1) == 0) {
        char c = 0;
        recurse(&c);
    }
    if (arg)
        CHECK_EQ(on_it, 1);
    return NULL;
}

int main(void)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    CHECK_OK(sigaction(SIGSEGV, &action, NULL));
    pthread_attr_t attr;
    pthread_t threads[8];
    CHECK_OK(pthread_attr_init(&attr));
    CHECK_OK(pthread_attr_setstacksize(&attr, 256 << 10));
    for (int i = 0; i < 8; i++)
        CHECK_OK(pthread_create(&threads[i], &attr, body, i < 4 ? &attr : NULL));
    for (int i = 0; i < 8; i++)
        t_join(threads[i]);
    return 0;
}
