/* splice, tee and vmsplice between pipes and sockets, each side slow in turn: all bytes, in order,
 * the end too; SPLICE_F_NONBLOCK does not wait; several chains at once. */
#include "../t.h"

#define SIZE   400000
#define CHAINS 6

struct chain {
    int in[2], out[2], branch[2]; /* writer -> in -> splice -> out -> reader; tee -> branch */
    int kind;
    unsigned char *data;
};

static void *writes(void *arg)
{
    struct chain *c = arg;
    uint32_t seed = 5;
    for (size_t at = 0; at < SIZE;) {
        seed = seed * 1664525 + 1013904223;
        size_t n = (seed >> 16) % 9000 + 1;
        n = n < SIZE - at ? n : SIZE - at;
        if (c->kind == 2 && seed % 2) {
            struct iovec v = {c->data + at, n};
            ssize_t done = vmsplice(c->in[1], &v, 1, 0);
            CHECK(done > 0);
            n = (size_t)done;
        } else {
            t_write_all(c->in[1], c->data + at, n);
        }
        at += n;
        if (seed % 16 == 0)
            sched_yield();
    }
    CHECK_OK(close(c->in[1]));
    return NULL;
}

static void *moves(void *arg)
{
    struct chain *c = arg;
    size_t total = 0;
    for (;;) {
        ssize_t n;
        if (c->kind == 3) { /* a copy into the branch first, then on */
            n = tee(c->in[0], c->branch[1], 5000, 0);
            if (n <= 0) {
                CHECK_EQ(n, 0);
                break;
            }
            for (ssize_t left = n; left > 0;) {
                ssize_t m = splice(c->in[0], NULL, c->out[1], NULL, (size_t)left, 0);
                CHECK(m > 0);
                left -= m;
            }
        } else {
            n = splice(c->in[0], NULL, c->out[1], NULL, 70000,
                       total % 2 ? SPLICE_F_MORE : SPLICE_F_MOVE);
        }
        CHECK_GE(n, 0);
        if (n == 0)
            break;
        total += (size_t)n;
    }
    CHECK_EQ(total, SIZE);
    CHECK_OK(close(c->out[1]));
    if (c->kind == 3)
        CHECK_OK(close(c->branch[1]));
    return NULL;
}

static void takes(struct chain *c, int fd)
{
    unsigned char block[5000];
    size_t at = 0;
    for (;;) {
        ssize_t n = read(fd, block, sizeof block);
        CHECK_GE(n, 0);
        if (n == 0)
            break;
        CHECK_OK(memcmp(block, c->data + at, (size_t)n));
        at += (size_t)n;
        if (at % 32 == 0)
            sched_yield();
    }
    CHECK_EQ(at, SIZE);
}

static void *reads(void *arg)
{
    takes(arg, ((struct chain *)arg)->out[0]);
    return NULL;
}

static void *branches(void *arg)
{
    takes(arg, ((struct chain *)arg)->branch[0]);
    return NULL;
}

int main(void)
{
    static struct chain chains[CHAINS];
    pthread_t threads[CHAINS][4];
    int tube[2], pair[2];
    for (int i = 0; i < CHAINS; i++) {
        struct chain *c = &chains[i];
        c->kind = i % 4; /* 0: socket to pipe; 1: pipe to TCP; 2: pipe, vmsplice, to unix; 3: pipe
                            to pipe, with tee */
        c->data = malloc(SIZE);
        t_fill(c->data, SIZE, (uint32_t)i);
        if (c->kind == 0) {
            t_pair(pair);
            c->in[0] = pair[0];
            c->in[1] = pair[1];
        } else {
            CHECK_OK(pipe(c->in));
        }
        if (c->kind == 1)
            t_tcp(c->out);
        else if (c->kind == 2)
            t_pair(c->out);
        else
            CHECK_OK(pipe(c->out));
        CHECK_OK(pipe(c->branch));
        threads[i][0] = t_go(reads, c);
        threads[i][1] = t_go(moves, c);
        threads[i][2] = c->kind == 3 ? t_go(branches, c) : t_go(writes, c);
        if (i % 2)
            t_settle();
        if (c->kind == 3)
            threads[i][3] = t_go(writes, c);
    }
    for (int i = 0; i < CHAINS; i++)
        for (int k = 0; k < (chains[i].kind == 3 ? 4 : 3); k++)
            t_join(threads[i][k]);
    CHECK_OK(pipe(tube));
    t_pair(pair);
    CHECK_ERR(splice(tube[0], NULL, pair[1], NULL, 100, SPLICE_F_NONBLOCK), EAGAIN);
    CHECK_ERR(splice(pair[0], NULL, tube[1], NULL, 100, SPLICE_F_NONBLOCK), EAGAIN);
    CHECK_ERR(splice(pair[0], NULL, pair[1], NULL, 100, 0), EINVAL);
    CHECK_ERR(splice(tube[0], &(loff_t){0}, pair[1], NULL, 100, 0), ESPIPE);
    CHECK_EQ(splice(tube[0], NULL, pair[1], NULL, 0, 0), 0);
    return 0;
}
