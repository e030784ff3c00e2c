/* TCP Fast Open: a send that connects first - with MSG_FASTOPEN, or after TCP_FASTOPEN_CONNECT - waits for the connection as
 * connect does, and is refused as it is; without blocking, or out of time, it is EINPROGRESS, and goes on; a handler ends it or
 * not, as it says. */
#include "../t.h"

enum { CLIENTS = 8 };

static struct sockaddr_in address, nobody;
static int listener;

static int client(int lazily)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    CHECK(fd >= 0);
    if (lazily && setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof on) != 0)
        t_skip("no TCP Fast Open");
    return fd;
}

/* The ways of sending the first data; the message has room for it all. */
static ssize_t first(int fd, int way, const struct sockaddr_in *to, int flags)
{
    struct iovec v = {"hello", 5};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_name = (void *)(uintptr_t)to, .msg_namelen = sizeof *to};
    struct mmsghdr many = {.msg_hdr = m};
    switch (way) {
    case 0: return sendto(fd, "hello", 5, flags | MSG_FASTOPEN, (const struct sockaddr *)to, sizeof *to);
    case 1: return sendmsg(fd, &m, flags | MSG_FASTOPEN);
    case 2: return sendmmsg(fd, &many, 1, (unsigned)flags | MSG_FASTOPEN) == 1 ? (ssize_t)many.msg_len : -1;
    default:
        if (connect(fd, (const struct sockaddr *)to, sizeof *to) != 0)
            return -1;
        return flags ? send(fd, "hello", 5, flags) : way == 3 ? write(fd, "hello", 5) : writev(fd, &v, 1);
    }
}

static void *sends(void *arg)
{
    int way = (int)(intptr_t)arg % 5, fd = client(way > 2);
    char text[5];
    ssize_t n = first(fd, way, &address, 0);
    if (n < 0 && errno == EOPNOTSUPP)
        t_skip("no TCP Fast Open");
    CHECK_EQ(n, 5);
    t_read_all(fd, text, 5);
    CHECK_OK(memcmp(text, "HELLO", 5));
    close(fd);

    fd = client(way > 2);
    CHECK_ERR(first(fd, way, &nobody, MSG_NOSIGNAL), ECONNREFUSED);
    close(fd);

    fd = client(way > 2);
    n = first(fd, way, &address, MSG_DONTWAIT);
    struct pollfd p = {fd, POLLOUT, 0};
    if (n < 0) {
        CHECK_EQ(errno, EINPROGRESS);
        CHECK_EQ(poll(&p, 1, -1), 1);
        CHECK_EQ(send(fd, "hello", 5, 0), 5);
    }
    t_read_all(fd, text, 5);
    close(fd);
    return NULL;
}

static void *serves(void *arg)
{
    for (int i = 0; i < 2 * CLIENTS; i++) {
        char text[5];
        int fd = accept(listener, NULL, NULL);
        CHECK(fd >= 0);
        t_read_all(fd, text, 5);
        CHECK_OK(memcmp(text, "hello", 5));
        t_write_all(fd, "HELLO", 5);
        close(fd);
    }
    return arg;
}

static volatile int done, handled;

static void handler(int number)
{
    handled = number;
}

/* Where nobody answers; the main thread sees to that. */
static void *waits(void *arg)
{
    int way = (int)(intptr_t)arg % 5, fd = client(way > 2);
    struct timeval tv = {0, 20000};
    CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv));
    int64_t start = t_now(CLOCK_MONOTONIC);
    CHECK_ERR(first(fd, way, &address, 0), EINPROGRESS);
    CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 20 * MSEC);
    close(fd);
    return NULL;
}

static void *interrupted(void *arg)
{
    int fd = client(0);
    CHECK_ERR(first(fd, (int)(intptr_t)arg, &address, 0), EINTR);
    done = 1;
    close(fd);
    return NULL;
}

/* A handler ran, and it was made again: it is answered in the end. */
static void *restarted(void *arg)
{
    int fd = client(0);
    CHECK_EQ(first(fd, 0, &address, 0), 5);
    CHECK(handled);
    close(fd);
    return arg;
}

/* connect-waits.c */
static int fill(int *own, int most)
{
    struct timeval tv = {0, 20000};
    for (int n = 0; n < most; n++) {
        own[n] = client(0);
        CHECK_OK(setsockopt(own[n], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv));
        if (connect(own[n], (struct sockaddr *)&address, sizeof address) != 0) {
            CHECK_EQ(errno, EINPROGRESS);
            close(own[n]);
            return n;
        }
    }
    CHECK(!"the queue of connections is full");
    return 0;
}

static void unanswered(void)
{
    struct sigaction action = {.sa_handler = handler};
    pthread_t threads[CLIENTS];
    int own[10], n;
    close(listener);
    listener = t_listen(&address, 1);
    n = fill(own, 10);
    for (intptr_t i = 0; i < CLIENTS; i++)
        threads[i] = t_go(waits, (void *)i);
    for (int i = 0; i < CLIENTS; i++)
        t_join(threads[i]);
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    for (intptr_t way = 0; way < 2; way++) {
        done = 0;
        threads[0] = t_go(interrupted, (void *)way);
        t_settle();
        t_poke(threads[0], SIGUSR1, &done);
        t_join(threads[0]);
    }
    action.sa_flags = SA_RESTART;
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    handled = 0;
    threads[0] = t_go(restarted, NULL);
    t_settle();
    t_poke(threads[0], SIGUSR1, &handled);
    CHECK_OK(listen(listener, 16)); /* its SYN comes again within a second */
    for (int i = 0; i <= n; i++) {
        char text[5];
        int fd = accept(listener, NULL, NULL);
        CHECK(fd >= 0);
        if (i == n)
            t_read_all(fd, text, 5);
        else
            close(own[i]);
        close(fd);
    }
    t_join(threads[0]);
}

int main(void)
{
    pthread_t threads[CLIENTS], server;
    socklen_t length = sizeof nobody;
    int bound = socket(AF_INET, SOCK_STREAM, 0);
    FILE *f = fopen("/proc/sys/net/ipv4/tcp_fastopen", "r");
    int mode = 0;
    if (!f || fscanf(f, "%d", &mode) != 1 || (mode & 7) != 1) /* else data may go with the SYN, and nothing waits */
        t_skip("not the usual kind of TCP Fast Open: for clients, with a cookie");
    fclose(f);
    nobody.sin_family = AF_INET;
    nobody.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK_OK(bind(bound, (struct sockaddr *)&nobody, sizeof nobody)); /* and never listens */
    CHECK_OK(getsockname(bound, (struct sockaddr *)&nobody, &length));
    listener = t_listen(&address, 16);
    server = t_go(serves, NULL);
    for (intptr_t i = 0; i < CLIENTS; i++)
        threads[i] = t_go(sends, (void *)i);
    for (int i = 0; i < CLIENTS; i++)
        t_join(threads[i]);
    t_join(server);
    unanswered();
    return 0;
}
