/* Five thousand threads parked in read on sockets at once; each ends when its peer closes. */
#include "../t.h"

#define COUNT 5000

static void *body(void *arg)
{
    char byte;
    int fd = (int)(intptr_t)arg;
    CHECK_EQ(read(fd, &byte, 1), 0);
    return NULL;
}

int main(void)
{
    static pthread_t threads[COUNT];
    static int peers[COUNT];
    struct rlimit files;
    CHECK_OK(getrlimit(RLIMIT_NOFILE, &files));
    if (files.rlim_max < 2 * COUNT + 100)
        t_skip("fewer than 10100 descriptors allowed");
    files.rlim_cur = files.rlim_max;
    CHECK_OK(setrlimit(RLIMIT_NOFILE, &files));
    pthread_attr_t attr;
    CHECK_OK(pthread_attr_init(&attr));
    CHECK_OK(pthread_attr_setstacksize(&attr, 64 << 10));
    for (int i = 0; i < COUNT; i++) {
        int ends[2];
        t_pair(ends);
        peers[i] = ends[1];
        int rc = pthread_create(&threads[i], &attr, body, (void *)(intptr_t)ends[0]);
        if (rc == EAGAIN && i > 100)
            t_skip("the machine does not allow 5000 threads");
        CHECK_OK(rc);
    }
    for (int i = 0; i < COUNT; i++)
        CHECK_OK(close(peers[(i * 7 + 3) % COUNT]));
    for (int i = 0; i < COUNT; i++)
        t_join(threads[i]);
    return 0;
}
