/* Datagrams keep their boundaries and senders: UDP and unix, truncation, MSG_TRUNC, a blocked
 * sender on a full unix queue. */
#include "../t.h"

static int ends[2];

static void *sends(void *arg)
{
    char data[500];
    for (int i = 1; i <= 400; i++) {
        memset(data, i, sizeof data);
        CHECK_EQ(send(ends[0], data, (size_t)i, 0), i); /* blocks when the queue is full */
    }
    return arg;
}

static void *udp(void *arg)
{
    struct sockaddr_in *to = arg, from;
    socklen_t length = sizeof from;
    char data[100];
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    for (int i = 0; i < 100; i++) {
        memset(data, i, sizeof data);
        CHECK_EQ(sendto(fd, data, (size_t)i, 0, (struct sockaddr *)to, sizeof *to), i);
        CHECK_EQ(recvfrom(fd, data, sizeof data, 0, (struct sockaddr *)&from, &length), i);
        CHECK_EQ(from.sin_port, to->sin_port);
    }
    close(fd);
    return NULL;
}

int main(void)
{
    char data[600];
    CHECK_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends));
    pthread_t thread = t_go(sends, NULL);
    for (int i = 1; i <= 400; i++) {
        if (i == 100) {
            CHECK_EQ(recv(ends[1], data, 10, MSG_TRUNC), i); /* the rest is lost */
            continue;
        }
        CHECK_EQ(recv(ends[1], data, sizeof data, 0), i);
        CHECK_EQ(data[i - 1], (char)i);
    }
    t_join(thread);

    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
                       from;
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK_OK(bind(fd, (struct sockaddr *)&address, length));
    CHECK_OK(getsockname(fd, (struct sockaddr *)&address, &length));
    pthread_t threads[5];
    for (int i = 0; i < 5; i++)
        threads[i] = t_go(udp, &address);
    for (int i = 0; i < 500; i++) {
        length = sizeof from;
        ssize_t n = recvfrom(fd, data, sizeof data, 0, (struct sockaddr *)&from, &length);
        CHECK_GE(n, 0);
        CHECK_EQ(sendto(fd, data, (size_t)n, 0, (struct sockaddr *)&from, length), n);
    }
    for (int i = 0; i < 5; i++)
        t_join(threads[i]);
    return 0;
}
