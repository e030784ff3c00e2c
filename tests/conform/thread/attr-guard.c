/* The guard is there: a write below the stack is SIGSEGV; a guard of 0 is allowed; a recursion
 * without end dies. */
#include "../t.h"

static int guard_bytes;

static void *below(void *arg)
{
    size_t size, guard;
    void *low;
    pthread_attr_t attr;
    (void)arg;
    CHECK_OK(pthread_getattr_np(pthread_self(), &attr));
    CHECK_OK(pthread_attr_getstack(&attr, &low, &size));
    CHECK_OK(pthread_attr_getguardsize(&attr, &guard));
    CHECK_EQ(guard, guard_bytes);
    *(volatile char *)low = 1; /* the lowest byte is usable */
    if (guard > 0)
        ((volatile char *)low)[-1] = 1;
    return NULL;
}

static volatile int depth;
static __attribute__((noinline)) int recurse(volatile char *last)
{
    volatile char frame[1024];
    frame[0] = last[0];
    if (++depth < 0)
        return 0;
    int below_it = recurse(frame);
    return below_it + frame[0];
}

static void *endless(void *arg)
{
    char c = 0;
    recurse(&c);
    return arg;
}

static void child(int guard, void *(*body)(void *))
{
    pthread_attr_t attr;
    pthread_t thread;
    t_bound();
    guard_bytes = guard;
    CHECK_OK(pthread_attr_init(&attr));
    CHECK_OK(pthread_attr_setstacksize(&attr, 128 << 10));
    CHECK_OK(pthread_attr_setguardsize(&attr, (size_t)guard));
    CHECK_OK(pthread_create(&thread, &attr, body, NULL));
    t_join(thread);
    _exit(0);
}

int main(void)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    static const int guards[] = {0, 4096, 65536};
    for (int i = 0; i < 3; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0)
            child(guards[i], below);
        if (guards[i])
            t_expect_signal(pid, SIGSEGV);
        else
            t_expect_exit(pid, 0);
    }
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        child(4096, endless);
    t_expect_signal(pid, SIGSEGV);
    return 0;
}
