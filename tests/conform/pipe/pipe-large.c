/* One write of megabytes into a pipe takes all of it; the reader gets it in order; EOF reaches a
 * waiting reader. */
#include "../t.h"

#define SIZE (4 << 20)
static int tube[2];
static unsigned char *data;

static void *writes(void *arg)
{
    CHECK_EQ(write(tube[1], data, SIZE), SIZE);
    t_settle();
    CHECK_OK(close(tube[1]));
    return arg;
}

int main(void)
{
    unsigned char *in = malloc(SIZE + 1);
    data = malloc(SIZE);
    t_fill(data, SIZE, 1);
    CHECK_OK(pipe(tube));
    pthread_t thread = t_go(writes, NULL);
    size_t have = 0;
    ssize_t n;
    while ((n = read(tube[0], in + have, SIZE + 1 - have)) > 0)
        have += (size_t)n;
    CHECK_EQ(n, 0);
    CHECK_EQ(have, SIZE);
    CHECK_OK(memcmp(in, data, SIZE));
    t_join(thread);
    return 0;
}
