/* FIFOs: many openers waiting on both sides of many of them, O_RDWR at once, data and the end
 * across several writers, poll before a writer came. */
/* conform: also HANDOFF_MAX_WORKERS=4 */
/* conform: also HANDOFF_MAX_WORKERS=1 */
#include "../t.h"

#define COUNT 30
static char dir[] = "handoff-fifos-XXXXXX";

static void name(char *path, size_t size, int i)
{
    snprintf(path, size, "%s/%d", dir, i);
}

static void *reader(void *arg)
{
    char path[100];
    int total = 0, value;
    name(path, sizeof path, (int)(intptr_t)arg);
    int fd = open(path, O_RDONLY);
    CHECK(fd >= 0);
    ssize_t n;
    while ((n = read(fd, &value, sizeof value)) > 0) {
        CHECK_EQ(n, sizeof value);
        CHECK_EQ(value, (intptr_t)arg);
        total++;
    }
    CHECK_EQ(n, 0);
    close(fd);
    return (void *)(intptr_t)total;
}

static void *writer(void *arg)
{
    char path[100];
    int value = (int)(intptr_t)arg;
    name(path, sizeof path, value);
    int fd = open(path, O_WRONLY);
    CHECK(fd >= 0);
    for (int i = 0; i < 20; i++)
        CHECK_EQ(write(fd, &value, sizeof value), sizeof value);
    close(fd);
    return NULL;
}

int main(void)
{
    pthread_t readers[COUNT], writers[COUNT];
    char path[100];
    CHECK(mkdtemp(dir));
    for (int i = 0; i < COUNT; i++) {
        name(path, sizeof path, i);
        CHECK_OK(mkfifo(path, 0600));
    }
    for (int i = 0; i < COUNT; i++) { /* half wait as readers, half as writers */
        if (i % 2)
            readers[i] = t_go(reader, (void *)(intptr_t)i);
        else
            writers[i] = t_go(writer, (void *)(intptr_t)i);
    }
    t_settle();
    for (int i = COUNT - 1; i >= 0; i--) {
        if (i % 2)
            writers[i] = t_go(writer, (void *)(intptr_t)i);
        else
            readers[i] = t_go(reader, (void *)(intptr_t)i);
    }
    for (int i = 0; i < COUNT; i++) {
        t_join(writers[i]);
        CHECK_EQ((intptr_t)t_join(readers[i]), 20);
    }
    name(path, sizeof path, 0);
    int both = open(path, O_RDWR); /* waits for nobody */
    CHECK(both >= 0);
    CHECK_EQ(write(both, "x", 1), 1);
    struct pollfd p = {both, POLLIN, 0};
    CHECK_EQ(poll(&p, 1, -1), 1);
    name(path, sizeof path, 1);
    int early = open(path, O_RDONLY | O_NONBLOCK);
    p.fd = early;
    CHECK_EQ(poll(&p, 1, 0), 0); /* no writer yet is no hang-up */
    CHECK_EQ(read(early, path + 90, 1), 0);
    writers[0] = t_go(writer, (void *)1);
    CHECK_EQ(poll(&p, 1, -1), 1);
    t_join(writers[0]);
    CHECK_EQ(poll(&p, 1, -1), 1);
    CHECK_EQ(p.revents, POLLIN | POLLHUP);
    for (int i = 0; i < COUNT; i++) {
        name(path, sizeof path, i);
        unlink(path);
    }
    rmdir(dir);
    return 0;
}
