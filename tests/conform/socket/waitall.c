/* MSG_WAITALL in every receiving call: trickling data, vectors, addresses, MSG_PEEK; what cuts it
 * short: the end, a signal (a part, or EINTR for nothing), a message's end. */
#include "../t.h"

static int ends[2];
static volatile int done;

static void handler(int number)
{
    (void)number;
}

static void *receives(void *arg)
{
    static __thread unsigned char back[100000];
    struct iovec v[3] = {{back, 1}, {back + 1, 49999}, {back + 50000, 50000}};
    struct sockaddr_storage from;
    socklen_t length = sizeof from;
    struct msghdr m = {.msg_iov = v, .msg_iovlen = 3};
    switch ((int)(intptr_t)arg) {
    case 0:
        CHECK_EQ(recv(ends[0], back, 100000, MSG_WAITALL), 100000);
        break;
    case 1:
        CHECK_EQ(recvfrom(ends[0], back, 100000, MSG_WAITALL, (struct sockaddr *)&from, &length),
                 100000);
        break;
    case 2:
        CHECK_EQ(recvmsg(ends[0], &m, MSG_WAITALL), 100000);
        CHECK_EQ(m.msg_flags & MSG_TRUNC, 0);
        break;
    default:
        break;
    }
    unsigned char want[1000];
    t_fill(want, 1000, 77);
    for (int i = 0; i < 100; i++)
        CHECK_OK(memcmp(back + i * 1000, want, 1000));
    return NULL;
}

static void *part(void *arg)
{
    char back[100];
    ssize_t n;
    do
        n = recv(ends[0], back, 100, MSG_WAITALL);
    while (n < 0 && errno == EINTR);
    CHECK_EQ(n, 7);
    done = 1;
    return arg;
}

static void *peeks(void *arg)
{
    char back[10];
    CHECK_EQ(recv(ends[0], back, 10, MSG_WAITALL | MSG_PEEK), 10);
    CHECK_EQ(recv(ends[0], back, 10, MSG_WAITALL), 10);
    return arg;
}

int main(void)
{
    unsigned char block[1000];
    char back[100];
    struct sigaction action = {.sa_handler = handler};
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    t_fill(block, 1000, 77);
    for (int tcp = 0; tcp < 2; tcp++) {
        if (tcp)
            t_tcp(ends);
        else
            t_pair(ends);
        for (intptr_t call = 0; call < 3; call++) {
            pthread_t thread = t_go(receives, (void *)call);
            for (int i = 0; i < 100; i++) {
                t_write_all(ends[1], block, 13);
                if (i % 10 == 0)
                    t_settle();
                t_write_all(ends[1], block + 13, 1000 - 13);
            }
            t_join(thread);
        }
        if (tcp) { /* on a unix socket a peek does not add up */
            pthread_t thread = t_go(peeks, NULL);
            for (int i = 0; i < 10; i++) {
                CHECK_EQ(write(ends[1], "x", 1), 1);
                t_settle();
            }
            t_join(thread);
        }
        done = 0;
        CHECK_EQ(write(ends[1], "1234567", 7), 7);
        pthread_t thread = t_go(part, NULL);
        t_settle();
        t_poke(thread, SIGUSR1, &done);
        t_join(thread);
        CHECK_EQ(write(ends[1], "last", 4), 4);
        close(ends[1]);
        CHECK_EQ(recv(ends[0], back, 100, MSG_WAITALL), 4);
        CHECK_EQ(recv(ends[0], back, 100, MSG_WAITALL), 0);
        close(ends[0]);
    }
    /* messages end it */
    CHECK_OK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends));
    CHECK_EQ(send(ends[1], "abc", 3, 0), 3);
    CHECK_EQ(send(ends[1], "de", 2, 0), 2);
    CHECK_EQ(recv(ends[0], back, 100, MSG_WAITALL), 3);
    CHECK_EQ(recv(ends[0], back, 1, MSG_WAITALL | MSG_TRUNC), 2);
    return 0;
}
