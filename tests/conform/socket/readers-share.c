/* Several threads in read on one socket: each datum goes to exactly one, none is lost, all see the
 * end. */
#include "../t.h"

#define DATA 2000
static int ends[2];
static _Atomic int got[DATA], finished;

static void *reads(void *arg)
{
    uint32_t datum;
    ssize_t n;
    while ((n = recv(ends[0], &datum, sizeof datum, 0)) > 0) {
        CHECK_EQ(n, sizeof datum);
        CHECK(datum < DATA);
        got[datum]++;
    }
    CHECK_EQ(n, 0);
    finished++;
    return arg;
}

int main(void)
{
    for (int kind = 0; kind < 2; kind++) {
        pthread_t threads[8];
        memset((void *)(uintptr_t)got, 0, sizeof got);
        finished = 0;
        CHECK_OK(socketpair(AF_UNIX, kind ? SOCK_SEQPACKET : SOCK_STREAM, 0, ends));
        for (int i = 0; i < 8; i++)
            threads[i] = t_go(reads, NULL);
        for (uint32_t i = 0; i < DATA; i++) {
            CHECK_EQ(write(ends[1], &i, sizeof i), sizeof i);
            if (i % 97 == 0)
                sched_yield();
        }
        CHECK_OK(close(ends[1]));
        for (int i = 0; i < 8; i++)
            t_join(threads[i]);
        CHECK_EQ(finished, 8);
        for (int i = 0; i < DATA; i++)
            CHECK_EQ(got[i], 1);
        close(ends[0]);
    }
    return 0;
}
