/* MSG_ZEROCOPY: one call is one number in the notifications, however long it waits on the way; programs count their calls to know
 * which buffer is theirs again. */
#include "../t.h"
#include <linux/errqueue.h>
#include <sys/ioctl.h>

#ifndef SO_ZEROCOPY
#define SO_ZEROCOPY 60
#endif
#ifndef MSG_ZEROCOPY
#define MSG_ZEROCOPY 0x4000000
#endif
#define SIZE (256 << 10)
static int ends[2];

static void *reads(void *arg)
{
    static char data[65536];
    size_t size = 0;
    ssize_t n;
    while ((n = read(ends[1], data, sizeof data)) > 0)
        size += (size_t)n;
    CHECK_EQ(n, 0);
    CHECK_EQ(size, 2 * SIZE);
    return arg;
}

/* The highest number told of yet, if any is told now. */
static int told(int highest)
{
    char control[128];
    struct msghdr m = {.msg_control = control, .msg_controllen = sizeof control};
    while (recvmsg(ends[0], &m, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0) {
        struct sock_extended_err e;
        memcpy(&e, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof e);
        CHECK_EQ(e.ee_origin, SO_EE_ORIGIN_ZEROCOPY);
        if (highest < (int)e.ee_data)
            highest = (int)e.ee_data;
        m = (struct msghdr){.msg_control = control, .msg_controllen = sizeof control};
    }
    CHECK_EQ(errno, EAGAIN);
    return highest;
}

static void *sends(void *arg)
{
    int on = 1, small = 32768, highest = -1, left;
    char *data = calloc(1, SIZE);
    if (setsockopt(ends[0], SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on) != 0)
        t_skip("no SO_ZEROCOPY");
    CHECK_OK(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small));
    for (int i = 0; i < 2; i++) {
        ssize_t n = send(ends[0], data, SIZE, MSG_ZEROCOPY);
        if (n < 0 && errno == ENOBUFS)
            t_skip("not so much memory may be locked");
        CHECK_EQ(n, SIZE);
    }
    while (highest < 1) {
        struct pollfd p = {ends[0], 0, 0};
        CHECK_EQ(poll(&p, 1, -1), 1);
        CHECK(p.revents & POLLERR);
        highest = told(highest);
    }
    do { /* until all is acknowledged: there is no further one */
        t_settle();
        CHECK_OK(ioctl(ends[0], TIOCOUTQ, &left));
    } while (left > 0);
    CHECK_EQ(told(highest), 1);
    CHECK_OK(shutdown(ends[0], SHUT_WR));
    free(data);
    return arg;
}

int main(void)
{
    t_tcp(ends);
    pthread_t reader = t_go(reads, NULL);
    t_join(t_go(sends, NULL));
    t_join(reader);
    return 0;
}
