/* splice and sendfile to a socket that poll finds too crowded to tell POLLOUT, but where a little still goes in: it does, at
 * once. What fails or has nothing to send ends at once even where there is no room at all. */
#include "../t.h"
#include <sys/sendfile.h>

static char junk[65536];

static void *fits(void *arg)
{
    int ends[2], from[2], file = open("/proc/self/exe", O_RDONLY);
    off_t at = 0;
    t_pair(ends);
    CHECK_OK(pipe(from));
    t_write_all(from[1], "0123456789", 10);
    struct pollfd p = {ends[0], POLLOUT, 0};
    size_t sent = 0;
    int copy = dup(ends[0]);
    do { /* until poll tells no more: a call for more than that would wait */
        CHECK_EQ(send(copy, junk, 5000, MSG_DONTWAIT), 5000);
        sent += 5000;
        CHECK_GE(poll(&p, 1, 0), 0);
    } while (p.revents);
    CHECK_EQ(splice(from[0], NULL, ends[0], NULL, 10, 0), 10);
    CHECK_EQ(sendfile(ends[0], file, &at, 10), 10);
    while (sent > 0) {
        ssize_t n = recv(ends[1], junk, sent < sizeof junk ? sent : sizeof junk, 0);
        CHECK(n > 0);
        sent -= (size_t)n;
    }
    t_read_all(ends[1], junk, 20);
    CHECK_OK(memcmp(junk, "0123456789\177ELF", 14));
    return arg;
}

static void *fails(void *arg)
{
    int ends[2], from[2];
    int null = open("/dev/null", O_RDONLY), file = open("/proc/self/exe", O_RDONLY);
    off_t at = 0, end = lseek(file, 0, SEEK_END);
    CHECK(end > 0);
    t_pair(ends);
    for (size_t n = sizeof junk; n > 0;)
        if (send(ends[0], junk, n, MSG_DONTWAIT) < 0) {
            CHECK_EQ(errno, EAGAIN);
            n /= 2;
        }
    CHECK_OK(pipe(from));
    CHECK_ERR(sendfile(ends[0], from[0], &at, 10), ESPIPE);
    CHECK_ERR(sendfile(ends[0], -1, NULL, 10), EBADF);
    CHECK_ERR(sendfile(ends[0], null, NULL, 10), EINVAL);
    CHECK_EQ(sendfile(ends[0], file, NULL, 10), 0);
    CHECK_EQ(sendfile(ends[0], file, &end, 10), 0);
    CHECK_EQ(sendfile(ends[0], file, &at, 0), 0);
    CHECK_OK(close(from[1]));
    CHECK_EQ(splice(from[0], NULL, ends[0], NULL, 10, 0), 0);
    return arg;
}

int main(void)
{
    t_join(t_go(fits, NULL));
    t_join(t_go(fails, NULL));
    return 0;
}
