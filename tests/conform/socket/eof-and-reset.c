/* The peer's close is EOF for a waiting reader; a reset is ECONNRESET; shutdown of one's own side
 * ends the wait too. */
#include "../t.h"

static void *wants_eof(void *arg)
{
    char byte;
    CHECK_EQ(read(*(int *)arg, &byte, 1), 0);
    CHECK_EQ(read(*(int *)arg, &byte, 1), 0);
    return NULL;
}

static void *wants_reset(void *arg)
{
    char byte;
    CHECK_ERR(read(*(int *)arg, &byte, 1), ECONNRESET);
    CHECK_EQ(read(*(int *)arg, &byte, 1), 0);
    return NULL;
}

int main(void)
{
    for (int late = 0; late < 2; late++) {
        int ends[2];
        struct linger hard = {1, 0};
        pthread_t thread;
#define RUN(make, body, action)                                                                    \
    make(ends);                                                                                    \
    if (late)                                                                                      \
        action;                                                                                    \
    thread = t_go(body, &ends[0]);                                                                 \
    if (!late) {                                                                                   \
        t_settle();                                                                                \
        action;                                                                                    \
    }                                                                                              \
    t_join(thread);                                                                                \
    CHECK_OK(close(ends[0]))
        RUN(t_pair, wants_eof, CHECK_OK(close(ends[1])));
        RUN(t_tcp, wants_eof, CHECK_OK(close(ends[1])));
        RUN(t_tcp, wants_eof, CHECK_OK(shutdown(ends[1], SHUT_WR)));
        close(ends[1]);
        RUN(t_pair, wants_eof, CHECK_OK(shutdown(ends[0], SHUT_RD)));
        close(ends[1]);
        RUN(t_tcp, wants_eof, CHECK_OK(shutdown(ends[0], SHUT_RD)));
        close(ends[1]);
        RUN(t_tcp, wants_reset, {
            setsockopt(ends[1], SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
            CHECK_OK(close(ends[1]));
        });
    }
    return 0;
}
