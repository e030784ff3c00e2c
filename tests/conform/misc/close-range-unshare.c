/* A thread asks close_range for a table of descriptors of its own: it gets one, or EINVAL where it cannot (under handoff); never
 * are descriptors closed under the other threads. */
#include "../t.h"

#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE 2
#endif
#define FIRST 100
#define LAST  109

static void *closes(void *arg)
{
    errno = 0;
    long rc = syscall(SYS_close_range, FIRST, LAST, CLOSE_RANGE_UNSHARE);
    if (rc == 0) {
        CHECK_ERR(fcntl(FIRST, F_GETFD), EBADF);
        return arg;
    }
    if (errno == ENOSYS)
        t_skip("no close_range");
    CHECK_EQ(errno, EINVAL);
    CHECK_OK(fcntl(FIRST, F_GETFD));
    return arg;
}

static void *has_all(void *arg)
{
    for (int fd = FIRST; fd <= LAST; fd++)
        CHECK_OK(fcntl(fd, F_GETFD));
    return arg;
}

int main(void)
{
    for (int fd = FIRST; fd <= LAST; fd++)
        CHECK_EQ(dup2(0, fd), fd);
    pthread_t thread = t_go(closes, NULL);
    has_all(NULL);
    t_join(thread);
    has_all(NULL);
    t_join(t_go(has_all, NULL));
    return 0;
}
