/* A handler's frame is as large as the kernel's, and holds what the kernel's does: it fits on a stack of SIGSTKSZ as it was for decades, and what is in the
 * upper halves of vector registers during a system call of the program's own is there again when the handler has returned. */
#include "../t.h"
#include <sys/syscall.h>

static volatile int hits, stop;
static sem_t ready;

__attribute__((target("avx"))) static void spoils(int number)
{
    char here;
    (void)number;
    stack_t s;
    CHECK_OK(sigaltstack(NULL, &s));
    CHECK(!(s.ss_flags & SS_DISABLE) && &here > (char *)s.ss_sp && &here < (char *)s.ss_sp + s.ss_size);
    if (__builtin_cpu_supports("avx"))
        __asm__ volatile("vpcmpeqd %%xmm7, %%xmm7, %%xmm7\n\tvinsertf128 $1, %%xmm7, %%ymm7, %%ymm7\n\tvmovaps %%ymm7, %%ymm9\n\tvmovaps %%ymm7, %%ymm15"
                         : : : "xmm7", "xmm9", "xmm15");
    hits++;
}

static void own_stack(void)
{
    stack_t s = {.ss_size = 8192};
    s.ss_sp = mmap(NULL, s.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(s.ss_sp != MAP_FAILED);
    if (sigaltstack(&s, NULL) != 0)
        t_skip("the kernel wants more stack for signals");
    CHECK_OK(sem_post(&ready));
}

/* nanosleep(2), by the program's own instruction: nothing may change but rax, rcx and r11. */
__attribute__((target("avx"))) static void sleeps_wide(void)
{
    uint64_t in[3][4], out[3][4];
    struct timespec t = {0, 2 * MSEC};
    long r;
    for (int i = 0; i < 12; i++)
        in[i / 4][i % 4] = 0x1234567800000000 + (uint64_t)i;
    __asm__ volatile("vmovups 0(%[in]), %%ymm7\n\tvmovups 32(%[in]), %%ymm9\n\tvmovups 64(%[in]), %%ymm15\n\t"
                     "syscall\n\t"
                     "vmovups %%ymm7, 0(%[out])\n\tvmovups %%ymm9, 32(%[out])\n\tvmovups %%ymm15, 64(%[out])"
                     : "=a"(r)
                     : "0"(SYS_nanosleep), "D"(&t), "S"(0), [in] "r"(in), [out] "r"(out)
                     : "rcx", "r11", "memory", "xmm7", "xmm9", "xmm15");
    CHECK(r == 0 || r == -EINTR);
    CHECK(memcmp(in, out, sizeof in) == 0);
}

static void *sleeps(void *arg)
{
    own_stack();
    while (!stop)
        if (__builtin_cpu_supports("avx"))
            sleeps_wide();
        else
            usleep(2000);
    return arg;
}

static void *computes(void *arg)
{
    own_stack();
    while (!stop)
        ;
    return arg;
}

static void hit(pthread_t t)
{
    int before = hits;
    CHECK_OK(pthread_kill(t, SIGUSR1));
    while (hits == before)
        sched_yield();
}

int main(void)
{
    struct sigaction a = {.sa_handler = spoils, .sa_flags = SA_ONSTACK};
    CHECK_OK(sigaction(SIGUSR1, &a, NULL));
    CHECK_OK(sem_init(&ready, 0, 0));
    own_stack();
    CHECK_OK(raise(SIGUSR1));
    pthread_t one = t_go(sleeps, NULL), two = t_go(computes, NULL);
    for (int i = 0; i < 3; i++)
        CHECK_OK(sem_wait(&ready));
    for (int i = 0; i < 200; i++) {
        hit(one);
        hit(two);
        CHECK_OK(raise(SIGUSR1));
    }
    stop = 1;
    t_join(one);
    t_join(two);
    return 0;
}
