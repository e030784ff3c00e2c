/* Regular files from many threads: pread, pwrite, append, fsync, each with its own view. */
#include "../t.h"

#define COUNT 16
static int fd, log_fd;

static void *body(void *arg)
{
    intptr_t id = (intptr_t)arg;
    unsigned char out[4096], in[4096];
    for (int i = 0; i < 10; i++) {
        off_t at = (off_t)(id * 10 + i) * 4096;
        t_fill(out, sizeof out, (uint32_t)at);
        CHECK_EQ(pwrite(fd, out, sizeof out, at), sizeof out);
        CHECK_OK(fsync(fd));
        CHECK_EQ(pread(fd, in, sizeof in, at), sizeof in);
        CHECK_OK(memcmp(in, out, sizeof in));
        CHECK_EQ(write(log_fd, "0123456789abcde\n", 16), 16);
    }
    return NULL;
}

int main(void)
{
    char path[] = "handoff-file-XXXXXX";
    pthread_t threads[COUNT];
    fd = mkstemp(path);
    CHECK(fd >= 0);
    unlink(path);
    char other[] = "handoff-file-XXXXXX";
    close(mkstemp(other));
    log_fd = open(other, O_RDWR | O_APPEND);
    unlink(other);
    for (intptr_t i = 0; i < COUNT; i++)
        threads[i] = t_go(body, (void *)i);
    for (int i = 0; i < COUNT; i++)
        t_join(threads[i]);
    struct stat st;
    CHECK_OK(fstat(log_fd, &st));
    CHECK_EQ(st.st_size, COUNT * 10 * 16);
    CHECK_OK(fstat(fd, &st));
    CHECK_EQ(st.st_size, COUNT * 10 * 4096);
    return 0;
}
