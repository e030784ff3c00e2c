/* The first that a parent does after vfork is to fault; its handler waits. */
#include <sys/mman.h>

#include "../t.h"

static __thread char *page;

static void handler(int sig, siginfo_t *info, void *context)
{
    volatile char frame[2000];
    (void)sig;
    (void)context;
    for (size_t i = 0; i < sizeof frame; i++)
        frame[i] = (char)i;
    CHECK(info->si_addr >= (void *)page && info->si_addr < (void *)(page + 4096));
    struct timespec moment = {0, 200000};
    nanosleep(&moment, NULL);
    for (size_t i = 0; i < sizeof frame; i++)
        CHECK_EQ(frame[i], (char)i);
    CHECK_OK(mprotect(page, 4096, PROT_READ | PROT_WRITE));
}

static void *works(void *arg)
{
    page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    for (int i = 0; i < 25; i++) {
        CHECK_OK(mprotect(page, 4096, PROT_NONE));
        volatile char *at = page + i;
        pid_t child = vfork();
        if (child == 0)
            _exit(7);
        *at = 1;
        t_expect_exit(child, 7);
    }
    return arg;
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    CHECK_OK(sigaction(SIGSEGV, &action, NULL));
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        threads[i] = t_go(works, NULL);
    for (int i = 0; i < 4; i++)
        t_join(threads[i]);
    return 0;
}
