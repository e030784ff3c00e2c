/* open of a FIFO waits for the other side, in threads, without stopping the one that will open it;
 * O_NONBLOCK is ENXIO or at once. */
#include "../t.h"

static char dir[] = "handoff-fifo-XXXXXX", path[100];

static void *reader(void *arg)
{
    char byte;
    int fd = open(path, O_RDONLY);
    CHECK(fd >= 0);
    CHECK_EQ(read(fd, &byte, 1), 1);
    CHECK_EQ(read(fd, &byte, 1), 0);
    close(fd);
    return arg;
}

static void *writer(void *arg)
{
    int fd = open(path, O_WRONLY);
    CHECK(fd >= 0);
    CHECK_EQ(write(fd, "x", 1), 1);
    close(fd);
    return arg;
}

int main(void)
{
    CHECK(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/fifo", dir);
    CHECK_OK(mkfifo(path, 0600));
    CHECK_ERR(open(path, O_WRONLY | O_NONBLOCK), ENXIO);
    for (int i = 0; i < 20; i++) {
        pthread_t one = t_go(i % 2 ? reader : writer, NULL);
        if (i % 3)
            t_settle();
        pthread_t two = t_go(i % 2 ? writer : reader, NULL);
        t_join(one);
        t_join(two);
    }
    int fd = open(path, O_RDONLY | O_NONBLOCK);
    CHECK(fd >= 0);
    unlink(path);
    rmdir(dir);
    return 0;
}
