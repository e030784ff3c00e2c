/* A low RLIMIT_NOFILE, set before there are threads, changes nothing: the next descriptor has the number it would have, and a
 * wait outlives the close of its descriptor. */
#include "../t.h"

static int ends[2];

static void *nothing(void *arg)
{
    return arg;
}

static void *reads(void *arg)
{
    char byte;
    CHECK_EQ(read(ends[0], &byte, 1), 1);
    return arg;
}

int main(void)
{
    struct rlimit limit = {256, 256};
    CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
    int next = open("/dev/null", O_RDONLY);
    CHECK(next >= 0 && next < 100);
    CHECK_OK(close(next));
    t_join(t_go(nothing, NULL));
    CHECK_EQ(open("/dev/null", O_RDONLY), next);
    t_pair(ends);
    CHECK_EQ(ends[0], next + 1);
    CHECK_EQ(ends[1], next + 2);
    pthread_t thread = t_go_waits(reads, NULL);
    CHECK_OK(close(ends[0]));
    CHECK_EQ(write(ends[1], "x", 1), 1);
    t_join(thread);
    CHECK_OK(getrlimit(RLIMIT_NOFILE, &limit));
    CHECK_EQ(limit.rlim_cur, 256);
    CHECK_EQ(limit.rlim_max, 256);
    return 0;
}
