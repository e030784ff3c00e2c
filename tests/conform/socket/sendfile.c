/* sendfile from a file to a slow socket sends all of it, in the face of a full buffer. */
#include "../t.h"
#include <sys/sendfile.h>

#define SIZE (3 << 20)
static int ends[2];
static unsigned char *data;

static void *receives(void *arg)
{
    unsigned char *in = malloc(SIZE);
    t_settle();
    t_read_all(ends[1], in, SIZE);
    CHECK_OK(memcmp(in, data, SIZE));
    free(in);
    return arg;
}

int main(void)
{
    data = malloc(SIZE);
    t_fill(data, SIZE, 4);
    int fd = memfd_create("file", 0);
    t_write_all(fd, data, SIZE);
    t_tcp(ends);
    pthread_t thread = t_go(receives, NULL);
    off_t at = 0;
    while (at < SIZE) {
        ssize_t n = sendfile(ends[0], fd, &at, (size_t)(SIZE - at));
        CHECK(n > 0);
    }
    CHECK_EQ(at, SIZE);
    t_join(thread);
    return 0;
}
