/* Two wait for the same readiness by different calls, and the first that is woken leaves some of it: the other is woken too,
 * whichever kinds they are. Nobody else would tell it. */
#include "../t.h"
#include <sys/sendfile.h>

static int ends[2], to[2];
static char junk[65536];

static void *reads(void *arg)
{
    char data[10];
    CHECK_EQ(read(ends[0], data, 10), 10);
    return arg;
}

static void *splices(void *arg)
{
    CHECK_EQ(splice(ends[0], NULL, to[1], NULL, 10, 0), 10);
    return arg;
}

static void *tees(void *arg)
{
    CHECK_EQ(tee(ends[0], to[1], 10, 0), 10);
    return arg;
}

static void *peeks(void *arg)
{
    char data[10];
    CHECK_EQ(recv(ends[0], data, 10, MSG_PEEK), 10);
    return arg;
}

static void *sends_file(void *arg)
{
    int file = open("/proc/self/exe", O_RDONLY);
    off_t at = 0;
    CHECK_EQ(sendfile(ends[1], file, &at, 100), 100);
    close(file);
    return arg;
}

static void *writes(void *arg)
{
    CHECK_EQ(write(ends[1], "x", 1), 1);
    return arg;
}

static int connecting;
static struct sockaddr_in address;
static void *connects(void *arg)
{
    CHECK_OK(connect(connecting, (struct sockaddr *)&address, sizeof address));
    return arg;
}

static void *writes_when_connected(void *arg)
{
    CHECK_EQ(write(connecting, "x", 1), 1);
    return arg;
}

static void both(void *(*first)(void *), void *(*second)(void *), int with_pipe)
{
    if (with_pipe)
        CHECK_OK(pipe(ends));
    else
        t_tcp(ends);
    CHECK_OK(pipe(to));
    pthread_t one = t_go(first, NULL);
    t_settle();
    pthread_t two = t_go(second, NULL);
    t_settle();
    CHECK_EQ(write(ends[1], "0123456789abcdefghij", 20), 20);
    t_join(one);
    t_join(two);
    for (int i = 0; i < 2; i++) {
        close(ends[i]);
        close(to[i]);
    }
}

static void for_room(void *(*first)(void *), void *(*second)(void *))
{
    CHECK_OK(pipe(ends));
    t_write_all(ends[1], junk, sizeof junk);
    pthread_t one = t_go(first, NULL);
    t_settle();
    pthread_t two = t_go(second, NULL);
    t_settle();
    t_read_all(ends[0], junk, sizeof junk);
    t_join(one);
    t_join(two);
    close(ends[0]);
    close(ends[1]);
}

/* A connection that waits for room in the backlog, and one that writes as soon as it is there. */
static void for_connection(void)
{
    int listener = t_listen(&address, 0), first = t_connect(&address);
    struct tcp_info info = {0};
    socklen_t length = sizeof info;
    char byte;
    struct pollfd full = {listener, POLLIN, 0};
    CHECK_EQ(poll(&full, 1, -1), 1);
    connecting = socket(AF_INET, SOCK_STREAM, 0);
    pthread_t one = t_go(connects, NULL);
    do { /* a write before connect has begun would be EPIPE */
        t_settle();
        CHECK_OK(getsockopt(connecting, IPPROTO_TCP, TCP_INFO, &info, &length));
    } while (info.tcpi_state != TCP_SYN_SENT);
    t_settle();
    pthread_t two = t_go(writes_when_connected, NULL);
    t_settle();
    close(accept(listener, NULL, NULL)); /* room; the SYN comes again in a second */
    int fd = accept(listener, NULL, NULL);
    t_read_all(fd, &byte, 1);
    t_join(one);
    t_join(two);
    close(fd);
    close(first);
    close(connecting);
    close(listener);
}

static void *nothing(void *arg)
{
    return arg;
}

int main(void)
{
    t_join(t_go(nothing, NULL));
    both(splices, reads, 0);
    both(reads, splices, 0);
    both(peeks, reads, 0);
    both(tees, reads, 1);
    both(splices, reads, 1);
    for_room(sends_file, writes);
    for_room(writes, sends_file);
    for_connection();
    return 0;
}
