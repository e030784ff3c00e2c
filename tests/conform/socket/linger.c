/* SO_LINGER: zero resets the connection, under a waiting reader too; otherwise close waits until
 * the data is taken, and stops nobody else. */
#include "../t.h"

#define COUNT 4
static int ends[COUNT][2];
static _Atomic int closed;
static int size[COUNT];

static void *closes(void *arg)
{
    CHECK_OK(close(ends[(intptr_t)arg][0]));
    closed++;
    return NULL;
}

static void *is_reset(void *arg)
{
    char byte;
    CHECK_ERR(read(ends[0][1], &byte, 1), ECONNRESET);
    return arg;
}

int main(void)
{
    static char block[200000];
    struct linger now = {1, 0}, wait = {1, 60};
    pthread_t threads[COUNT];
    t_tcp(ends[0]);
    pthread_t thread = t_go(is_reset, NULL);
    t_settle();
    CHECK_OK(setsockopt(ends[0][0], SOL_SOCKET, SO_LINGER, &now, sizeof now));
    t_join(t_go(closes, NULL));
    t_join(thread);
    close(ends[0][1]);
    closed = 0;
    for (intptr_t i = 0; i < COUNT; i++) {
        t_tcp(ends[i]);
        CHECK_OK(setsockopt(ends[i][0], SOL_SOCKET, SO_LINGER, &wait, sizeof wait));
        for (;;) {
            ssize_t n = send(ends[i][0], block, sizeof block, MSG_DONTWAIT);
            if (n < 0)
                break;
            size[i] += (int)n;
        }
        threads[i] = t_go(closes, (void *)i);
    }
    t_settle();
    CHECK_EQ(closed, 0); /* more lies there than the other side can take */
    for (int i = 0; i < COUNT; i++) {
        int got = 0;
        for (;;) {
            ssize_t n = read(ends[i][1], block, sizeof block);
            CHECK_GE(n, 0);
            if (n == 0)
                break;
            got += (int)n;
        }
        CHECK_EQ(got, size[i]);
        close(ends[i][1]);
        t_join(threads[i]);
    }
    CHECK_EQ(closed, COUNT);
    return 0;
}
