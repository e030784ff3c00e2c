/* recvmmsg and sendmmsg: wait for all of the vector, or with MSG_WAITFORONE for the first;
 * timeouts, looked at after each datagram; MSG_DONTWAIT; a sender waits on a full queue; an error
 * after some is told later. */
#include "../t.h"

#define COUNT 8
struct box {
    struct mmsghdr m[COUNT];
    struct iovec v[COUNT];
    char data[COUNT][16];
};
static int ends[2];

static struct box *box(void)
{
    struct box *b = calloc(1, sizeof *b);
    for (int i = 0; i < COUNT; i++) {
        b->v[i] = (struct iovec){b->data[i], sizeof b->data[i]};
        b->m[i].msg_hdr.msg_iov = &b->v[i];
        b->m[i].msg_hdr.msg_iovlen = 1;
    }
    return b;
}

static void *takes_all(void *arg)
{
    struct box *b = box();
    CHECK_EQ(recvmmsg(ends[0], b->m, COUNT, 0, NULL), COUNT);
    for (int i = 0; i < COUNT; i++) {
        CHECK_EQ(b->m[i].msg_len, i + 1);
        CHECK_EQ(b->data[i][0], 'a' + i);
    }
    free(b);
    return arg;
}

static void *takes_some(void *arg)
{
    struct box *b = box();
    int n = recvmmsg(ends[0], b->m, COUNT, MSG_WAITFORONE, NULL);
    CHECK(n >= 1 && n <= 3);
    for (int got = n; got < 3; got += n) {
        n = recvmmsg(ends[0], b->m, COUNT, MSG_WAITFORONE, NULL);
        CHECK(n >= 1 && n <= 2);
    }
    free(b);
    return arg;
}

static void *sends_many(void *arg)
{
    struct box *b = box();
    uint32_t number = 0;
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < COUNT; i++) {
            memcpy(b->data[i], &number, 4);
            number++;
            b->v[i].iov_len = 4 + number % 8;
        }
        int done = 0;
        while (done < COUNT) {
            int n = sendmmsg(ends[1], b->m + done, (unsigned)(COUNT - done), 0);
            CHECK(n > 0);
            done += n;
        }
    }
    free(b);
    return arg;
}

static void send_all(int n)
{
    struct box *b = box();
    for (int i = 0; i < n; i++) {
        memset(b->data[i], 'a' + i, 16);
        b->v[i].iov_len = (size_t)i + 1;
    }
    CHECK_EQ(sendmmsg(ends[1], b->m, (unsigned)n, 0), n);
    for (int i = 0; i < n; i++)
        CHECK_EQ(b->m[i].msg_len, i + 1);
    free(b);
}

int main(void)
{
    struct box *b = box();
    int types[] = {SOCK_DGRAM, SOCK_SEQPACKET};
    for (int t = 0; t < 2; t++) {
        CHECK_OK(socketpair(AF_UNIX, types[t], 0, ends));
        pthread_t thread = t_go(takes_all, NULL);
        t_settle();
        CHECK_EQ(send(ends[1], "a", 1, 0), 1); /* one is not all */
        t_settle();
        CHECK_EQ(send(ends[1], "bb", 2, 0), 2);
        for (int i = 2; i < COUNT; i++)
            CHECK_EQ(send(ends[1], memset(b->data[0], 'a' + i, 16), (size_t)i + 1, 0), i + 1);
        t_join(thread);

        thread = t_go(takes_some, NULL);
        t_settle();
        send_all(3);
        t_join(thread);

        thread = t_go(sends_many, NULL); /* more than the queue holds */
        t_settle();
        for (uint32_t number = 0; number < 100 * COUNT;) {
            struct box *r = box();
            int n = recvmmsg(ends[0], r->m, 1 + number % COUNT, MSG_WAITFORONE, NULL);
            CHECK(n > 0);
            for (int i = 0; i < n; i++) {
                uint32_t got;
                memcpy(&got, r->data[i], 4);
                CHECK_EQ(got, number++);
                CHECK_EQ(r->m[i].msg_len, 4 + number % 8);
            }
            free(r);
        }
        t_join(thread);

        CHECK_ERR(recvmmsg(ends[0], b->m, COUNT, MSG_DONTWAIT, NULL), EAGAIN);
        send_all(2);
        CHECK_EQ(recvmmsg(ends[0], b->m, COUNT, MSG_DONTWAIT, NULL), 2);
        struct timespec none = {0, 0}, some = {100, 0}, bad = {0, NSEC};
        send_all(3);
        CHECK_EQ(recvmmsg(ends[0], b->m, COUNT, 0, &none), 1); /* after the first, the time is up */
        CHECK_EQ(recvmmsg(ends[0], b->m, 2, 0, &some), 2);
        CHECK(some.tv_sec <= 100 && (some.tv_sec == 100 || some.tv_nsec > 0));
        CHECK_ERR(recvmmsg(ends[0], b->m, 2, 0, &bad), EINVAL);
        struct timeval tv = {0, 3000};
        CHECK_OK(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
        int64_t start = t_now(CLOCK_MONOTONIC);
        CHECK_ERR(recvmmsg(ends[0], b->m, 2, 0, NULL), EAGAIN);
        CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 3 * MSEC);
        send_all(1);
        CHECK_EQ(recvmmsg(ends[0], b->m, 2, 0, NULL), 1); /* one, then the timeout */
        CHECK_ERR(recvmmsg(ends[0], t_bad(), 2, MSG_DONTWAIT, NULL), EFAULT);
        CHECK_ERR(sendmmsg(-1, b->m, 2, 0), EBADF);
        CHECK_EQ(sendmmsg(ends[1], b->m, 0, 0), 0);
        close(ends[0]);
        close(ends[1]);
    }
    return 0;
}
