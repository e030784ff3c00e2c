/* SO_RCVTIMEO and SO_SNDTIMEO on every kind of socket and call: EAGAIN never early, what came in
 * time is taken, MSG_WAITALL returns a part, a signal is EINTR in spite of SA_RESTART; zero waits
 * for ever again. */
#include "../t.h"

static volatile int done;
static void handler(int number)
{
    (void)number;
}

static void limit(int fd, int option, long us)
{
    struct timeval tv = {us / 1000000, us % 1000000};
    CHECK_OK(setsockopt(fd, SOL_SOCKET, option, &tv, sizeof tv));
}

static void pair_of(int kind, int ends[2])
{
    if (kind == 0) {
        t_tcp(ends);
    } else if (kind == 1) {
        struct sockaddr_in a[2];
        for (int i = 0; i < 2; i++) {
            socklen_t length = sizeof a[i];
            ends[i] = socket(AF_INET, SOCK_DGRAM, 0);
            memset(&a[i], 0, sizeof a[i]);
            a[i].sin_family = AF_INET;
            a[i].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
            CHECK_OK(bind(ends[i], (struct sockaddr *)&a[i], sizeof a[i]));
            CHECK_OK(getsockname(ends[i], (struct sockaddr *)&a[i], &length));
        }
        CHECK_OK(connect(ends[0], (struct sockaddr *)&a[1], sizeof a[1]));
        CHECK_OK(connect(ends[1], (struct sockaddr *)&a[0], sizeof a[0]));
    } else {
        int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
        CHECK_OK(socketpair(AF_UNIX, types[kind - 2], 0, ends));
    }
}

static ssize_t receive(int fd, int call, char *text, size_t size)
{
    struct iovec v = {text, size};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    struct mmsghdr mm = {.msg_hdr = m};
    switch (call) {
    case 0:
        return read(fd, text, size);
    case 1:
        return recv(fd, text, size, 0);
    case 2:
        return recvmsg(fd, &m, 0);
    case 3:
        return readv(fd, &v, 1);
    case 4:
        return recvmmsg(fd, &mm, 1, 0, NULL) == 1 ? (ssize_t)mm.msg_len : -1;
    case 5:
        return recv(fd, text, size, MSG_PEEK);
    default:
        return recv(fd, text, size, MSG_WAITALL);
    }
}

static void *body(void *arg)
{
    int kind = (int)(intptr_t)arg, ends[2];
    static __thread char text[70000];
    pair_of(kind, ends);
    limit(ends[0], SO_RCVTIMEO, 3000);
    for (int call = 0; call < 7; call++) {
        int64_t start = t_now(CLOCK_MONOTONIC);
        CHECK_ERR(receive(ends[0], call, text, 10), EAGAIN);
        CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 3 * MSEC);
        CHECK_EQ(write(ends[1], "abc", 3), 3);
        start = t_now(CLOCK_MONOTONIC);
        CHECK_EQ(receive(ends[0], call, text, 10), 3);
        if (call == 6 && (kind == 0 || kind == 2))
            CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 3 * MSEC); /* waited for the rest */
        if (call == 5)
            CHECK_EQ(read(ends[0], text, 10), 3);
    }
    struct timeval tv;
    socklen_t length = sizeof tv;
    CHECK_OK(getsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &tv, &length));
    CHECK_EQ(tv.tv_sec, 0);
    CHECK(tv.tv_usec >= 3000 && tv.tv_usec <= 4000 * 2);
    if (kind != 1) { /* UDP has no queue to fill */
        limit(ends[0], SO_SNDTIMEO, 3000);
        size_t size = kind == 3 || kind == 4 ? 1000 : sizeof text;
        int64_t start;
        ssize_t n;
        do { /* a part of it is told at the end of the time, and TCP may find room for a while */
            start = t_now(CLOCK_MONOTONIC);
            n = write(ends[0], text, size);
            if (n < (ssize_t)size)
                CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 3 * MSEC);
        } while (n > 0);
        CHECK_EQ(n, -1);
        CHECK_EQ(errno, EAGAIN);
        while ((n = send(ends[0], text, size, MSG_DONTWAIT)) > 0)
            ;
        CHECK_EQ(errno, EAGAIN);
    }
    close(ends[0]);
    close(ends[1]);
    return NULL;
}

static int waiting[2];
static void *interrupted(void *arg)
{
    char text[10];
    errno = 0;
    CHECK_EQ(receive(waiting[0], (int)(intptr_t)arg, text, 10), -1);
    CHECK_EQ(errno, EINTR);
    done = 1;
    return NULL;
}

static void *forever(void *arg)
{
    char byte;
    CHECK_EQ(read(waiting[0], &byte, 1), 1);
    return arg;
}

int main(void)
{
    pthread_t threads[10];
    for (int i = 0; i < 10; i++)
        threads[i] = t_go(body, (void *)(intptr_t)(i % 5));
    for (int i = 0; i < 10; i++)
        t_join(threads[i]);
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    t_pair(waiting);
    limit(waiting[0], SO_RCVTIMEO, 3600000000L);
    for (int call = 0; call < 7; call++) {
        done = 0;
        pthread_t thread = t_go(interrupted, (void *)(intptr_t)call);
        t_settle();
        t_poke(thread, SIGUSR1, &done);
        t_join(thread);
    }
    limit(waiting[0], SO_RCVTIMEO, 0);
    pthread_t thread = t_go(forever, NULL);
    t_settle();
    CHECK_EQ(write(waiting[1], "x", 1), 1);
    t_join(thread);
    return 0;
}
