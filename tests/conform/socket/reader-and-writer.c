/* One thread reads and another writes the same socket at once, both blocked at times, in both
 * directions. */
#include "../t.h"

#define SIZE (2 << 20)
static unsigned char *data;

static void *sends(void *arg)
{
    t_write_all(*(int *)arg, data, SIZE);
    return NULL;
}

static void *receives(void *arg)
{
    unsigned char *in = malloc(SIZE);
    t_read_all(*(int *)arg, in, SIZE);
    CHECK_OK(memcmp(in, data, SIZE));
    free(in);
    return NULL;
}

int main(void)
{
    data = malloc(SIZE);
    t_fill(data, SIZE, 3);
    for (int kind = 0; kind < 2; kind++) {
        int ends[2];
        pthread_t threads[4];
        if (kind)
            t_pair(ends);
        else
            t_tcp(ends);
        for (int i = 0; i < 2; i++) {
            threads[2 * i] = t_go(sends, &ends[i]);
            threads[2 * i + 1] = t_go(receives, &ends[i]);
        }
        for (int i = 0; i < 4; i++)
            t_join(threads[i]);
        close(ends[0]);
        close(ends[1]);
    }
    return 0;
}
