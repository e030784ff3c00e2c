/* A perf event is read at once, by threads too, whatever is in its ring, of which alone poll tells; opened before there are
 * threads, or by one. */
#include "../t.h"
#include <linux/perf_event.h>

enum { THREADS = 4 };

static int early;

static int perf_open(void)
{
    struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE,
                                   .size = sizeof attr,
                                   .config = PERF_COUNT_SW_TASK_CLOCK,
                                   .sample_period = 1000000000000, /* never, here */
                                   .sample_type = PERF_SAMPLE_IP,
                                   .exclude_kernel = 1};
    int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
    if (fd < 0)
        return -1;
    if (mmap(NULL, (size_t)(2 * getpagesize()), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED) {
        close(fd);
        return -1;
    }
    return fd;
}

static void count(int fd)
{
    uint64_t before, after;
    struct pollfd p = {fd, POLLIN, 0};
    CHECK_EQ(read(fd, &before, sizeof before), sizeof before);
    CHECK_EQ(poll(&p, 1, 0), 0);
    CHECK_EQ(read(fd, &after, sizeof after), sizeof after);
    CHECK_GE(after, before);
}

static void *body(void *arg)
{
    count(early);
    int fd = perf_open();
    if (fd >= 0) { /* so many may be more memory than may be locked */
        count(fd);
        close(fd);
    }
    return arg;
}

int main(void)
{
    pthread_t threads[THREADS];
    if ((early = perf_open()) < 0)
        t_skip("no perf events here");
    for (int i = 0; i < THREADS; i++)
        threads[i] = t_go(body, NULL);
    for (int i = 0; i < THREADS; i++)
        t_join(threads[i]);
    count(early);
    return 0;
}
