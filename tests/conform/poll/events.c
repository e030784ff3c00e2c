/* What poll waits for and tells: POLLIN, POLLOUT, POLLPRI, POLLRDHUP, POLLHUP and POLLERR (asked
 * for or not), POLLNVAL; a change that was not asked for does not end the wait. */
#include "../t.h"
#include <sys/ioctl.h>

struct wait {
    int fd;
    short asked, told;
    int dup_first;
};

static void *waits(void *arg)
{
    struct wait *w = arg;
    struct pollfd p = {w->fd, w->asked, 0};
    CHECK_EQ(poll(&p, 1, -1), 1);
    CHECK_EQ(p.revents, w->told);
    return NULL;
}

static void fill(int fd)
{
    static char block[65536];
    int flags = fcntl(fd, F_GETFL);
    CHECK_OK(fcntl(fd, F_SETFL, flags | O_NONBLOCK));
    while (write(fd, block, sizeof block) > 0)
        ;
    CHECK_EQ(errno, EAGAIN);
    CHECK_OK(fcntl(fd, F_SETFL, flags));
}

static void drain(int fd)
{
    static char block[65536];
    while (recv(fd, block, sizeof block, MSG_DONTWAIT) > 0)
        ;
}

static short now(int fd, short asked)
{
    struct pollfd p = {fd, asked, 0};
    CHECK_GE(poll(&p, 1, 0), 0);
    return p.revents;
}

int main(void)
{
    int tcp[2], pair[2], tube[2], half[2], gone[2], written[2];
    t_tcp(tcp);
    t_tcp(half);
    t_pair(pair);
    t_pair(gone);
    CHECK_OK(pipe(tube));
    CHECK_OK(pipe(written));

    /* urgent data ends a wait for POLLPRI, plain data does not */
    struct wait urgent = {tcp[0], POLLPRI, POLLPRI, 0};
    pthread_t thread = t_go(waits, &urgent);
    t_settle();
    CHECK_EQ(send(tcp[1], "a", 1, 0), 1);
    t_settle();
    CHECK_EQ(send(tcp[1], "!", 1, MSG_OOB), 1);
    t_join(thread);

    /* half closed: POLLRDHUP if asked for, and readable */
    struct wait rdhup = {half[0], POLLRDHUP, POLLRDHUP, 0};
    struct wait rdhup_in = {half[0], POLLRDHUP | POLLIN | POLLOUT, POLLRDHUP | POLLIN | POLLOUT, 0};
    thread = t_go(waits, &rdhup);
    t_settle();
    CHECK_EQ(send(half[1], "a", 1, 0), 1); /* not asked for */
    t_settle();
    CHECK_OK(shutdown(half[1], SHUT_WR));
    t_join(thread);
    waits(&rdhup_in);

    /* a full socket becomes writable when it is drained */
    fill(pair[0]);
    CHECK_EQ(now(pair[0], POLLOUT), 0);
    struct wait out = {pair[0], POLLOUT, POLLOUT, 0};
    thread = t_go(waits, &out);
    t_settle();
    CHECK_EQ(write(pair[1], "x", 1), 1); /* the other direction: not asked for */
    t_settle();
    drain(pair[1]);
    t_join(thread);

    /* a full pipe likewise */
    fill(tube[1]);
    struct wait room = {tube[1], POLLOUT, POLLOUT, 0};
    thread = t_go(waits, &room);
    t_settle();
    static char block[65536];
    CHECK_EQ(read(tube[0], block, sizeof block), 65536);
    t_join(thread);

    /* nothing asked for: the end is told all the same */
    struct wait nothing = {gone[0], 0, POLLHUP, 0};
    thread = t_go(waits, &nothing);
    t_settle();
    CHECK_EQ(write(gone[1], "x", 1), 1);
    t_settle();
    close(gone[1]);
    t_join(thread);
    CHECK_EQ(now(gone[0], POLLIN | POLLOUT | POLLRDHUP), POLLIN | POLLOUT | POLLHUP | POLLRDHUP);

    /* the reader of a pipe goes: POLLERR at the writer */
    fill(written[1]);
    struct wait error = {written[1], 0, POLLERR, 0};
    thread = t_go(waits, &error);
    t_settle();
    close(written[0]);
    t_join(thread);
    CHECK_EQ(now(written[1], POLLOUT), POLLERR); /* full as well */

    /* a socket not connected, a refused one, files and devices */
    int fresh = socket(AF_INET, SOCK_STREAM, 0), null = open("/dev/null", O_RDWR),
        file = open("/proc/self/exe", O_RDONLY);
    CHECK_EQ(now(fresh, POLLIN | POLLOUT), POLLOUT | POLLHUP);
    CHECK_EQ(now(null, POLLIN | POLLOUT | POLLPRI), POLLIN | POLLOUT);
    CHECK_EQ(now(file, POLLIN | POLLOUT), POLLIN | POLLOUT);
    CHECK_EQ(now(file, POLLRDNORM | POLLWRNORM), POLLRDNORM | POLLWRNORM);
    CHECK_OK(close(fresh));
    CHECK_EQ(now(fresh, POLLIN), POLLNVAL);
    struct pollfd both[2] = {{fresh, 0, 0}, {pair[0], POLLPRI, 0}};
    CHECK_EQ(poll(both, 2, -1), 1); /* a closed number ends the wait at once */
    CHECK_EQ(both[0].revents, POLLNVAL);
    CHECK_EQ(both[1].revents, 0);
    return 0;
}
