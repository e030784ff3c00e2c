/* Threads that each set a GS base of their own (wrgsbase) find it again after waits. */
#include "../t.h"
#include <sys/auxv.h>

#define HWCAP2_FSGSBASE 2

static void *thread(void *arg)
{
    uint64_t own[2] = {0, (uint64_t)(uintptr_t)&arg}, got;
    struct timespec t = {0, MSEC};
    __asm__ volatile(".byte 0xf3, 0x48, 0x0f, 0xae, 0xd8" : : "a"(own)); /* wrgsbase %rax */
    for (int i = 0; i < 20; i++) {
        nanosleep(&t, NULL);
        __asm__ volatile("mov %%gs:8, %0" : "=r"(got));
        CHECK_EQ(got, own[1]);
    }
    return arg;
}

int main(void)
{
    if (!(getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE))
        t_skip("no FSGSBASE");
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        threads[i] = t_go(thread, NULL);
    for (int i = 0; i < 8; i++)
        t_join(threads[i]);
    return 0;
}
