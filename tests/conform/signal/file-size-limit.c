/* Past the limit of a file's size: EFBIG, and SIGXFSZ for the thread that made the call, before it goes on; it is handled,
 * ignored, pending or deadly. */
#include "../t.h"

enum { LIMIT = 1 << 16 };
static const char name[] = "file-size-limit";
static __thread volatile int hits;
static int fd;

static void handler(int number)
{
    (void)number;
    hits++;
}

static void *nothing(void *arg)
{
    return arg;
}

static long too_far(int call)
{
    char byte = 0;
    struct iovec v = {&byte, 1};
    switch (call) {
    case 0:
        CHECK_EQ(lseek(fd, LIMIT, SEEK_SET), LIMIT);
        return write(fd, &byte, 1);
    case 1:
        return pwrite(fd, &byte, 1, LIMIT);
    case 2:
        return pwritev(fd, &v, 1, LIMIT);
    case 3:
        return ftruncate(fd, LIMIT + 1);
    case 4:
        return truncate(name, LIMIT + 1);
    default:
        return fallocate(fd, 0, LIMIT, 1);
    }
}

static void *exceeds(void *arg)
{
    sigset_t set, pending;
    CHECK(signal(SIGXFSZ, handler) != SIG_ERR);
    for (int call = 0; call < 6; call++) {
        hits = 0;
        CHECK_ERR(too_far(call), EFBIG);
        CHECK_EQ(hits, 1);
    }
    hits = 0;
    sigemptyset(&set);
    sigaddset(&set, SIGXFSZ);
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
    CHECK_ERR(too_far(0), EFBIG);
    CHECK_OK(sigpending(&pending));
    CHECK(sigismember(&pending, SIGXFSZ));
    CHECK_EQ(hits, 0);
    CHECK_OK(pthread_sigmask(SIG_UNBLOCK, &set, NULL));
    CHECK_EQ(hits, 1);

    CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    CHECK_ERR(too_far(0), EFBIG);
    CHECK_EQ(hits, 1);

    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        t_bound();
        t_join(t_go(nothing, NULL));
        CHECK(signal(SIGXFSZ, SIG_DFL) != SIG_ERR);
        too_far(0);
        _exit(0);
    }
    t_expect_signal(child, SIGXFSZ);
    return arg;
}

int main(void)
{
    struct rlimit no_core = {0, 0}, limit = {LIMIT, LIMIT};
    CHECK_OK(setrlimit(RLIMIT_CORE, &no_core));
    CHECK((fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600)) >= 0);
    t_join(t_go(nothing, NULL));
    CHECK_OK(setrlimit(RLIMIT_FSIZE, &limit));
    exceeds(NULL);
    t_join(t_go(exceeds, NULL));
    CHECK_OK(unlink(name));
    return 0;
}
