/* SO_RCVLOWAT: poll reports no less than that much, and a read of more takes it. */
#include "../t.h"
#include <poll.h>

static int ends[2];

static void *sends(void *arg)
{
    for (int i = 0; i < 50; i++) {
        t_write_all(ends[1], "x", 1);
        if (i % 10 == 0)
            t_settle();
    }
    return arg;
}

int main(void)
{
    char data[100];
    int low = 50;
    t_tcp(ends);
    CHECK_OK(setsockopt(ends[0], SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low));
    pthread_t thread = t_go(sends, NULL);
    /* poll first: a read that had copied a part would, on Linux, wait for 50 more. */
    struct pollfd p = {ends[0], POLLIN, 0};
    CHECK_EQ(poll(&p, 1, -1), 1);
    CHECK_EQ(read(ends[0], data, sizeof data), 50);
    t_join(thread);
    return 0;
}
