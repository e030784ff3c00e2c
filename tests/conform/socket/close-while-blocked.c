/* A call that blocks holds its open file: closing or replacing the number under it changes nothing for it. What comes
 * later reaches it; the connection ends when the last such call does. poll(2) sleeps on, and when what it watched wakes it, finds the
 * number closed. */
#include "../t.h"
#include <sys/eventfd.h>
#include <sys/select.h>

static int pair[2], efd;

static void *reads(void *arg)
{
    char byte;
    CHECK_EQ(read(pair[0], &byte, 1), 1);
    CHECK_EQ(byte, 'x');
    return arg;
}

static void *polls(void *arg)
{
    struct pollfd p = {.fd = pair[0], .events = POLLIN};
    CHECK_EQ(poll(&p, 1, -1), 1);
    CHECK_EQ(p.revents, POLLNVAL);
    CHECK_EQ(p.fd, (intptr_t)arg);
    return arg;
}

static void *counts(void *arg)
{
    uint64_t v;
    CHECK_EQ(read(efd, &v, 8), 8);
    CHECK_EQ(v, 7);
    return arg;
}

static void nap(void)
{
    struct timespec t = {0, 50 * MSEC};
    nanosleep(&t, NULL);
}

int main(void)
{
    /* close under a reader; the number is used again at once */
    t_pair(pair);
    pthread_t t = t_go_waits(reads, NULL);
    int number = pair[0];
    CHECK_OK(close(pair[0]));
    int other[2];
    t_pair(other);
    CHECK(other[0] == number || other[1] == number);
    int end = other[0] == number ? other[1] : other[0];
    CHECK_EQ(write(end, "y", 1), 1); /* for the new file of that number: not the reader's */
    nap();
    CHECK_EQ(write(pair[1], "x", 1), 1);
    t_join(t);
    char byte;
    CHECK_EQ(read(number, &byte, 1), 1);
    CHECK_EQ(byte, 'y');
    CHECK_EQ(read(pair[1], &byte, 1), 0); /* the reader is done: now it is closed */
    close(pair[1]);
    close(other[0]);
    close(other[1]);

    /* written, then closed before the reader can have run */
    t_pair(pair);
    t = t_go_waits(reads, NULL);
    CHECK_EQ(write(pair[1], "x", 1), 1);
    CHECK_OK(close(pair[0]));
    t_join(t);
    close(pair[1]);

    /* dup2 over it */
    t_pair(pair);
    int null = open("/dev/null", O_RDWR);
    t = t_go_waits(reads, NULL);
    CHECK_EQ(dup2(null, pair[0]), pair[0]);
    CHECK_EQ(write(pair[1], "x", 1), 1);
    t_join(t);
    CHECK_EQ(read(pair[1], &byte, 1), 0);
    close(pair[0]);
    close(pair[1]);
    close(null);

    /* close_range over it, and over everything else that could be */
    t_pair(pair);
    t = t_go_waits(reads, NULL);
    int keep = fcntl(pair[1], F_DUPFD, 500);
    CHECK_EQ(keep, 500);
    CHECK_OK(close_range(3, 499, 0));
    CHECK_OK(close_range(501, ~0u, 0));
    CHECK_EQ(write(keep, "x", 1), 1);
    t_join(t);
    CHECK_EQ(read(keep, &byte, 1), 0);
    close(keep);

    /* close under poll */
    t_pair(pair);
    t = t_go_waits(polls, (void *)(intptr_t)pair[0]);
    CHECK_OK(close(pair[0]));
    nap();
    CHECK_EQ(write(pair[1], "x", 1), 1);
    t_join(t);
    close(pair[1]);

    /* an eventfd, and a process that forks meanwhile: its copy of the table has nothing extra */
    efd = eventfd(0, 0);
    int dup_of = dup(efd);
    t = t_go_waits(counts, NULL);
    CHECK_OK(close(efd));
    uint64_t v = 7;
    CHECK_EQ(write(dup_of, &v, 8), 8);
    t_join(t);
    close(dup_of);

    t_pair(pair);
    t = t_go_waits(reads, NULL);
    CHECK_OK(close(pair[0]));
    int ready[2];
    CHECK_OK(pipe(ready));
    pid_t child = fork();
    if (child == 0) {
        CHECK_EQ(write(ready[1], "r", 1), 1);
        pause();
        _exit(0);
    }
    CHECK_EQ(read(ready[0], &byte, 1), 1);
    CHECK_EQ(write(pair[1], "x", 1), 1);
    t_join(t);
    CHECK_EQ(read(pair[1], &byte, 1), 0); /* the child does not keep it open */
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return 0;
}
