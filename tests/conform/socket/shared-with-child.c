/* Sockets, pipes, eventfds and listeners shared with a forked child, which has threads or not:
 * parent's threads and the child wait on the same description, each datum goes to exactly one, and
 * neither stalls the other. */
#include "../t.h"
#include <sys/eventfd.h>

#define ITEMS   400
#define THREADS 4
static int ends[2], events, results[2], kind;

/* Takes until it is told the end by a 0; what it took is written to the results. */
static void *takes(void *arg)
{
    for (;;) {
        uint32_t item = 0;
        CHECK_EQ(read(ends[0], &item, sizeof item), sizeof item);
        CHECK_EQ(write(results[1], &item, sizeof item), sizeof item);
        if (item == 0)
            return arg;
    }
}

static void run(int child_threads)
{
    pthread_t threads[THREADS];
    static int seen[ITEMS + 1];
    memset(seen, 0, sizeof seen);
    CHECK_OK(pipe(results));
    for (int i = 0; i < THREADS; i++)
        threads[i] = t_go(takes, ends);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        t_bound();
        if (child_threads) {
            pthread_t one = t_go(takes, ends);
            takes(ends);
            t_join(one);
        } else {
            takes(ends);
        }
        _exit(0);
    }
    int takers = THREADS + (child_threads ? 2 : 1);
    uint32_t item;
    for (uint32_t i = 1; i <= ITEMS; i++)
        CHECK_EQ(write(ends[1], &i, sizeof i), sizeof i);
    for (int i = 0; i < takers; i++)
        CHECK_EQ(write(ends[1], &(uint32_t){0}, sizeof item), sizeof item);
    int got = 0, finished = 0;
    while (finished < takers) {
        CHECK_EQ(read(results[0], &item, sizeof item), sizeof item);
        if (item == 0) {
            finished++;
        } else {
            CHECK(item <= ITEMS);
            CHECK_EQ(seen[item]++, 0);
            got++;
        }
    }
    CHECK_EQ(got, ITEMS);
    for (int i = 0; i < THREADS; i++)
        t_join(threads[i]);
    t_expect_exit(child, 0);
    close(results[0]);
    close(results[1]);
}

static void *accepts(void *arg)
{
    int fd = accept(ends[0], NULL, NULL);
    CHECK(fd >= 0);
    CHECK_EQ(write(fd, "x", 1), 1);
    close(fd);
    return arg;
}

static void *drains(void *arg)
{
    uint64_t value;
    CHECK_EQ(read(events, &value, 8), 8);
    return arg;
}

int main(void)
{
    int types[] = {SOCK_SEQPACKET, SOCK_DGRAM};
    for (kind = 0; kind < 3; kind++)
        for (int child_threads = 0; child_threads < 2; child_threads++) {
            if (kind == 2)
                CHECK_OK(pipe(ends));
            else
                CHECK_OK(socketpair(AF_UNIX, types[kind], 0, ends));
            run(child_threads);
            close(ends[0]);
            close(ends[1]);
        }
    /* a listener: half of the connections each, in whatever order */
    struct sockaddr_in address;
    pthread_t threads[5];
    ends[0] = t_listen(&address, 16);
    for (int i = 0; i < 5; i++)
        threads[i] = t_go(accepts, NULL);
    pid_t child = fork();
    if (child == 0) {
        t_bound();
        for (int i = 0; i < 5; i++)
            accepts(NULL);
        _exit(0);
    }
    for (int i = 0; i < 10; i++) {
        char byte;
        int fd = t_connect(&address);
        CHECK_EQ(read(fd, &byte, 1), 1);
        close(fd);
    }
    for (int i = 0; i < 5; i++)
        t_join(threads[i]);
    t_expect_exit(child, 0);
    /* an eventfd: the child wakes the parent's thread, and the other way round */
    events = eventfd(0, 0);
    threads[0] = t_go(drains, NULL);
    t_settle();
    child = fork();
    if (child == 0) {
        CHECK_OK(eventfd_write(events, 5));
        _exit(0);
    }
    t_join(threads[0]);
    t_expect_exit(child, 0);
    child = fork();
    if (child == 0) {
        t_bound();
        drains(NULL);
        _exit(0);
    }
    CHECK_OK(eventfd_write(events, 1));
    t_expect_exit(child, 0);
    return 0;
}
