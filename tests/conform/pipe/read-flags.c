/* preadv2 and pwritev2: at offset -1 they read and write streams, waiting as read does; RWF_NOWAIT
 * never waits; positions and flags on files; what streams and kernels refuse. */
#include "../t.h"

static int tube[2], pair[2];

static void *waits(void *arg)
{
    char text[10];
    struct iovec v = {text, 10};
    int fd = arg ? pair[0] : tube[0];
    CHECK_EQ(preadv2(fd, &v, 1, -1, 0), 5);
    CHECK_OK(memcmp(text, "hello", 5));
    return NULL;
}

static void *fills(void *arg)
{
    static char block[300000];
    struct iovec v = {block, sizeof block};
    int fd = arg ? pair[1] : tube[1];
    CHECK_EQ(pwritev2(fd, &v, 1, -1, 0), sizeof block);
    return NULL;
}

int main(void)
{
    char text[10], path[] = "handoff-flags-XXXXXX";
    struct iovec v = {text, 10}, hello = {"hello", 5};
    CHECK_OK(pipe(tube));
    t_pair(pair);
    for (int kind = 0; kind < 2; kind++) {
        int *ends = kind ? pair : tube;
        pthread_t thread = t_go(waits, kind ? pair : NULL);
        t_settle();
        CHECK_EQ(pwritev2(ends[1], &hello, 1, -1, 0), 5);
        t_join(thread);
        CHECK_ERR(preadv2(ends[0], &v, 1, -1, RWF_NOWAIT), EAGAIN);
        CHECK_EQ(write(ends[1], "abc", 3), 3);
        CHECK_EQ(preadv2(ends[0], &v, 1, -1, RWF_NOWAIT), 3);
        CHECK_ERR(preadv2(ends[0], &v, 1, 0, 0), ESPIPE);
        CHECK_ERR(pwritev2(ends[1], &hello, 1, 5, 0), ESPIPE);
        CHECK_ERR(preadv(ends[0], &v, 1, 0), ESPIPE);
        CHECK_ERR(pread(ends[0], text, 1, 0), ESPIPE);
        CHECK_ERR(preadv2(ends[0], &v, 1, -1, 0x4000000), EOPNOTSUPP);
        thread = t_go(fills, kind ? pair : NULL);
        for (size_t left = 300000; left;) {
            static char block[70000];
            struct iovec w = {block, sizeof block};
            ssize_t n = preadv2(ends[0], &w, 1, -1, 0);
            CHECK(n > 0);
            left -= (size_t)n;
        }
        t_join(thread);
        CHECK_OK(fcntl(ends[0], F_SETFL, O_NONBLOCK));
        CHECK_ERR(preadv2(ends[0], &v, 1, -1, 0), EAGAIN);
    }
    int file = mkstemp(path);
    unlink(path);
    CHECK_EQ(pwritev2(file, &hello, 1, 10, RWF_DSYNC), 5);
    CHECK_EQ(pwritev2(file, &hello, 1, -1, 0), 5);
    CHECK_EQ(lseek(file, 0, SEEK_CUR), 5);
    CHECK_EQ(pwritev2(file, &hello, 1, 0, RWF_APPEND), 5);
    CHECK_EQ(lseek(file, 0, SEEK_END), 20);
    CHECK_EQ(preadv2(file, &v, 1, 15, RWF_HIPRI), 5);
    CHECK_OK(memcmp(text, "hello", 5));
    CHECK_EQ(preadv2(file, &v, 1, 20, 0), 0);
    CHECK_EQ(lseek(file, 8, SEEK_SET), 8);
    CHECK_EQ(preadv2(file, &v, 1, -1, 0), 10);
    CHECK_EQ(lseek(file, 0, SEEK_CUR), 18);
    return 0;
}
