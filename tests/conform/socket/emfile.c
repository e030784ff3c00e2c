/* At the limit of descriptors everything that makes one is EMFILE, accept at once and without
 * losing the connection; below it again all goes on; waits are not disturbed. */
#include "../t.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

static int ends[2];
static void *waits(void *arg)
{
    char byte;
    CHECK_EQ(read(ends[0], &byte, 1), 1);
    return arg;
}

static struct sockaddr_in address;
static void *body(void *arg)
{
    int listener = *(int *)arg, fds[64], n = 0, pair[2];
    while (n < 64 && (fds[n] = dup(0)) >= 0)
        n++;
    CHECK(n < 64);
    CHECK_EQ(errno, EMFILE);
    CHECK_ERR(socket(AF_INET, SOCK_STREAM, 0), EMFILE);
    CHECK_ERR(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), EMFILE);
    CHECK_ERR(pipe(pair), EMFILE);
    CHECK_ERR(eventfd(0, 0), EMFILE);
    CHECK_ERR(timerfd_create(CLOCK_MONOTONIC, 0), EMFILE);
    CHECK_ERR(epoll_create1(0), EMFILE);
    CHECK_ERR(open("/dev/null", O_RDONLY), EMFILE);
    CHECK_ERR(fcntl(0, F_DUPFD, 0), EMFILE);
    CHECK_ERR(accept(listener, NULL, NULL), EMFILE); /* nobody has connected: it does not wait */
    CHECK_OK(close(fds[--n]));
    int client = t_connect(&address);
    CHECK_ERR(accept(listener, NULL, NULL), EMFILE);
    CHECK_OK(close(fds[--n]));
    int fd = accept(listener, NULL, NULL); /* the connection is still there */
    CHECK(fd >= 0);
    CHECK_EQ(write(client, "x", 1), 1);
    CHECK_EQ(read(fd, &pair, 1), 1);
    close(fd);
    close(client);
    while (n > 0)
        close(fds[--n]);
    return NULL;
}

int main(void)
{
    int listener = t_listen(&address, 4);
    t_pair(ends);
    struct rlimit limit;
    pthread_t thread = t_go(waits, NULL);
    t_settle();
    CHECK_OK(getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = 40;
    CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
    for (int i = 0; i < 3; i++)
        t_join(t_go(body, &listener));
    CHECK_ERR(dup2(0, 40), EBADF);
    CHECK_ERR(fcntl(0, F_DUPFD, 40), EINVAL);
    CHECK_EQ(write(ends[1], "x", 1), 1);
    t_join(thread);
    return 0;
}
