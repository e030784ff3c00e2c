/* shim/base: format() without libc, and the lock under kernel threads. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include "shim/base/atomic.h"
#include "shim/base/base.h"
#include "shim/base/lock.h"

static char buf[128];

#define SAYS(text, ...)                                                                            \
    do {                                                                                           \
        size_t n_ = format(buf, sizeof buf, __VA_ARGS__);                                          \
        cr_expect_str_eq(buf, text);                                                               \
        cr_expect_eq(n_, strlen(text));                                                            \
    } while (0)

Test(format, numbers_and_widths)
{
    SAYS("0", "%d", 0);
    SAYS("-2147483648", "%d", -2147483647 - 1);
    SAYS("-9223372036854775808", "%ld", -9223372036854775807L - 1);
    SAYS("18446744073709551615", "%lu", ~0ul);
    SAYS("4294967295", "%u", ~0u);
    SAYS("deadbeef", "%x", 0xdeadbeefu);
    SAYS("0x1234", "%p", (void *)0x1234);
    SAYS("007", "%03d", 7);
    SAYS("  7", "%3d", 7);
    SAYS("12345", "%3d", 12345);
}

Test(format, text)
{
    SAYS("a b % c", "%s %c %% %s", "a", 'b', "c");
    SAYS("ab   |", "%5s|", "ab");
    const char *volatile none = NULL;
    SAYS("(null)", "%s", none);
}

Test(format, what_does_not_fit_is_cut_and_ends_with_a_zero)
{
    char small[5] = "xxxx";
    cr_expect_eq(format(small, sizeof small, "%s", "abcdefgh"), 4);
    cr_expect_str_eq(small, "abcd");
    cr_expect_eq(format(small, 1, "%d", 12), 0);
    cr_expect_str_eq(small, "");
}

Test(mem, copies_and_compares)
{
    char a[64], b[64];
    for (int i = 0; i < 64; i++)
        a[i] = (char)(i * 7);
    memcpy(b, a, sizeof a);
    cr_expect_eq(memcmp(a, b, sizeof a), 0);
    memmove(b + 3, b, 40);
    cr_expect_eq(memcmp(b + 3, a, 40), 0);
    memmove(b, b + 3, 40);
    cr_expect_eq(memcmp(b, a, 40), 0);
    memset(b, 0xff, 5);
    cr_expect_gt(memcmp(b, a, 1), 0);
}

enum { THREADS = 8, ROUNDS = 20000 };
static struct lock lock;
static long counter;
static uint32_t holders, broken;

static void *count(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        if (i % 16 || !lock_try(&lock))
            lock_take(&lock);
        if (add_fetch(&holders, 1u) != 1)
            store_relaxed(&broken, 1u);
        counter++;
        add_fetch(&holders, -1u);
        lock_drop(&lock);
    }
    return arg;
}

Test(lock, excludes_and_wakes_who_sleeps)
{
    pthread_t t[THREADS];
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&t[i], NULL, count, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    cr_expect_eq(counter, (long)THREADS * ROUNDS);
    cr_expect_eq(broken, 0);
    cr_expect_not(lock_held(&lock));
}
