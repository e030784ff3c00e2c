/* A futex wait by an unpatched instruction and a wake through the C library, and the other way
 * round: neither is lost. */
#include "../t.h"
#include <linux/futex.h>

static const unsigned char code[] = {0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0x48, 0x89, 0xd6,
                                     0x48, 0x89, 0xca, 0x4d, 0x89, 0xc2, 0x0f, 0x05, 0xc3};
static long (*raw)(long, void *, long, long, long);
static uint32_t word;

static void *waits(void *arg)
{
    (void)arg;
    CHECK_EQ(raw(SYS_futex, &word, FUTEX_WAIT, 0, 0), 0);
    return NULL;
}

static void *wakes(void *arg)
{
    while (raw(SYS_futex, &word, FUTEX_WAKE, 1, 0) == 0)
        sched_yield();
    return arg;
}

int main(void)
{
    void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(map != MAP_FAILED);
    memcpy(map, code, sizeof code);
    CHECK_OK(mprotect(map, 4096, PROT_READ | PROT_EXEC));
    memcpy(&raw, &map, sizeof raw);
    pthread_t thread = t_go(waits, NULL);
    while (syscall(SYS_futex, &word, FUTEX_WAKE, 1, NULL, NULL, 0) == 0)
        sched_yield();
    t_join(thread);
    pthread_t other = t_go(wakes, NULL);
    CHECK_EQ(syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0), 0);
    t_join(other);
    return 0;
}
