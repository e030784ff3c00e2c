/* The error queue: threads wait in poll, ppoll and epoll_wait for POLLERR alone and find there the time stamps of what was
 * sent, or that sending without a copy is done; a thread in recv on the same socket is not disturbed, and gets what is sent to
 * it; MSG_ERRQUEUE itself never waits. */
#include "../t.h"
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <sys/epoll.h>

enum { SOCKETS = 6, ROUNDS = 25, BLOCK = 20000 };

static struct sockaddr_in address;
static int sink;

static void *receives(void *arg)
{
    char text[10];
    CHECK_EQ(recv((int)(intptr_t)arg, text, sizeof text, 0), 3);
    CHECK_OK(memcmp(text, "end", 3));
    return NULL;
}

/* What the queue tells, or -EAGAIN as NULL. */
static struct sock_extended_err *next(int fd, struct msghdr *m, char *control, size_t room)
{
    *m = (struct msghdr){.msg_control = control, .msg_controllen = room};
    ssize_t n = recvmsg(fd, m, MSG_ERRQUEUE);
    if (n < 0) {
        CHECK_EQ(errno, EAGAIN); /* though the socket blocks */
        return NULL;
    }
    CHECK(m->msg_flags & MSG_ERRQUEUE);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
        if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_RECVERR)
            return (struct sock_extended_err *)CMSG_DATA(c);
    CHECK(!"an error in the queue");
    return NULL;
}

static void await(int fd, int ep, int way)
{
    struct pollfd p = {fd, 0, 0};
    struct epoll_event event;
    if (way < 2) {
        CHECK_EQ(way ? ppoll(&p, 1, NULL, NULL) : poll(&p, 1, -1), 1);
        CHECK_EQ(p.revents, POLLERR);
    } else {
        CHECK_EQ(epoll_wait(ep, &event, 1, -1), 1);
        CHECK_EQ(event.events, EPOLLERR);
    }
}

static void *stamps(void *arg)
{
    int way = (int)(intptr_t)arg % 3, fd = socket(AF_INET, SOCK_DGRAM, 0), ep = epoll_create1(0);
    unsigned flags = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID |
                     SOF_TIMESTAMPING_OPT_TSONLY;
    struct sockaddr_in own;
    socklen_t length = sizeof own;
    struct epoll_event event = {.events = 0};
    struct sock_extended_err *e;
    struct msghdr m;
    char control[512];
    CHECK_OK(connect(fd, (struct sockaddr *)&address, sizeof address));
    if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &flags, sizeof flags) != 0)
        t_skip("no time stamps here");
    CHECK_OK(getsockname(fd, (struct sockaddr *)&own, &length));
    CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event));
    pthread_t reader = t_go(receives, (void *)(intptr_t)fd);
    CHECK(!next(fd, &m, control, sizeof control));
    for (uint32_t i = 0; i < ROUNDS; i++) {
        CHECK_EQ(send(fd, "x", 1, 0), 1);
        while (!(e = next(fd, &m, control, sizeof control)))
            await(fd, ep, way);
        CHECK_EQ(e->ee_origin, SO_EE_ORIGIN_TIMESTAMPING);
        CHECK_EQ(e->ee_data, i);
    }
    CHECK_EQ(sendto(sink, "end", 3, 0, (struct sockaddr *)&own, sizeof own), 3);
    t_join(reader);
    close(ep);
    close(fd);
    return NULL;
}

static void *drains(void *arg)
{
    char *block = malloc(BLOCK);
    for (int i = 0; i < ROUNDS; i++)
        t_read_all((int)(intptr_t)arg, block, BLOCK);
    free(block);
    return NULL;
}

static void *without_copy(void *arg)
{
    int way = (int)(intptr_t)arg % 3, on = 1, ends[2], ep = epoll_create1(0);
    struct epoll_event event = {.events = 0};
    struct sock_extended_err *e;
    struct msghdr m;
    char control[512], *block = malloc(BLOCK);
    memset(block, 1, BLOCK);
    t_tcp(ends);
    if (setsockopt(ends[0], SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on) != 0)
        t_skip("no MSG_ZEROCOPY here");
    CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, ends[0], &event));
    pthread_t reader = t_go(receives, (void *)(intptr_t)ends[0]), other = t_go(drains, (void *)(intptr_t)ends[1]);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        for (size_t at = 0; at < BLOCK;) {
            ssize_t n = send(ends[0], block + at, BLOCK - at, at ? 0 : MSG_ZEROCOPY);
            if (n < 0 && errno == ENOBUFS && !at) /* more than may be locked: no test of this */
                t_skip("too little memory may be locked");
            CHECK(n > 0);
            at += (size_t)n;
        }
        while (!(e = next(ends[0], &m, control, sizeof control)))
            await(ends[0], ep, way);
        CHECK_EQ(e->ee_errno, 0);
        CHECK_EQ(e->ee_origin, SO_EE_ORIGIN_ZEROCOPY);
        CHECK_EQ(e->ee_info, i);
        CHECK_EQ(e->ee_data, i);
    }
    t_join(other);
    CHECK_EQ(send(ends[1], "end", 3, 0), 3);
    t_join(reader);
    close(ep);
    close(ends[0]);
    close(ends[1]);
    free(block);
    return NULL;
}

int main(void)
{
    pthread_t threads[2 * SOCKETS];
    socklen_t length = sizeof address;
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK((sink = socket(AF_INET, SOCK_DGRAM, 0)) >= 0);
    CHECK_OK(bind(sink, (struct sockaddr *)&address, sizeof address));
    CHECK_OK(getsockname(sink, (struct sockaddr *)&address, &length));
    for (intptr_t i = 0; i < 2 * SOCKETS; i++)
        threads[i] = t_go(i % 2 ? stamps : without_copy, (void *)(i / 2));
    for (int i = 0; i < 2 * SOCKETS; i++)
        t_join(threads[i]);
    return 0;
}
