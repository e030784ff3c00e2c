/* SIGTERM, SIGINT, SIGKILL, SIGUSR1, SIGABRT by default end a threaded process with that status,
 * sent from outside or inside; SIGCHLD, SIGURG and SIGWINCH do nothing. */
#include "../t.h"

static int ready[2];

static void *waits(void *arg)
{
    char byte;
    int own[2];
    t_pair(own);
    CHECK_EQ(write(ready[1], "x", 1), 1);
    CHECK_EQ(read(own[0], &byte, 1), 1);
    return arg;
}

static void *spins(void *arg)
{
    CHECK_EQ(write(ready[1], "x", 1), 1);
    for (;;)
        __asm__ volatile("" ::: "memory");
    return arg;
}

static void *raises(void *arg)
{
    raise((int)(intptr_t)arg);
    return NULL;
}

static void *kills(void *arg)
{
    kill(getpid(), (int)(intptr_t)arg);
    for (;;)
        pause();
    return NULL;
}

int main(void)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGKILL, SIGUSR1, SIGHUP, SIGALRM};
    struct rlimit none = {0, 0};
    char byte;
    setrlimit(RLIMIT_CORE, &none);
    CHECK_OK(pipe(ready));
    for (int i = 0; i < 6; i++)
        for (int how = 0; how < 4; how++) {
            pid_t pid = fork();
            CHECK(pid >= 0);
            if (pid == 0) {
                t_bound();
                t_go(waits, NULL);
                if (how == 1)
                    t_go(spins, NULL);
                if (how == 2)
                    t_go(raises, (void *)(intptr_t)signals[i]);
                if (how == 3)
                    t_go(kills, (void *)(intptr_t)signals[i]);
                for (;;)
                    pause();
            }
            if (how < 2) {
                CHECK_EQ(read(ready[0], &byte, 1), 1);
                if (how == 1)
                    CHECK_EQ(read(ready[0], &byte, 1), 1);
                CHECK_OK(kill(pid, SIGURG));
                CHECK_OK(kill(pid, SIGWINCH));
                CHECK_OK(kill(pid, SIGCHLD));
                CHECK_OK(kill(pid, signals[i]));
            }
            t_expect_signal(pid, signals[i]);
            while (how >= 2) { /* take what the waiter may have said */
                struct pollfd p = {ready[0], POLLIN, 0};
                if (poll(&p, 1, 0) == 0)
                    break;
                CHECK_EQ(read(ready[0], &byte, 1), 1);
            }
        }
    return 0;
}
