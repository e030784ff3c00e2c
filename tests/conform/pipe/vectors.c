/* readv and writev on pipes and sockets: a large vector is written whole though the pipe is small,
 * a read takes what is there across its pieces, empty pieces, limits and errors; O_NONBLOCK writes
 * a part. */
#include "../t.h"

#define BIG (1 << 20)
static int ends[2];
static unsigned char *data;

static void *writes(void *arg)
{
    struct iovec v[1024];
    size_t piece = BIG / 1024;
    for (int i = 0; i < 1024; i++)
        v[i] = (struct iovec){data + i * piece, piece};
    CHECK_EQ(writev(ends[1], v, 1024), BIG);
    v[0].iov_len = 0;
    v[1] = (struct iovec){data, 3};
    CHECK_EQ(writev(ends[1], v, 2), 3);
    CHECK_OK(close(ends[1]));
    return arg;
}

static void reads_slowly(void)
{
    unsigned char *back = malloc(BIG + 3);
    size_t at = 0;
    uint32_t seed = 7;
    for (;;) {
        seed = seed * 1664525 + 1013904223;
        size_t one = seed >> 20, two = (seed >> 8) % 2000, left = BIG + 3 - at;
        one = one < left ? one : left;
        two = two < left - one ? two : left - one;
        struct iovec v[4] = {{back + at, one}, {NULL, 0}, {back + at + one, two}, {back, 0}};
        if (one + two == 0 && left)
            continue;
        char extra;
        ssize_t n = left ? readv(ends[0], v, 4) : read(ends[0], &extra, 1);
        if (n == 0)
            break;
        CHECK(n > 0);
        at += (size_t)n;
        if (seed % 64 == 0)
            sched_yield();
    }
    CHECK_EQ(at, BIG + 3);
    CHECK_OK(memcmp(back, data, BIG));
    CHECK_OK(memcmp(back + BIG, data, 3));
    free(back);
    close(ends[0]);
}

static void *waits(void *arg)
{
    char a[3], b[5], c[100];
    struct iovec v[3] = {{a, 3}, {b, 5}, {c, 100}};
    CHECK_EQ(readv(ends[0], v, 3), 10);
    CHECK_OK(memcmp(a, "012", 3));
    CHECK_OK(memcmp(b, "34567", 5));
    CHECK_OK(memcmp(c, "89", 2));
    return arg;
}

int main(void)
{
    data = malloc(BIG);
    t_fill(data, BIG, 3);
    for (int kind = 0; kind < 3; kind++) {
        if (kind == 0)
            CHECK_OK(pipe(ends));
        else if (kind == 1)
            t_pair(ends);
        else
            t_tcp(ends);
        pthread_t thread = t_go(waits, NULL);
        t_settle();
        CHECK_EQ(write(ends[1], "0123456789", 10), 10);
        t_join(thread);
        thread = t_go(writes, NULL);
        reads_slowly();
        t_join(thread);
    }
    CHECK_OK(pipe(ends));
    struct iovec bad[3] = {{data, 2}, {t_bad(), 5}, {data, 2}};
    static struct iovec many[1025];
    for (int i = 0; i < 1025; i++)
        many[i] = (struct iovec){data, 1};
    pthread_t thread =
        t_go(waits, NULL); /* and now from a second thread: the process is not single-threaded */
    CHECK_EQ(write(ends[1], "0123456789", 10), 10);
    t_join(thread);
    CHECK_ERR(writev(ends[1], many, 1025), EINVAL);
    CHECK_ERR(readv(ends[0], many, 1025), EINVAL);
    CHECK_ERR(readv(ends[0], t_bad(), 2), EFAULT);
    volatile int negative = -1;
    CHECK_ERR(readv(ends[0], many, negative), EINVAL);
    CHECK_EQ(readv(ends[0], many, 0), 0);
    bad[0].iov_len = (size_t)-1;
    CHECK_ERR(readv(ends[0], bad, 1), EINVAL);
    bad[0].iov_len = 0;
    CHECK_EQ(writev(ends[1], bad, 1), 0);
    CHECK_OK(fcntl(ends[1], F_SETFL, O_NONBLOCK));
    struct iovec large = {data, BIG};
    CHECK_EQ(writev(ends[1], &large, 1), 65536);
    CHECK_ERR(writev(ends[1], &large, 1), EAGAIN);
    return 0;
}
