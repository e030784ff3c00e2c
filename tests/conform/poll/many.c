/* poll of thousands of descriptors by several threads at once: any one of them wakes all, entries
 * are told by place (doubled and negative ones too), and more entries than descriptors allowed are
 * EINVAL. */
#include "../t.h"

#define PIPES   3000
#define POLLERS 4

static int tubes[PIPES][2];
static int ready; /* index of the pipe written to */
static pthread_barrier_t barrier;

static void *polls(void *arg)
{
    struct pollfd *p = calloc(PIPES + 3, sizeof *p);
    for (int i = 0; i < PIPES; i++)
        p[i] = (struct pollfd){tubes[i][0], POLLIN, 0x55};
    p[PIPES] = (struct pollfd){-1, POLLIN, 0x55};
    p[PIPES + 1] = (struct pollfd){-12345, POLLOUT, 0x55};
    for (int round = 0; round < 6; round++) {
        pthread_barrier_wait(&barrier);
        int twice =
            (round * 977 + 13) % PIPES; /* the one that will be ready, once more at the end */
        p[PIPES + 2] = (struct pollfd){tubes[twice][0], POLLIN, 0};
        CHECK_GE(poll(p, PIPES + 3, arg ? 1000000 : -1),
                 1); /* it may become ready between the two looks at it */
        CHECK_EQ(ready, twice);
        CHECK_EQ(poll(p, PIPES + 3, arg ? 1000000 : -1), 2);
        for (int i = 0; i < PIPES; i++)
            CHECK_EQ(p[i].revents, i == twice ? POLLIN : 0);
        CHECK_EQ(p[PIPES].revents, 0);
        CHECK_EQ(p[PIPES + 1].revents, 0);
        CHECK_EQ(p[PIPES + 2].revents, POLLIN);
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
    }
    CHECK_EQ(poll(p, PIPES + 2, 0), 0);
    CHECK_EQ(poll(p, PIPES + 2, 3), 0);
    free(p);
    return NULL;
}

int main(void)
{
    pthread_t threads[POLLERS];
    char byte;
    t_descriptors(2 * PIPES + 100);
    for (int i = 0; i < PIPES; i++)
        CHECK_OK(pipe(tubes[i]));
    CHECK_OK(pthread_barrier_init(&barrier, NULL, POLLERS + 1));
    for (int i = 0; i < POLLERS; i++)
        threads[i] = t_go(polls, i % 2 ? tubes : NULL);
    for (int round = 0; round < 6; round++) {
        ready = (round * 977 + 13) % PIPES;
        pthread_barrier_wait(&barrier);
        if (round % 2)
            t_settle();
        CHECK_EQ(write(tubes[ready][1], "x", 1), 1);
        pthread_barrier_wait(&barrier);
        CHECK_EQ(read(tubes[ready][0], &byte, 1), 1);
        pthread_barrier_wait(&barrier);
    }
    for (int i = 0; i < POLLERS; i++)
        t_join(threads[i]);
    struct rlimit limit;
    CHECK_OK(getrlimit(RLIMIT_NOFILE, &limit));
    struct pollfd *p = calloc(limit.rlim_cur + 1, sizeof *p);
    for (rlim_t i = 0; i <= limit.rlim_cur; i++)
        p[i].fd = -1;
    CHECK_EQ(poll(p, limit.rlim_cur, 0), 0);
    CHECK_ERR(poll(p, limit.rlim_cur + 1, 0), EINVAL);
    return 0;
}
