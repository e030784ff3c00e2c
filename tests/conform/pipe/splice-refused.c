/* splice and tee from a socket without data that the kernel refuses do not wait; sendfile to a pipe ends with what was there, or there was
 * room for. */
#include "../t.h"
#include <sys/sendfile.h>

static int pipe_ends[2], socket_ends[2];

static void refused(ssize_t got, int error, const char *what)
{
    if (got != -1 || errno != error)
        t_fail(__FILE__, __LINE__, "%s: %zd, errno %d, not %d", what, got, errno, error);
}

static void *sleeps(void *arg)
{
    t_settle();
    return arg;
}

static void sends(int from, int into, const char *what)
{
    char data[16];
    t_write_all(into, "abcd\n", 5);
    t_settle();
    ssize_t n = sendfile(pipe_ends[1], from, NULL, 4096);
    if (n != 5)
        t_fail(__FILE__, __LINE__, "sendfile from %s: %zd, errno %d", what, n, errno);
    CHECK_EQ(read(pipe_ends[0], data, sizeof data), 5);
}

int main(void)
{
    t_join(t_go(sleeps, NULL)); /* descriptors from before the first thread are shared for all we know */
    CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    CHECK_OK(pipe(pipe_ends));
    t_pair(socket_ends);
    struct sockaddr_in address;
    int listener = t_listen(&address, 5);
    loff_t offset = 0;
    refused(tee(socket_ends[0], pipe_ends[1], 100, 0), EINVAL, "tee from a socket");
    refused(splice(socket_ends[0], NULL, pipe_ends[0], NULL, 100, 0), EBADF, "splice to where one reads");
    refused(splice(socket_ends[0], &offset, pipe_ends[1], NULL, 100, 0), EINVAL, "splice from a socket's offset");
    refused(splice(socket_ends[0], NULL, pipe_ends[1], NULL, 100, 16), EINVAL, "splice with unknown flags");
    refused(splice(listener, NULL, pipe_ends[1], NULL, 100, 0), ENOTCONN, "splice from a listener");

    sends(socket_ends[0], socket_ends[1], "a Unix stream");
    int ends[2];
    t_tcp(ends);
    sends(ends[0], ends[1], "TCP");
    int datagrams[2];
    CHECK_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, datagrams));
    t_write_all(datagrams[1], "efghi", 5);
    sends(datagrams[0], datagrams[1], "datagrams");

    int file = memfd_create("large", MFD_CLOEXEC);
    CHECK_OK(ftruncate(file, 1 << 20));
    ssize_t n = sendfile(pipe_ends[1], file, NULL, 1 << 20); /* nobody reads */
    CHECK(n > 0 && n <= fcntl(pipe_ends[1], F_GETPIPE_SZ));

    CHECK_OK(close(pipe_ends[0]));
    refused(splice(socket_ends[0], NULL, pipe_ends[1], NULL, 100, 0), EPIPE, "splice to a pipe nobody reads");
    return 0;
}
