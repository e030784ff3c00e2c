/* YMM, ZMM and mask registers of a thread survive system calls that block: whatever of them the CPU has. Its own system calls, that is:
 * what a function of libc leaves of them nobody may ask. */
#include "../t.h"
#include <stddef.h>

#define THREADS 6
#define ROUNDS  200
static int ring[THREADS][2];

struct box {
    float in[16], low[16], high[16];
    long got;
    int fd, key, mask;
    char byte;
} __attribute__((aligned(64)));

#define AT(field) "%c[" #field "](%%rbx)"
#define OFFSETS                                                                                                        \
    [in] "i"(offsetof(struct box, in)), [low] "i"(offsetof(struct box, low)), [high] "i"(offsetof(struct box, high)),  \
        [got] "i"(offsetof(struct box, got)), [fd] "i"(offsetof(struct box, fd)), \
        [key] "i"(offsetof(struct box, key)), [mask] "i"(offsetof(struct box, mask)), [byte] "i"(offsetof(struct box, byte))
#define READ                                                                                                           \
    "movl " AT(fd) ", %%edi\n\tleaq " AT(byte) ", %%rsi\n\tmovl $1, %%edx\n\txorl %%eax, %%eax\n\tsyscall\n\tmovq %%rax, " AT(got) "\n\t"
#define TAKEN "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc"

__attribute__((target("avx"))) static void avx(struct box *b)
{
    __asm__ volatile("vmovaps " AT(in) ", %%ymm5\n\tvmovaps " AT(in) ", %%ymm15\n\t" READ "vmovaps %%ymm5, " AT(low) "\n\tvmovaps %%ymm15, " AT(high)
                     : : "b"(b), OFFSETS : TAKEN, "xmm5", "xmm15");
    CHECK_EQ(b->got, 1);
    CHECK_OK(memcmp(b->in, b->low, 32));
    CHECK_OK(memcmp(b->in, b->high, 32));
}

__attribute__((target("avx512f"))) static void avx512(struct box *b)
{
    __asm__ volatile("vmovaps " AT(in) ", %%zmm3\n\tvmovaps " AT(in) ", %%zmm29\n\tkmovw " AT(key) ", %%k4\n\t" READ "vmovaps %%zmm3, " AT(low)
                     "\n\tvmovaps %%zmm29, " AT(high) "\n\tkmovw %%k4, " AT(mask)
                     : : "b"(b), OFFSETS : TAKEN, "xmm3", "xmm29", "k4");
    CHECK_EQ(b->got, 1);
    CHECK_OK(memcmp(b->in, b->low, 64));
    CHECK_OK(memcmp(b->in, b->high, 64));
    CHECK_EQ(b->mask & 0xffff, b->key);
}

static void *body(void *arg)
{
    int id = (int)(intptr_t)arg;
    struct box b = {.fd = ring[id][0], .key = id + 77};
    for (int i = 0; i < ROUNDS; i++) {
        for (int k = 0; k < 16; k++)
            b.in[k] = (float)(id * 1000 + i + k + 1);
        if (__builtin_cpu_supports("avx512f") && (i + id) % 3)
            avx512(&b);
        else
            avx(&b);
        CHECK_EQ(write(ring[(id + 1) % THREADS][1], &b.byte, 1), 1);
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    if (!__builtin_cpu_supports("avx"))
        t_skip("no AVX here");
    for (int i = 0; i < THREADS; i++)
        CHECK_OK(pipe(ring[i]));
    for (intptr_t i = 0; i < THREADS; i++)
        threads[i] = t_go(body, (void *)i);
    CHECK_EQ(write(ring[0][1], "x", 1), 1);
    CHECK_EQ(write(ring[3][1], "x", 1), 1); /* two at once */
    for (int i = 0; i < THREADS; i++)
        t_join(threads[i]);
    return 0;
}
