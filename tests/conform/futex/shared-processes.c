/* Futexes without FUTEX_PRIVATE_FLAG work between processes on shared memory, both ways, from
 * threads. */
#include "futex.h"

static uint32_t *words;

static void *waits(void *arg)
{
    uint32_t *word = arg;
    CHECK_EQ(futex(word, FUTEX_WAIT, 0, NULL, NULL, 0), 0);
    return NULL;
}

static void *wakes(void *arg)
{
    while (futex(arg, FUTEX_WAKE, 1, NULL, NULL, 0) == 0)
        sched_yield();
    return NULL;
}

static void *wake_here(void *arg)
{
    return wakes(arg);
}

int main(void)
{
    words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(words != MAP_FAILED);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        t_bound();
        pthread_t one = t_go(waits, &words[0]), two = t_go(wakes, &words[8]);
        t_join(one);
        t_join(two);
        waits(&words[16]);
        _exit(0);
    }
    pthread_t one = t_go(wakes, &words[0]), two = t_go(waits, &words[8]),
              three = t_go(wake_here, &words[16]);
    t_join(one);
    t_join(two);
    t_join(three);
    t_expect_exit(pid, 0);
    /* Within one process a private and a shared futex on the same word are two. */
    pthread_t thread = t_go(waits, &words[24]);
    gather(&words[24], &words[32], 1, 0);
    CHECK_EQ(futex(&words[32], FUTEX_WAKE | PRIVATE, 1, NULL, NULL, 0), 0);
    CHECK_EQ(futex(&words[32], FUTEX_WAKE, 1, NULL, NULL, 0), 1);
    t_join(thread);
    return 0;
}
