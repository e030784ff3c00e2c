/* Blocking writes of megabytes through small buffers arrive whole, in order, by one write call
 * each; writev too. */
#include "../t.h"

#define SIZE (4 << 20)

static unsigned char *data;
struct end {
    int fd, vector;
};

static void *sends(void *arg)
{
    struct end *end = arg;
    if (end->vector) {
        struct iovec iov[4];
        for (int i = 0; i < 4; i++)
            iov[i] = (struct iovec){data + i * (SIZE / 4), SIZE / 4};
        CHECK_EQ(writev(end->fd, iov, 4), SIZE);
    } else {
        CHECK_EQ(write(end->fd, data, SIZE), SIZE); /* a blocking write takes all */
    }
    CHECK_OK(shutdown(end->fd, SHUT_WR));
    return NULL;
}

static void *receives(void *arg)
{
    int fd = *(int *)arg;
    unsigned char *in = malloc(SIZE + 1);
    size_t have = 0;
    ssize_t n;
    CHECK(in);
    while ((n = read(fd, in + have, have % 3 ? 7001 : 40000)) > 0)
        have += (size_t)n;
    CHECK_EQ(n, 0);
    CHECK_EQ(have, SIZE);
    CHECK_OK(memcmp(in, data, SIZE));
    free(in);
    return NULL;
}

int main(void)
{
    data = malloc(SIZE);
    CHECK(data);
    t_fill(data, SIZE, 9);
    for (int kind = 0; kind < 4; kind++) {
        int ends[2], small = 65536;
        if (kind % 2)
            t_pair(ends);
        else
            t_tcp(ends);
        setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
        struct end end = {ends[0], kind / 2};
        pthread_t one = t_go(sends, &end), two = t_go(receives, &ends[1]);
        t_join(one);
        t_join(two);
        close(ends[0]);
        close(ends[1]);
    }
    return 0;
}
