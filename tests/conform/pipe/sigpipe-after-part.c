/* The last reader of a pipe goes while a write waits that has written a part: the part is the answer, and SIGPIPE comes all the
 * same. */
#include "../t.h"
#include <sys/ioctl.h>

static int ends[2], size;
static volatile int caught;
static char data[300000];

static void handler(int number)
{
    (void)number;
    caught++;
}

static void *writes(void *arg)
{
    struct iovec v[2] = {{data, 100000}, {data + 100000, 200000}};
    if (arg)
        CHECK_EQ(writev(ends[1], v, 2), size);
    else
        CHECK_EQ(write(ends[1], data, sizeof data), size);
    CHECK_EQ(caught, 1);
    CHECK_ERR(write(ends[1], data, sizeof data), EPIPE);
    CHECK_EQ(caught, 2);
    return NULL;
}

int main(void)
{
    struct sigaction action = {.sa_handler = handler};
    CHECK_OK(sigaction(SIGPIPE, &action, NULL));
    for (int vector = 0; vector < 2; vector++) {
        CHECK_OK(pipe(ends));
        size = fcntl(ends[1], F_GETPIPE_SZ);
        CHECK(size > 0 && size < (int)sizeof data);
        caught = 0;
        pthread_t thread = t_go(writes, vector ? data : NULL);
        int written;
        do {
            t_settle();
            CHECK_OK(ioctl(ends[0], FIONREAD, &written));
        } while (written < size);
        CHECK_OK(close(ends[0]));
        t_join(thread);
        close(ends[1]);
    }
    return 0;
}
