/* The callee-saved registers are whole after blocking calls, though many threads switch over each
 * other. */
#include "../t.h"

static int ends[2];

/* read_keeps: read() with a pattern in every callee-saved register; true if they came back whole.
 */
static __attribute__((noinline)) int read_keeps(int fd, char *byte, unsigned long pattern)
{
    register unsigned long a __asm__("rbx") = pattern;
    register unsigned long b __asm__("r12") = pattern + 1;
    register unsigned long c __asm__("r13") = pattern + 2;
    register unsigned long d __asm__("r14") = pattern + 3;
    register unsigned long e __asm__("r15") = pattern + 4;
    __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e));
    ssize_t n = read(fd, byte, 1);
    __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e));
    return n == 1 && a == pattern && b == pattern + 1 && c == pattern + 2 && d == pattern + 3 &&
           e == pattern + 4;
}

static void *body(void *arg)
{
    unsigned long seed = (unsigned long)arg * 0x0101010101010101;
    char byte;
    for (unsigned long i = 0; i < 200; i++)
        CHECK(read_keeps(ends[0], &byte, seed + i));
    return NULL;
}

int main(void)
{
    pthread_t threads[10];
    t_pair(ends);
    for (intptr_t i = 0; i < 10; i++)
        threads[i] = t_go(body, (void *)(i + 1));
    for (int i = 0; i < 2000; i++)
        CHECK_EQ(write(ends[1], "x", 1), 1);
    for (int i = 0; i < 10; i++)
        t_join(threads[i]);
    return 0;
}
