/* SO_RCVTIMEO bounds recvmmsg's wait for each message, not for all: it gives up only when so much has passed since the last one. */
#include "../t.h"

#define COUNT 8
static int ends[2];
static int64_t sent[COUNT];

static void *sends(void *arg)
{
    struct timespec pause = {0, 20 * MSEC};
    for (int i = 0; i < COUNT; i++) {
        nanosleep(&pause, NULL);
        sent[i] = t_now(CLOCK_MONOTONIC);
        CHECK_EQ(write(ends[1], "x", 1), 1);
    }
    return arg;
}

static void *takes(void *arg)
{
    struct mmsghdr m[COUNT] = {0};
    struct iovec v[COUNT];
    char data[COUNT][8];
    for (int i = 0; i < COUNT; i++) {
        v[i] = (struct iovec){data[i], 8};
        m[i].msg_hdr.msg_iov = &v[i];
        m[i].msg_hdr.msg_iovlen = 1;
    }
    int64_t start = t_now(CLOCK_MONOTONIC);
    int n = recvmmsg(ends[0], m, COUNT, 0, NULL);
    int64_t end = t_now(CLOCK_MONOTONIC);
    if (n < 0) { /* the sender was late */
        CHECK_EQ(errno, EAGAIN);
        n = 0;
    }
    if (n < COUNT)
        CHECK_GE(end - (n ? sent[n - 1] : start), 60 * MSEC);
    return arg;
}

int main(void)
{
    struct timeval tv = {0, 60000};
    CHECK_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends));
    CHECK_OK(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
    pthread_t taker = t_go(takes, NULL), sender = t_go(sends, NULL);
    t_join(taker);
    t_join(sender);
    return 0;
}
