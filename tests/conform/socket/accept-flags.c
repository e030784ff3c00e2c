/* accept4: its flags are the new descriptor's, never inherited; addresses and their lengths;
 * SO_RCVTIMEO; errors; a waiting accept4 in a thread of each family. */
#include "../t.h"

static int listener;

static void *accepts(void *arg)
{
    struct sockaddr_storage from;
    socklen_t length = sizeof from;
    int flags = (int)(intptr_t)arg;
    int fd = accept4(listener, (struct sockaddr *)&from, &length, flags);
    CHECK(fd >= 0);
    CHECK_EQ(!!(fcntl(fd, F_GETFL) & O_NONBLOCK), !!(flags & SOCK_NONBLOCK));
    CHECK_EQ(!!(fcntl(fd, F_GETFD) & FD_CLOEXEC), !!(flags & SOCK_CLOEXEC));
    if (flags & SOCK_NONBLOCK) {
        char byte;
        CHECK_ERR(read(fd, &byte, 1), EAGAIN);
    }
    CHECK(from.ss_family == AF_INET || from.ss_family == AF_UNIX);
    CHECK_EQ(length, from.ss_family == AF_INET ? sizeof(struct sockaddr_in) : 2);
    close(fd);
    return NULL;
}

int main(void)
{
    struct sockaddr_in in;
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    socklen_t length;
    for (int family = 0; family < 2; family++) {
        if (family == 0) {
            listener = t_listen(&in, 8);
        } else {
            listener = socket(AF_UNIX, SOCK_SEQPACKET, 0);
            length = sizeof(sa_family_t);
            CHECK_OK(
                bind(listener, (struct sockaddr *)&un, length)); /* a name of the kernel's choice */
            length = sizeof un;
            CHECK_OK(getsockname(listener, (struct sockaddr *)&un, &length));
            CHECK_OK(listen(listener, 8));
        }
        for (int flags = 0; flags < 4; flags++) {
            int f = (flags & 1 ? SOCK_NONBLOCK : 0) | (flags & 2 ? SOCK_CLOEXEC : 0);
            pthread_t thread = t_go(accepts, (void *)(intptr_t)f);
            t_settle();
            int client;
            if (family == 0) {
                client = t_connect(&in);
            } else {
                client = socket(AF_UNIX, SOCK_SEQPACKET, 0);
                CHECK_OK(connect(client, (struct sockaddr *)&un, length));
            }
            t_join(thread);
            close(client);
        }
        CHECK_ERR(accept4(listener, NULL, NULL, 0x40), EINVAL);
        struct timeval tv = {0, 3000};
        CHECK_OK(setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
        int64_t start = t_now(CLOCK_MONOTONIC);
        CHECK_ERR(accept4(listener, NULL, NULL, 0), EAGAIN);
        CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 3 * MSEC);
        /* the listener's flags are not the child's */
        CHECK_OK(fcntl(listener, F_SETFL, O_NONBLOCK));
        CHECK_ERR(accept(listener, NULL, NULL), EAGAIN);
        if (family == 0) {
            int client = t_connect(&in);
            struct pollfd p = {listener, POLLIN, 0};
            CHECK_EQ(poll(&p, 1, -1), 1);
            struct sockaddr_in from;
            length = 4; /* cut short, the true length told */
            int fd = accept(listener, (struct sockaddr *)&from, &length);
            CHECK(fd >= 0);
            CHECK_EQ(length, sizeof from);
            CHECK_EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
            close(fd);
            close(client);
            client = t_connect(&in);
            length = (socklen_t)-1;
            CHECK_EQ(poll(&p, 1, -1), 1);
            CHECK_ERR(accept(listener, (struct sockaddr *)&from, &length), EINVAL);
            close(client);
        }
        close(listener);
    }
    int pair[2];
    t_pair(pair);
    CHECK_ERR(accept(pair[0], NULL, NULL), EINVAL);
    int udp = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK_ERR(accept(udp, NULL, NULL), EOPNOTSUPP);
    return 0;
}
