/* Every pair of sending and receiving calls carries the bytes: read/write, send/recv,
 * sendto/recvfrom, readv/writev, sendmsg/recvmsg, sendmmsg/recvmmsg. */
#include "../t.h"

#define SIZE  1000
#define CALLS 6

static ssize_t put(int fd, unsigned char *data, int call)
{
    struct iovec iov[3] = {{data, 10}, {data + 10, 0}, {data + 10, SIZE - 10}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 3};
    struct mmsghdr many = {.msg_hdr = msg};
    switch (call) {
    case 0:
        return write(fd, data, SIZE);
    case 1:
        return send(fd, data, SIZE, 0);
    case 2:
        return sendto(fd, data, SIZE, 0, NULL, 0);
    case 3:
        return writev(fd, iov, 3);
    case 4:
        return sendmsg(fd, &msg, 0);
    default:
        CHECK_EQ(sendmmsg(fd, &many, 1, 0), 1);
        return many.msg_len;
    }
}

static ssize_t get(int fd, unsigned char *data, size_t size, int call)
{
    struct iovec iov[2] = {{data, size / 2}, {data + size / 2, size - size / 2}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
    struct mmsghdr many = {.msg_hdr = msg};
    switch (call) {
    case 0:
        return read(fd, data, size);
    case 1:
        return recv(fd, data, size, 0);
    case 2:
        return recvfrom(fd, data, size, 0, NULL, NULL);
    case 3:
        return readv(fd, iov, 2);
    case 4:
        return recvmsg(fd, &msg, 0);
    default:
        CHECK_EQ(recvmmsg(fd, &many, 1, 0, NULL), 1);
        return many.msg_len;
    }
}

static void *echoes(void *arg)
{
    int fd = *(int *)arg;
    unsigned char data[SIZE];
    for (int i = 0; i < CALLS * CALLS; i++) {
        t_read_all(fd, data, SIZE);
        t_write_all(fd, data, SIZE);
    }
    return NULL;
}

int main(void)
{
    for (int kind = 0; kind < 2; kind++) {
        int ends[2];
        unsigned char out[SIZE], in[SIZE];
        if (kind)
            t_pair(ends);
        else
            t_tcp(ends);
        pthread_t thread = t_go(echoes, &ends[1]);
        for (int i = 0; i < CALLS * CALLS; i++) {
            t_fill(out, SIZE, (uint32_t)i);
            CHECK_EQ(put(ends[0], out, i / CALLS), SIZE);
            for (size_t have = 0; have < SIZE;) {
                ssize_t n = get(ends[0], in + have, SIZE - have, i % CALLS);
                CHECK(n > 0);
                have += (size_t)n;
            }
            CHECK_OK(memcmp(in, out, SIZE));
        }
        t_join(thread);
        CHECK_OK(close(ends[1]));
        CHECK_EQ(read(ends[0], in, 1), 0);
        CHECK_OK(close(ends[0]));
    }
    return 0;
}
