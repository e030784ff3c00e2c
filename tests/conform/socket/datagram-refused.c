/* Errors of datagrams: a waiting receiver learns ECONNREFUSED, MSG_ERRQUEUE never waits, POLLERR
 * ends a wait, the queue holds what was sent. */
#include "../t.h"
#include <linux/errqueue.h>
#include <netinet/ip.h>

static int fd;

static void *receives(void *arg)
{
    char text[10];
    CHECK_ERR(recv(fd, text, 10, 0), ECONNREFUSED);
    return arg;
}

static void *polls(void *arg)
{
    struct pollfd p = {fd, 0, 0};
    CHECK_EQ(poll(&p, 1, -1), 1);
    CHECK_EQ(p.revents, POLLERR);
    return arg;
}

int main(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof to;
    char text[100], control[512];
    int gone = socket(AF_INET, SOCK_DGRAM, 0), on = 1;
    CHECK_OK(bind(gone, (struct sockaddr *)&to, sizeof to));
    CHECK_OK(getsockname(gone, (struct sockaddr *)&to, &length));
    /* keep the port taken, but by a socket connected elsewhere: nobody receives there */
    struct sockaddr_in elsewhere = {
        .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK_OK(connect(gone, (struct sockaddr *)&elsewhere, sizeof elsewhere));

    fd = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK_OK(connect(fd, (struct sockaddr *)&to, sizeof to));
    pthread_t thread = t_go(receives, NULL);
    t_settle();
    CHECK_EQ(send(fd, "lost", 4, 0), 4);
    t_join(thread);

    CHECK_OK(setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on));
    struct iovec v = {text, sizeof text};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    CHECK_ERR(recvmsg(fd, &m, MSG_ERRQUEUE), EAGAIN); /* a blocking socket, yet */
    thread = t_go(polls, NULL);
    t_settle();
    CHECK_EQ(send(fd, "again", 5, 0), 5);
    t_join(thread);
    m.msg_controllen = sizeof control;
    CHECK_EQ(recvmsg(fd, &m, MSG_ERRQUEUE), 5);
    CHECK(m.msg_flags & MSG_ERRQUEUE);
    CHECK_OK(memcmp(text, "again", 5));
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    CHECK(c && c->cmsg_type == IP_RECVERR);
    CHECK_EQ(((struct sock_extended_err *)CMSG_DATA(c))->ee_errno, ECONNREFUSED);
    return 0;
}
