/* connect that has to wait. Unix: many wait for room in the backlog, SO_SNDTIMEO and O_NONBLOCK are
 * EAGAIN, a signal is EINTR. TCP: a signal ends the call with EINTR while the connection goes on;
 * SO_ERROR and EISCONN tell later; SO_SNDTIMEO is EINPROGRESS. */
#include "../t.h"

#define CONNECTORS 12
static struct sockaddr_un un = {.sun_family = AF_UNIX};
static socklen_t un_length;
static struct sockaddr_in in;
static volatile int interrupted;

static void handler(int number)
{
    (void)number;
}

static void *connects(void *arg)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    char byte;
    CHECK_OK(connect(fd, (struct sockaddr *)&un, un_length));
    CHECK_EQ(read(fd, &byte, 1), 1);
    close(fd);
    return arg;
}

static void *is_interrupted(void *arg)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_ERR(connect(fd, (struct sockaddr *)&un, un_length), EINTR);
    interrupted = 1;
    close(fd);
    return arg;
}

static int tcp_fd;
static void *tcp_interrupted(void *arg)
{
    tcp_fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_ERR(connect(tcp_fd, (struct sockaddr *)&in, sizeof in), EINTR);
    interrupted = 1;
    return arg;
}

static void *tcp_waits(void *arg)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_OK(connect(fd, (struct sockaddr *)&in, sizeof in));
    t_write_all(fd, "w", 1);
    close(fd);
    return arg;
}

static sem_t under_way;
static void *tcp_polls(void *arg)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), error = -1;
    socklen_t length = sizeof error;
    struct pollfd p = {fd, POLLOUT, 0};
    CHECK_ERR(connect(fd, (struct sockaddr *)&in, sizeof in), EINPROGRESS);
    CHECK_ERR(connect(fd, (struct sockaddr *)&in, sizeof in), EALREADY);
    CHECK_OK(sem_post(&under_way));
    CHECK_EQ(poll(&p, 1, -1), 1);
    CHECK_EQ(p.revents, POLLOUT);
    CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length));
    CHECK_EQ(error, 0);
    t_write_all(fd, "p", 1);
    close(fd);
    return arg;
}

int main(void)
{
    pthread_t threads[CONNECTORS];
    struct sigaction action = {.sa_handler = handler};
    struct timeval tv = {0, 20000};
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_OK(bind(listener, (struct sockaddr *)&un, sizeof(sa_family_t)));
    un_length = sizeof un;
    CHECK_OK(getsockname(listener, (struct sockaddr *)&un, &un_length));
    CHECK_OK(listen(listener, 1));
    int filling[3], filled = 0; /* a backlog of n takes n + 1 */
    for (int i = 0; i < 3; i++) {
        filling[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (connect(filling[i], (struct sockaddr *)&un, un_length) != 0) {
            CHECK_EQ(errno, EAGAIN);
            break;
        }
        filled++;
    }
    CHECK_EQ(filled, 2);
    int late = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_OK(setsockopt(late, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv));
    int64_t start = t_now(CLOCK_MONOTONIC);
    CHECK_ERR(connect(late, (struct sockaddr *)&un, un_length), EAGAIN);
    CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 20 * MSEC);
    pthread_t thread = t_go(is_interrupted, NULL);
    t_settle();
    t_poke(thread, SIGUSR1, &interrupted);
    t_join(thread);
    for (int i = 0; i < CONNECTORS; i++)
        threads[i] = t_go(connects, NULL);
    t_settle();
    for (int i = 0; i < filled + CONNECTORS; i++) {
        int fd = accept(listener, NULL, NULL);
        CHECK(fd >= 0);
        send(fd, "x", 1, MSG_NOSIGNAL);
        close(fd);
    }
    for (int i = 0; i < CONNECTORS; i++)
        t_join(threads[i]);

    /* TCP: fill the queue of connections; the next SYN goes unanswered until there is room */
    listener = t_listen(&in, 1);
    int own[10], n = 0;
    for (;;) {
        CHECK(n < 10);
        own[n] = socket(AF_INET, SOCK_STREAM, 0);
        CHECK_OK(setsockopt(own[n], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv));
        start = t_now(CLOCK_MONOTONIC);
        if (connect(own[n], (struct sockaddr *)&in, sizeof in) != 0)
            break;
        n++;
    }
    CHECK_EQ(errno, EINPROGRESS);
    CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 20 * MSEC);
    close(own[n]);
    interrupted = 0;
    thread = t_go(tcp_interrupted, NULL);
    t_settle();
    t_poke(thread, SIGUSR1, &interrupted);
    t_join(thread);
    CHECK_OK(fcntl(tcp_fd, F_SETFL, O_NONBLOCK));
    CHECK_ERR(connect(tcp_fd, (struct sockaddr *)&in, sizeof in), EALREADY); /* still under way */
    CHECK_OK(fcntl(tcp_fd, F_SETFL, 0));
    CHECK_OK(sem_init(&under_way, 0, 0));
    threads[0] = t_go(tcp_waits, NULL);
    threads[1] = t_go(tcp_polls, NULL);
    t_settle();
    CHECK_OK(sem_wait(&under_way));
    /* make room, for all three at once: of three handshakes that race for two places one would be lost on the
     * server's side alone, and its client would have nothing to send again. What waits sends its SYN again in a second */
    CHECK_OK(listen(listener, 16));
    int seen = 0;
    for (int i = 0; i < n; i++) {
        int fd = accept(listener, NULL, NULL);
        CHECK(fd >= 0);
        close(fd);
    }
    struct pollfd all[3]; /* in whatever order they come; the interrupted one sends nothing */
    for (int i = 0; i < 3; i++) {
        all[i] = (struct pollfd){accept(listener, NULL, NULL), POLLIN, 0};
        CHECK(all[i].fd >= 0);
    }
    while (seen < 2) {
        CHECK_GE(poll(all, 3, -1), 1);
        for (int i = 0; i < 3; i++)
            if (all[i].revents) {
                char byte;
                CHECK_EQ(read(all[i].fd, &byte, 1), 1);
                all[i].fd = -1; /* not closed: its client is not to see an end */
                seen++;
            }
    }
    t_join(threads[0]);
    t_join(threads[1]);
    struct pollfd p = {tcp_fd, POLLOUT, 0};
    int error = -1;
    socklen_t length = sizeof error;
    CHECK_EQ(poll(&p, 1, -1), 1);
    CHECK_OK(getsockopt(tcp_fd, SOL_SOCKET, SO_ERROR, &error, &length));
    CHECK_EQ(error, 0);
    CHECK_OK(connect(tcp_fd, (struct sockaddr *)&in, sizeof in)); /* told once that it is done */
    CHECK_ERR(connect(tcp_fd, (struct sockaddr *)&in, sizeof in), EISCONN);
    return 0;
}
