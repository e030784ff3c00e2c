/* Threads that compute on CPUs that are short, beside others that wake each other all the time: what they compute is right, and what one
 * of them calls by itself, from memory made executable at run time, is not interrupted. */
#include "../t.h"
#include "../crowd.h"
#include <stddef.h>

static long (*volatile raw_nanosleep)(long nr, const struct timespec *t, struct timespec *left);

static double series(int n, long double *deep)
{
    double sum = 0;
    *deep = 0;
    for (int i = 1; i < n; i++) {
        sum = sum * 0.999 + 1.0 / i;
        *deep = *deep * 0.9999L + 1.0L / i;
    }
    return sum;
}

static void *computes(void *arg)
{
    long double deep, want_deep;
    double want = series(100000, &want_deep);
    while (!stop) {
        double got = series(100000, &deep);
        CHECK_OK(memcmp(&got, &want, sizeof got));
        CHECK(deep == want_deep);
    }
    return arg;
}

static void *computes_and_calls(void *arg)
{
    long double deep;
    while (!stop) {
        struct timespec t = {0, MSEC};
        series(30000, &deep);
        CHECK_EQ(raw_nanosleep(SYS_nanosleep, &t, NULL), 0);
    }
    return arg;
}

int main(void)
{
    /* mov %rdi,%rax; mov %rsi,%rdi; mov %rdx,%rsi; syscall; ret */
    static const unsigned char code[] = {0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0x48, 0x89, 0xd6, 0x0f, 0x05, 0xc3};
    crowd(computes, computes, NULL);
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    memcpy(page, code, sizeof code);
    CHECK_OK(mprotect(page, 4096, PROT_READ | PROT_EXEC));
    raw_nanosleep = (long (*)(long, const struct timespec *, struct timespec *))page;
    crowd(computes_and_calls, computes, NULL);
    return 0;
}
