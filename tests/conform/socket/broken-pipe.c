/* Writing to a closed peer: EPIPE when SIGPIPE is ignored, a handler run with it in the writing
 * thread, MSG_NOSIGNAL, and death by default. */
#include "../t.h"

static _Atomic int caught, caught_by;

static void handler(int number)
{
    caught = number;
    caught_by = gettid();
}

static int broken(int pipe_too)
{
    int ends[2];
    if (pipe_too) {
        CHECK_OK(pipe(ends));
        CHECK_OK(close(ends[0]));
        return ends[1];
    }
    t_pair(ends);
    CHECK_OK(close(ends[1]));
    return ends[0];
}

static void *with_handler(void *arg)
{
    int fd = broken(arg != NULL);
    caught = 0;
    CHECK_ERR(write(fd, "x", 1), EPIPE);
    CHECK_EQ(caught, SIGPIPE);
    CHECK_EQ(caught_by, gettid());
    if (!arg) {
        caught = 0;
        CHECK_ERR(send(fd, "x", 1, MSG_NOSIGNAL), EPIPE);
        CHECK_EQ(caught, 0);
        CHECK_ERR(send(fd, "x", 1, 0), EPIPE);
        CHECK_EQ(caught, SIGPIPE);
    }
    close(fd);
    return NULL;
}

static void *ignoring(void *arg)
{
    int fd = broken(arg != NULL);
    CHECK_ERR(write(fd, "x", 1), EPIPE);
    struct iovec iov = {(void *)(uintptr_t) "x", 1};
    CHECK_ERR(writev(fd, &iov, 1), EPIPE);
    close(fd);
    return NULL;
}

static int full[2];
static void *blocked_writer(void *arg)
{
    char data[65536] = {0};
    ssize_t n;
    while ((n = write(full[0], data, sizeof data)) > 0)
        ;
    CHECK_EQ(n, -1);
    CHECK(errno == EPIPE || errno == ECONNRESET);
    return arg;
}

int main(void)
{
    struct sigaction action = {.sa_handler = handler};
    CHECK_OK(sigaction(SIGPIPE, &action, NULL));
    for (intptr_t kind = 0; kind < 2; kind++) {
        with_handler((void *)kind);
        t_join(t_go(with_handler, (void *)kind));
    }
    signal(SIGPIPE, SIG_IGN);
    for (intptr_t kind = 0; kind < 2; kind++)
        t_join(t_go(ignoring, (void *)kind));
    t_pair(full);
    pthread_t thread = t_go(blocked_writer, NULL);
    t_settle();
    CHECK_OK(close(full[1]));
    t_join(thread);

    for (intptr_t kind = 0; kind < 2; kind++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            t_bound();
            signal(SIGPIPE, SIG_DFL);
            t_join(t_go(ignoring, (void *)kind));
            _exit(0);
        }
        t_expect_signal(pid, SIGPIPE);
    }
    return 0;
}
