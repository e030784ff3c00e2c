/* MSG_PEEK waits and leaves the data; MSG_WAITALL waits for all of it, or the end; SO_RCVLOWAT is
 * kept. */
#include "../t.h"

static int ends[2];
static sem_t step;

static void *sends(void *arg)
{
    t_settle();
    t_write_all(ends[1], "peek", 4);
    CHECK_OK(sem_wait(&step));
    for (int i = 0; i < 10; i++) {
        t_write_all(ends[1], "0123456789", 10);
        if (i % 3 == 0)
            t_settle();
    }
    CHECK_OK(sem_wait(&step));
    t_write_all(ends[1], "tail", 4);
    CHECK_OK(shutdown(ends[1], SHUT_WR));
    return arg;
}

int main(void)
{
    char data[200];
    CHECK_OK(sem_init(&step, 0, 0));
    for (int kind = 0; kind < 2; kind++) {
        if (kind)
            t_pair(ends);
        else
            t_tcp(ends);
        pthread_t thread = t_go(sends, NULL);
        CHECK(recv(ends[0], data, sizeof data, MSG_PEEK) > 0);
        CHECK_EQ(data[0], 'p');
        CHECK_EQ(recv(ends[0], data, 4, MSG_WAITALL), 4);
        CHECK_OK(memcmp(data, "peek", 4));
        CHECK_OK(sem_post(&step));
        struct iovec iov[2] = {{data, 37}, {data + 37, 63}};
        struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
        CHECK_EQ(recvmsg(ends[0], &msg, MSG_WAITALL), 100);
        for (int i = 0; i < 100; i++)
            CHECK_EQ(data[i], '0' + i % 10);
        CHECK_OK(sem_post(&step));
        CHECK_EQ(recv(ends[0], data, 100, MSG_WAITALL), 4);
        CHECK_EQ(recv(ends[0], data, 100, MSG_WAITALL), 0);
        t_join(thread);
        close(ends[0]);
        close(ends[1]);
    }
    return 0;
}
