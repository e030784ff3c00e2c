/* Descriptors closed, opened and accepted through an io_uring, which are no calls of close, open and accept: the numbers are
 * used again at once for what is of another kind, and behave as what they now are. */
#include "../ring.h"
#include <sys/eventfd.h>

enum { ROUNDS = 24, THREADS = 3 };

/* The operation, done and waited for. */
static int ring_do(struct ring *r, struct io_uring_sqe sqe)
{
    ring_push(r, sqe);
    CHECK_EQ(ring_enter(r, 1, 1), 1);
    return ring_pop(r).res;
}

static void ring_close(struct ring *r, int fd)
{
    CHECK_OK(ring_do(r, (struct io_uring_sqe){.opcode = IORING_OP_CLOSE, .fd = fd}));
}

static void *writes(void *arg)
{
    t_settle();
    CHECK_EQ(write((int)(intptr_t)arg, "\1\0\0\0\0\0\0", 8), 8);
    return NULL;
}

/* A wait on the first of the two; what is written to the second ends it. */
static void waits(int in, int out)
{
    uint64_t value = 0;
    pthread_t thread = t_go(writes, (void *)(intptr_t)out);
    CHECK_EQ(read(in, &value, 8), 8);
    CHECK_EQ(value, 1);
    t_join(thread);
}

static void make(int kind, int ends[2])
{
    if (kind == 0)
        t_pair(ends);
    else if (kind == 1)
        t_tcp(ends);
    else if (kind == 2)
        CHECK_OK(pipe(ends));
    else if (kind == 3)
        CHECK((ends[1] = ends[0] = eventfd(0, 0)) >= 0);
}

static void *body(void *arg)
{
    struct ring r;
    CHECK_OK(ring_open(&r));
    for (int i = 0; i < ROUNDS; i++) {
        int ends[2], file;
        char text[6] = "";
        make(i % 4, ends);
        waits(ends[0], ends[1]);
        ring_close(&r, ends[0]);
        if (i % 4 != 3)
            ring_close(&r, ends[1]);
        if (i % 3 == 0) { /* a file */
            file = i % 2 ? ring_do(&r, (struct io_uring_sqe){.opcode = IORING_OP_OPENAT,
                                                             .fd = AT_FDCWD,
                                                             .addr = (uint64_t)(uintptr_t)"/proc/self/status",
                                                             .open_flags = O_RDONLY})
                         : open("/proc/self/status", O_RDONLY);
            CHECK_GE(file, 0);
            CHECK_EQ(read(file, text, 5), 5);
            CHECK_OK(memcmp(text, "Name:", 5));
            close(file);
        } else if (i % 3 == 1) { /* another kind that waits */
            make((i / 4) % 4, ends);
            waits(ends[0], ends[1]);
            close(ends[0]);
            if ((i / 4) % 4 != 3)
                close(ends[1]);
        } else {
            struct sockaddr_in address;
            int listener = t_listen(&address, 1);
            ends[0] = t_connect(&address);
            ends[1] = ring_do(&r, (struct io_uring_sqe){.opcode = IORING_OP_ACCEPT, .fd = listener});
            CHECK_GE(ends[1], 0);
            waits(ends[1], ends[0]);
            close(ends[0]);
            close(ends[1]);
            close(listener);
        }
    }
    close(r.fd);
    return arg;
}

int main(void)
{
    pthread_t threads[THREADS];
    struct ring r;
    if (ring_open(&r) != 0)
        t_skip("no io_uring here");
    close(r.fd);
    for (int n = 1; n <= THREADS; n += THREADS - 1) { /* one, then several */
        for (int i = 0; i < n; i++)
            threads[i] = t_go(body, NULL);
        for (int i = 0; i < n; i++)
            t_join(threads[i]);
    }
    return 0;
}
