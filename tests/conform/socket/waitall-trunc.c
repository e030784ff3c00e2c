/* MSG_WAITALL | MSG_TRUNC on TCP throws away as many bytes as asked for, in however many parts they come: the buffer is not
 * written, and there need be none. */
#include "../t.h"

static int ends[2];

static void *writes(void *arg)
{
    t_write_all(ends[1], "0123456789", 10);
    t_settle();
    t_write_all(ends[1], "abcdefghij", 10);
    return arg;
}

int main(void)
{
    char data[20], untouched[20];
    memset(data, '.', sizeof data);
    memset(untouched, '.', sizeof untouched);
    t_tcp(ends);
    for (int i = 0; i < 3; i++) {
        struct iovec v = {i == 2 ? NULL : data, 20};
        struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
        pthread_t thread = t_go(writes, NULL);
        if (i == 1)
            CHECK_EQ(recvmsg(ends[0], &m, MSG_WAITALL | MSG_TRUNC), 20);
        else
            CHECK_EQ(recv(ends[0], v.iov_base, 20, MSG_WAITALL | MSG_TRUNC), 20);
        CHECK_OK(memcmp(data, untouched, sizeof data));
        t_join(thread);
    }
    CHECK_ERR(recv(ends[0], data, 1, MSG_DONTWAIT), EAGAIN);
    return 0;
}
