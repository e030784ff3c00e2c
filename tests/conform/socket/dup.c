/* dup, dup2, dup3 and F_DUPFD: readers wait on either number; closing one leaves the other open;
 * dup2 over an open number closes it. */
#include "../t.h"

static void *reads(void *arg)
{
    char byte = 0;
    CHECK_EQ(read((int)(intptr_t)arg, &byte, 1), 1);
    return NULL;
}

static void *wants_eof(void *arg)
{
    char byte;
    CHECK_EQ(read((int)(intptr_t)arg, &byte, 1), 0);
    return NULL;
}

int main(void)
{
    for (int round = 0; round < 10; round++) {
        int ends[2], other[2];
        t_pair(ends);
        t_pair(other);
        intptr_t a = ends[0], b = dup(ends[0]), c = dup2(ends[0], 200),
                 d = dup3(ends[0], 201, O_CLOEXEC), e = fcntl(ends[0], F_DUPFD, 300);
        CHECK(b >= 0 && c == 200 && d == 201 && e >= 300);
        CHECK_EQ(fcntl(201, F_GETFD), FD_CLOEXEC);
        intptr_t all[] = {a, b, c, d, e};
        pthread_t threads[5];
        for (int i = 0; i < 5; i++)
            threads[i] = t_go(reads, (void *)all[i]);
        t_settle();
        for (int i = 0; i < 5; i++)
            CHECK_EQ(write(ends[1], "x", 1), 1);
        for (int i = 0; i < 5; i++)
            t_join(threads[i]);

        CHECK_OK(close((int)a));
        CHECK_OK(close((int)c));
        threads[0] = t_go(reads, (void *)b);
        t_settle();
        CHECK_EQ(write(ends[1], "y", 1), 1);
        t_join(threads[0]);

        /* dup2 over a number: its old peer sees the end, the number reads the new one. */
        threads[0] = t_go(wants_eof, (void *)(intptr_t)other[1]);
        CHECK_EQ(dup2((int)b, other[0]), other[0]);
        t_join(threads[0]);
        threads[0] = t_go(reads, (void *)(intptr_t)other[0]);
        t_settle();
        CHECK_EQ(write(ends[1], "z", 1), 1);
        t_join(threads[0]);
        CHECK_ERR(dup2(999, 5), EBADF);
        CHECK_ERR(dup3((int)b, (int)b, 0), EINVAL);
        CHECK_EQ(dup2((int)b, (int)b), b);
        close((int)b);
        close((int)d);
        close((int)e);
        close(other[0]);
        close(other[1]);
        CHECK_ERR(send(ends[1], "x", 1, MSG_NOSIGNAL), EPIPE);
        close(ends[1]);
    }
    return 0;
}
