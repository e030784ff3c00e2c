/* fork and exec from threads; exec from a thread replaces the whole process, keeps pid, mask and
 * ignored signals, closes what is close-on-exec. */
#include "../t.h"

static char *self;

static int after_exec(void)
{
    sigset_t now;
    CHECK_OK(pthread_sigmask(SIG_BLOCK, NULL, &now));
    CHECK_EQ(sigismember(&now, SIGUSR1), 1);
    CHECK_EQ(sigismember(&now, SIGUSR2), 0);
    CHECK_EQ(sigismember(&now, SIGTERM), 0);
    CHECK(signal(SIGHUP, SIG_DFL) == SIG_IGN);
    CHECK(signal(SIGPIPE, SIG_DFL) == SIG_DFL);
    CHECK_EQ(atoi(getenv("PID_BEFORE")), getpid());
    CHECK_ERR(fcntl(atoi(getenv("CLOSED")), F_GETFD), EBADF);
    CHECK_GE(fcntl(atoi(getenv("OPEN")), F_GETFD), 0);
    CHECK_EQ(gettid(), getpid());
    /* Nothing of the old threads, nor descriptors nobody asked for. */
    for (int fd = 3; fd < 1000; fd++)
        if (fd != atoi(getenv("OPEN")) && fcntl(fd, F_GETFD) >= 0)
            t_fail(__FILE__, __LINE__, "descriptor %d is open after exec", fd);
    return 23;
}

static void *waits(void *arg)
{
    pause();
    return arg;
}

static void *execs(void *arg)
{
    sigset_t set;
    char text[20];
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
    snprintf(text, sizeof text, "%d", getpid());
    setenv("PID_BEFORE", text, 1);
    int closed = open("/dev/null", O_RDONLY | O_CLOEXEC), kept = open("/dev/null", O_RDONLY);
    snprintf(text, sizeof text, "%d", closed);
    setenv("CLOSED", text, 1);
    snprintf(text, sizeof text, "%d", kept);
    setenv("OPEN", text, 1);
    char *args[] = {self, (char *)arg, NULL};
    execv("/proc/self/exe", args);
    CHECK(0);
    return NULL;
}

static void *forks(void *arg)
{
    for (int i = 0; i < 5; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0)
            execs(arg);
        t_expect_exit(pid, 23);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return after_exec();
    for (int fd = 3; fd < 1000; fd++)
        fcntl(fd, F_SETFD, FD_CLOEXEC); /* what we were started with */
    self = argv[0];
    static char word[] = "after";
    signal(SIGHUP, SIG_IGN);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        threads[i] = t_go(forks, word);
    for (int i = 0; i < 3; i++)
        t_join(threads[i]);
    /* The exec of a thread, the others alive. */
    for (int i = 0; i < 3; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            t_bound();
            t_go(waits, NULL);
            t_go(waits, NULL);
            t_go(execs, word);
            for (;;)
                pause();
        }
        t_expect_exit(pid, 23);
    }
    return 0;
}
