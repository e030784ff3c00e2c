/* O_NONBLOCK, by fcntl, ioctl, SOCK_NONBLOCK or shared through dup, gives EAGAIN in a thread, and
 * is not set by anyone else. */
#include "../t.h"
#include <sys/ioctl.h>

static void *body(void *arg)
{
    char data[4096] = {0};
    for (int kind = 0; kind < 5; kind++) {
        int ends[2], on = 1;
        if (kind == 2)
            CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends));
        else if (kind == 4)
            CHECK_OK(pipe2(ends, O_NONBLOCK));
        else
            t_pair(ends);
        int other = dup(ends[0]);
        if (kind == 0)
            CHECK_OK(fcntl(ends[0], F_SETFL, fcntl(ends[0], F_GETFL) | O_NONBLOCK));
        if (kind == 1)
            CHECK_OK(ioctl(ends[0], FIONBIO, &on));
        if (kind == 3)
            CHECK_OK(fcntl(other, F_SETFL, O_RDWR | O_NONBLOCK)); /* by way of the duplicate */
        CHECK(fcntl(ends[0], F_GETFL) & O_NONBLOCK);
        CHECK_ERR(read(ends[0], data, 1), EAGAIN);
        struct iovec iov = {data, sizeof data};
        CHECK_ERR(readv(ends[0], &iov, 1), EAGAIN);
        if (kind != 4) {
            CHECK_ERR(recv(ends[0], data, 1, 0), EAGAIN);
            CHECK_ERR(recv(ends[0], data, 1, MSG_WAITALL), EAGAIN);
        }
        int writer = kind == 4 ? ends[1] : ends[0];
        ssize_t n, all = 0;
        while ((n = write(writer, data, sizeof data)) > 0)
            all += n;
        CHECK_EQ(n, -1);
        CHECK_EQ(errno, EAGAIN);
        CHECK(all > 0);
        close(other);
        close(ends[0]);
        close(ends[1]);
    }
    int ends[2];
    t_pair(ends);
    CHECK_ERR(recv(ends[0], data, 1, MSG_DONTWAIT), EAGAIN);
    CHECK_EQ(fcntl(ends[0], F_GETFL) & O_NONBLOCK, 0);
    CHECK_EQ(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0);
    struct sockaddr_in address;
    int listener = t_listen(&address, 5);
    CHECK_OK(fcntl(listener, F_SETFL, O_RDWR | O_NONBLOCK));
    CHECK_ERR(accept(listener, NULL, NULL), EAGAIN);
    int client = t_connect(&address);
    struct pollfd p = {listener, POLLIN, 0};
    CHECK_EQ(poll(&p, 1, -1), 1);
    int server = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    CHECK(server >= 0);
    CHECK(fcntl(server, F_GETFL) & O_NONBLOCK);
    CHECK_EQ(fcntl(server, F_GETFD), FD_CLOEXEC);
    CHECK_ERR(read(server, data, 1), EAGAIN);
    CHECK_EQ(fcntl(client, F_GETFL) & O_NONBLOCK, 0);
    close(listener);
    close(client);
    close(server);
    return arg;
}

int main(void)
{
    body(NULL);
    t_join(t_go(body, NULL));
    return 0;
}
