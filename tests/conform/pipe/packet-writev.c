/* writev to a packet pipe (O_DIRECT) makes packets of a page, over the borders of its vectors, also where it has to wait between
 * them. */
#include "../t.h"

#define PAGE   4096
#define PIECES 10
#define PIECE  1000
static int ends[2];
static unsigned char data[PIECES * PIECE];

static void *writes(void *arg)
{
    struct iovec v[PIECES];
    for (int i = 0; i < PIECES; i++)
        v[i] = (struct iovec){data + i * PIECE, PIECE};
    CHECK_EQ(writev(ends[1], v, PIECES), sizeof data);
    return arg;
}

int main(void)
{
    unsigned char got[2 * PAGE];
    if (sysconf(_SC_PAGESIZE) != PAGE)
        t_skip("other pages");
    t_fill(data, sizeof data, 1);
    CHECK_OK(pipe2(ends, O_DIRECT));
    CHECK_EQ(fcntl(ends[1], F_SETPIPE_SZ, 2 * PAGE), 2 * PAGE);
    CHECK_EQ(write(ends[1], "x", 1), 1); /* of two places one is left */
    pthread_t thread = t_go(writes, NULL);
    t_settle();
    CHECK_EQ(read(ends[0], got, sizeof got), 1);
    for (size_t at = 0; at < sizeof data; at += PAGE) {
        t_settle();
        size_t packet = sizeof data - at < PAGE ? sizeof data - at : PAGE;
        CHECK_EQ(read(ends[0], got, sizeof got), packet);
        CHECK_OK(memcmp(got, data + at, packet));
    }
    t_join(thread);
    return 0;
}
