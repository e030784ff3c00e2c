/* SIGCHLD's handler runs and reaps while threads wait; SIG_IGN reaps by itself. */
#include "../t.h"

static _Atomic int reaped;
static sem_t sem;

static void handler(int number)
{
    int saved = errno, status;
    (void)number;
    while (waitpid(-1, &status, WNOHANG) > 0) {
        if (WIFEXITED(status) && WEXITSTATUS(status) == 3)
            reaped++;
        sem_post(&sem);
    }
    errno = saved;
}

static void *body(void *arg)
{
    for (int i = 0; i < 5; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0)
            _exit(3);
    }
    return arg;
}

int main(void)
{
    pthread_t threads[4];
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    CHECK_OK(sem_init(&sem, 0, 0));
    CHECK_OK(sigaction(SIGCHLD, &action, NULL));
    for (int i = 0; i < 4; i++)
        threads[i] = t_go(body, NULL);
    for (int i = 0; i < 20; i++)
        while (sem_wait(&sem) != 0)
            CHECK_EQ(errno, EINTR);
    for (int i = 0; i < 4; i++)
        t_join(threads[i]);
    CHECK_EQ(reaped, 20);
    signal(SIGCHLD, SIG_IGN);
    t_join(t_go(body, NULL));
    CHECK_ERR(waitpid(-1, NULL, 0), ECHILD);
    return 0;
}
