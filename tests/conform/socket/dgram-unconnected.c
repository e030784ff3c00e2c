/* Senders that name their receiver, on unconnected unix datagram sockets: they wait while its queue
 * is full, through sendto, sendmsg and sendmmsg, and every datagram comes once, in each sender's
 * order. */
#include "../t.h"

#define SENDERS 6
#define ITEMS   200
static struct sockaddr_un to = {.sun_family = AF_UNIX};
static socklen_t length;

static void *sends(void *arg)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    for (int i = 0; i < ITEMS; i++) {
        int item[2] = {(int)(intptr_t)arg, i};
        struct iovec v = {item, sizeof item};
        struct mmsghdr m = {
            .msg_hdr = {.msg_name = &to, .msg_namelen = length, .msg_iov = &v, .msg_iovlen = 1}};
        if (i % 3 == 0)
            CHECK_EQ(sendto(fd, item, sizeof item, 0, (struct sockaddr *)&to, length), sizeof item);
        else if (i % 3 == 1)
            CHECK_EQ(sendmsg(fd, &m.msg_hdr, 0), sizeof item);
        else
            CHECK_EQ(sendmmsg(fd, &m, 1, 0), 1);
    }
    close(fd);
    return NULL;
}

int main(void)
{
    pthread_t threads[SENDERS];
    int next[SENDERS] = {0}, fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    CHECK_OK(
        bind(fd, (struct sockaddr *)&to, sizeof(sa_family_t))); /* a name of the kernel's choice */
    length = sizeof to;
    CHECK_OK(getsockname(fd, (struct sockaddr *)&to, &length));
    for (intptr_t i = 0; i < SENDERS; i++)
        threads[i] = t_go(sends, (void *)i);
    t_settle();
    int full = socket(AF_UNIX, SOCK_DGRAM, 0);
    struct timeval tv = {0, 2000};
    CHECK_OK(setsockopt(full, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv));
    for (int i = 0; i < SENDERS * ITEMS; i++) {
        int item[2];
        CHECK_EQ(recv(fd, item, sizeof item, 0), sizeof item);
        CHECK(item[0] >= 0 && item[0] < SENDERS);
        CHECK_EQ(item[1], next[item[0]]++);
        if (i % 50 == 0)
            t_settle();
    }
    for (int i = 0; i < SENDERS; i++)
        t_join(threads[i]);
    ssize_t n;
    while ((n = sendto(full, "x", 1, 0, (struct sockaddr *)&to, length)) == 1)
        ;
    CHECK_EQ(errno, EAGAIN); /* nobody takes: the timeout */
    CHECK_ERR(sendto(full, "x", 1, MSG_DONTWAIT, (struct sockaddr *)&to, length), EAGAIN);
    return 0;
}
