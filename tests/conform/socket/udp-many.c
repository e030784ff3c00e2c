/* Many threads in recv on one UDP socket and on one unix datagram socket: every datagram to exactly
 * one of them, however it was sent; MSG_PEEK takes none. */
#include "../t.h"

#define THREADS 8
#define ITEMS   1000
static int fds[2];
static _Atomic int seen[ITEMS], taken;

static void *takes(void *arg)
{
    int fd = fds[(intptr_t)arg % 2];
    for (;;) {
        int item = -1;
        if ((intptr_t)arg == 0) { /* one looks first */
            CHECK_EQ(recv(fd, &item, sizeof item, MSG_PEEK), sizeof item);
        }
        CHECK_EQ(recv(fd, &item, sizeof item, 0), sizeof item);
        if (item < 0)
            return NULL;
        CHECK_EQ(seen[item]++, 0);
        taken++;
    }
}

int main(void)
{
    pthread_t threads[THREADS];
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof a;
    int pair[2], out[2], end = -1;
    fds[0] = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK_OK(bind(fds[0], (struct sockaddr *)&a, sizeof a));
    CHECK_OK(getsockname(fds[0], (struct sockaddr *)&a, &length));
    out[0] = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK_OK(connect(out[0], (struct sockaddr *)&a, sizeof a));
    CHECK_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    fds[1] = pair[0];
    out[1] = pair[1];
    for (intptr_t i = 0; i < THREADS; i++)
        threads[i] = t_go(takes, (void *)i);
    for (int i = 0; i < ITEMS; i++) {
        CHECK_EQ(send(out[i % 2], &i, sizeof i, 0), sizeof i);
        while (taken < i - 50) /* UDP drops what nobody takes */
            sched_yield();
    }
    while (taken < ITEMS)
        sched_yield();
    for (int i = 0; i < THREADS; i++)
        CHECK_EQ(send(out[i % 2], &end, sizeof end, 0), sizeof end);
    for (int i = 0; i < THREADS; i++)
        t_join(threads[i]);
    return 0;
}
