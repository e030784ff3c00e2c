/* The usual daemon: SIGTERM's handler sets a flag and writes a pipe; main, woken, stops the workers
 * and exits with its own status. */
#include "../t.h"

static int wake[2], work[2], ready[2];
static volatile sig_atomic_t stopping;

static void handler(int number)
{
    int saved = errno;
    (void)number;
    stopping = 1;
    CHECK_EQ(write(wake[1], "x", 1), 1);
    errno = saved;
}

static void *worker(void *arg)
{
    char byte;
    while (read(work[0], &byte, 1) == 1)
        ;
    return arg;
}

int main(void)
{
    CHECK_OK(pipe(ready));
    for (int i = 0; i < 10; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            pthread_t threads[10];
            char byte;
            t_bound();
            t_pair(work);
            CHECK_OK(pipe(wake));
            struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
            CHECK_OK(sigaction(SIGTERM, &action, NULL));
            for (int k = 0; k < 10; k++)
                threads[k] = t_go(worker, NULL);
            CHECK_EQ(write(ready[1], "r", 1), 1);
            while (!stopping)
                CHECK(read(wake[0], &byte, 1) == 1);
            CHECK_OK(close(work[1]));
            for (int k = 0; k < 10; k++)
                t_join(threads[k]);
            exit(17);
        }
        char byte;
        CHECK_EQ(read(ready[0], &byte, 1), 1);
        CHECK_OK(kill(pid, SIGTERM));
        t_expect_exit(pid, 17);
    }
    return 0;
}
