/* sendmmsg on a stream stops at a message that was sent in part - by a timeout, or for want of room
 * without waiting - and tells it as the last: what the reader gets has no hole. */
#include "../t.h"

#define SIZE 300000
static int ends[2];
static unsigned char data[2 * SIZE];
static _Atomic int taken;

static void *drains(void *arg)
{
    static unsigned char back[65536];
    int after = (int)(intptr_t)arg;
    struct timespec pause = {0, after * MSEC};
    nanosleep(&pause, NULL);
    for (;;) {
        ssize_t n = read(ends[0], back, sizeof back);
        CHECK_GE(n, 0);
        if (n == 0)
            return NULL;
        CHECK_OK(memcmp(back, data + taken, (size_t)n));
        taken += (int)n;
    }
}

int main(void)
{
    t_fill(data, sizeof data, 5);
    for (int round = 0; round < 40; round++) {
        struct iovec v[2] = {{data, SIZE}, {data + SIZE, SIZE}};
        struct mmsghdr m[2] = {{.msg_hdr = {.msg_iov = &v[0], .msg_iovlen = 1}},
                               {.msg_hdr = {.msg_iov = &v[1], .msg_iovlen = 1}}};
        struct timeval tv = {0, 4000};
        int flags = round % 4 == 3 ? MSG_DONTWAIT : 0;
        if (round % 2)
            t_tcp(ends);
        else
            t_pair(ends);
        int size = 65536;
        CHECK_OK(setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof size));
        CHECK_OK(setsockopt(ends[0], SOL_SOCKET, SO_RCVBUF, &size, sizeof size));
        CHECK_OK(setsockopt(ends[1], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv));
        if (round % 4 == 2)
            CHECK_OK(fcntl(ends[1], F_SETFL, O_NONBLOCK));
        taken = 0;
        pthread_t thread = t_go(drains, (void *)(intptr_t)(round % 10));
        int k = sendmmsg(ends[1], m, 2, flags);
        CHECK(k == 1 || k == 2);
        if (k == 2)
            CHECK_EQ(m[0].msg_len, SIZE);
        int sent = (int)(m[0].msg_len + (k == 2 ? m[1].msg_len : 0));
        close(ends[1]);
        t_join(thread);
        CHECK_EQ(taken, sent);
        close(ends[0]);
    }
    return 0;
}
