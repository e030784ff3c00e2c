/* eventfd: readers wait for a count, semaphores give one each, writers wait at the limit.
 * conform: also HANDOFF_MAX_WORKERS=4
 */
#include "../t.h"
#include <sys/eventfd.h>

static int fd;
static _Atomic uint64_t total;

static void *takes(void *arg)
{
    uint64_t value;
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(read(fd, &value, 8), 8);
        CHECK_EQ(value, 1);
        total += value;
    }
    return arg;
}

static void *adds(void *arg)
{
    uint64_t value = 5;
    for (int i = 0; i < 20; i++)
        CHECK_EQ(write(fd, &value, 8), 8);
    return arg;
}

static void *drains(void *arg)
{
    uint64_t value;
    t_settle();
    CHECK_EQ(read(fd, &value, 8), 8);
    CHECK_EQ(value, UINT64_MAX - 1);
    return arg;
}

/* Writers beyond the limit, many of them, and others who go on meanwhile. */
enum { WRITERS = 200 };
static void *waits_to_add(void *arg)
{
    uint64_t one = 1;
    CHECK_EQ(write(fd, &one, 8), 8);
    return arg;
}

static void many_at_the_limit(void)
{
    pthread_t threads[WRITERS];
    uint64_t value = UINT64_MAX - 1, sum = 0;
    int other = fd;
    fd = eventfd(0, 0);
    CHECK_EQ(write(fd, &value, 8), 8);
    for (int i = 0; i < WRITERS; i++) {
        threads[i] = t_go(waits_to_add, NULL);
        if (i % 10 == 0)
            t_settle();
    }
    value = 1;
    for (int i = 0; i < 1000; i++)
        CHECK_EQ(write(other, &value, 8), 8);
    CHECK_EQ(read(other, &value, 8), 8);
    CHECK_EQ(value, 1000);
    CHECK_EQ(read(fd, &value, 8), 8);
    CHECK_EQ(value, UINT64_MAX - 1);
    while (sum < WRITERS) {
        CHECK_EQ(read(fd, &value, 8), 8);
        sum += value;
    }
    CHECK_EQ(sum, WRITERS);
    for (int i = 0; i < WRITERS; i++)
        t_join(threads[i]);
    close(fd);
    fd = other;
}

int main(void)
{
    pthread_t threads[10];
    uint64_t value;
    fd = eventfd(0, EFD_SEMAPHORE);
    CHECK(fd >= 0);
    for (int i = 0; i < 10; i++)
        threads[i] = t_go(i % 2 ? takes : adds, NULL);
    for (int i = 0; i < 10; i++)
        t_join(threads[i]);
    CHECK_EQ(total, 500);
    close(fd);

    fd = eventfd(0, 0);
    value = UINT64_MAX - 1;
    CHECK_EQ(write(fd, &value, 8), 8);
    threads[0] = t_go(drains, NULL);
    value = 3;
    CHECK_EQ(write(fd, &value, 8), 8); /* waits until drained */
    t_join(threads[0]);
    CHECK_EQ(read(fd, &value, 8), 8);
    CHECK_EQ(value, 3);
    CHECK_ERR(read(fd, &value, 4), EINVAL);
    many_at_the_limit();
    close(fd);
    fd = eventfd(0, EFD_NONBLOCK);
    CHECK_ERR(read(fd, &value, 8), EAGAIN);
    return 0;
}
