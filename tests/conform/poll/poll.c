/* poll in threads: readiness, timeouts of 0, finite (never early) and infinite, POLLHUP, POLLNVAL,
 * ignored entries, errors. */
#include "../t.h"

static void *body(void *arg)
{
    int ends[2], tube[2];
    t_pair(ends);
    CHECK_OK(pipe(tube));
    struct pollfd p[4] = {
        {ends[0], POLLIN, 0}, {ends[1], POLLIN, 0}, {tube[0], POLLIN, 0}, {-1, POLLIN, 0}};
    CHECK_EQ(poll(p, 4, 0), 0);
    int64_t start = t_now(CLOCK_MONOTONIC);
    CHECK_EQ(poll(p, 4, 15), 0);
    CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 15 * MSEC);
    struct timespec wait = t_spec(5 * MSEC);
    start = t_now(CLOCK_MONOTONIC);
    CHECK_EQ(ppoll(p, 4, &wait, NULL), 0);
    CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 5 * MSEC);
    start = t_now(CLOCK_MONOTONIC);
    CHECK_EQ(poll(NULL, 0, 5), 0);
    CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 5 * MSEC);
    CHECK_EQ(write(ends[0], "x", 1), 1);
    CHECK_EQ(poll(p, 4, -1), 1);
    CHECK_EQ(p[1].revents, POLLIN);
    CHECK_EQ(p[0].revents, 0);
    close(tube[1]);
    CHECK_EQ(poll(p, 4, -1), 2);
    CHECK_EQ(p[2].revents, POLLHUP);
    p[3].fd = 12345;
    CHECK_EQ(poll(p, 4, -1), 3);
    CHECK_EQ(p[3].revents, POLLNVAL);
    CHECK_ERR(poll(t_bad(), 1, 0), EFAULT);
    struct timespec bad = {0, -1};
    CHECK_ERR(ppoll(p, 4, &bad, NULL), EINVAL);
    close(ends[0]);
    close(ends[1]);
    close(tube[0]);
    return arg;
}

static int shared[2];
static void *waits(void *arg)
{
    struct pollfd p = {shared[0], POLLIN, 0};
    CHECK_EQ(poll(&p, 1, arg ? 1000000 : -1), 1);
    CHECK_EQ(p.revents, POLLIN);
    return NULL;
}

int main(void)
{
    pthread_t threads[20];
    body(NULL);
    for (int i = 0; i < 5; i++)
        threads[i] = t_go(body, NULL);
    for (int i = 0; i < 5; i++)
        t_join(threads[i]);
    t_pair(shared);
    for (int i = 0; i < 20; i++)
        threads[i] = t_go(waits, i % 2 ? shared : NULL);
    t_settle();
    CHECK_EQ(write(shared[1], "x", 1), 1); /* readiness is for all of them */
    for (int i = 0; i < 20; i++)
        t_join(threads[i]);
    return 0;
}
