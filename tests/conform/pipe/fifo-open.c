/* open, openat, openat2 and creat of a FIFO wait for the other side, in threads, without stopping the one that will open it;
 * O_NONBLOCK is ENXIO or at once. */
#include "../t.h"
#include <linux/openat2.h>

static char dir[] = "handoff-fifo-XXXXXX", path[100];

/* By turns by each call there is. */
static int opens(int how, int flags)
{
    struct open_how open_how = {.flags = (uint64_t)flags};
    switch (how % 4) {
    case 0: return open(path, flags);
    case 1: return openat(AT_FDCWD, path, flags);
    case 2: return (int)syscall(SYS_openat2, AT_FDCWD, path, &open_how, sizeof open_how);
    default: return flags == O_WRONLY ? (int)syscall(SYS_creat, path, 0600) : (int)syscall(SYS_open, path, flags);
    }
}

static void *reader(void *arg)
{
    char byte;
    int fd = opens((int)(intptr_t)arg, O_RDONLY);
    CHECK(fd >= 0);
    CHECK_EQ(read(fd, &byte, 1), 1);
    CHECK_EQ(read(fd, &byte, 1), 0);
    close(fd);
    return arg;
}

static void *writer(void *arg)
{
    int fd = opens((int)(intptr_t)arg, O_WRONLY);
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
        pthread_t one = t_go(i % 2 ? reader : writer, (void *)(intptr_t)(i / 2));
        if (i % 3)
            t_settle();
        pthread_t two = t_go(i % 2 ? writer : reader, (void *)(intptr_t)(i / 2));
        t_join(one);
        t_join(two);
    }
    int fd = open(path, O_RDONLY | O_NONBLOCK);
    CHECK(fd >= 0);
    unlink(path);
    rmdir(dir);
    return 0;
}
