/* What a program inherits over exec: O_NONBLOCK as whoever started it set it, its standard input's too, and as that
 * process, which has no threads, goes on setting and clearing it meanwhile; a wait under way is not disturbed. */
#include "../t.h"
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>

enum { PIPE, STREAM, PACKETS, LISTENER, EVENTS, TIMER, KINDS };

static int fds[KINDS], control;

static void refused(void)
{
    uint64_t value;
    for (int k = 0; k < KINDS; k++) {
        CHECK(fcntl(fds[k], F_GETFL) & O_NONBLOCK);
        if (k == LISTENER)
            CHECK_ERR(accept(fds[k], NULL, NULL), EAGAIN);
        else
            CHECK_ERR(read(fds[k], &value, 8), EAGAIN);
    }
}

static void *waits(void *arg)
{
    int k = (int)(intptr_t)arg;
    uint64_t value = 0;
    if (k == LISTENER) {
        int fd = accept(fds[k], NULL, NULL);
        CHECK(fd >= 0);
        close(fd);
    } else {
        CHECK_EQ(read(fds[k], &value, 8), 8);
        CHECK_EQ(value, 1);
    }
    return NULL;
}

static void ask(char what)
{
    CHECK_EQ(write(control, &what, 1), 1);
    CHECK_EQ(read(control, &what, 1), 1);
}

static void *body(void *arg)
{
    refused();
    for (int round = 0; round < 4; round++) {
        pthread_t threads[KINDS];
        ask('b');
        for (intptr_t k = 0; k < KINDS; k++)
            threads[k] = t_go(waits, (void *)k);
        t_settle();
        ask('f');
        for (int k = 0; k < KINDS; k++)
            t_join(threads[k]);
        ask('n');
        refused();
    }
    return arg;
}

static void set_all(int on)
{
    for (int k = 0; k < KINDS; k++) {
        if (k % 2)
            CHECK_OK(ioctl(fds[k], FIONBIO, &on));
        else
            CHECK_OK(fcntl(fds[k], F_SETFL, on ? O_RDWR | O_NONBLOCK : O_RDWR));
    }
}

/* In the process that made them; it does as it is asked. */
static void serve(const int *peers, const struct sockaddr_in *address)
{
    const uint64_t one = 1;
    const struct itimerspec soon = {{0, 0}, {0, 1}};
    char what;
    while (read(control, &what, 1) == 1) {
        if (what == 'f') {
            for (int k = 0; k < KINDS; k++) {
                if (k == LISTENER)
                    close(t_connect(address));
                else if (k == TIMER)
                    CHECK_OK(timerfd_settime(fds[k], 0, &soon, NULL));
                else
                    CHECK_EQ(write(peers[k], &one, 8), 8);
            }
        } else {
            set_all(what == 'n');
        }
        CHECK_EQ(write(control, &what, 1), 1);
    }
}

int main(int argc, char **argv)
{
    int ends[2], peers[KINDS], pair[2];
    struct sockaddr_in address;
    if (argc > 1) {
        for (int k = 0; k < KINDS; k++)
            fds[k] = atoi(argv[1 + k]);
        control = atoi(argv[1 + KINDS]);
        t_join(t_go(body, NULL));
        body(NULL);
        return 0;
    }
    for (int k = 0; k < KINDS; k++) {
        if (k == PIPE) {
            CHECK_OK(pipe(ends));
        } else if (k == STREAM) {
            t_tcp(ends);
        } else if (k == PACKETS) {
            CHECK_OK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends));
        } else if (k == LISTENER) {
            ends[0] = t_listen(&address, 4);
            ends[1] = -1;
        } else {
            CHECK((ends[0] = k == EVENTS ? eventfd(0, 0) : timerfd_create(CLOCK_MONOTONIC, 0)) >= 0);
            ends[1] = ends[0];
        }
        fds[k] = ends[0];
        peers[k] = ends[1];
    }
    t_pair(pair);
    set_all(1);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        char numbers[KINDS + 1][12], *arguments[KINDS + 3] = {argv[0]};
        CHECK_EQ(dup2(fds[PIPE], 0), 0);
        fds[PIPE] = 0;
        for (int k = 0; k <= KINDS; k++) {
            snprintf(numbers[k], sizeof numbers[k], "%d", k < KINDS ? fds[k] : pair[1]);
            arguments[k + 1] = numbers[k];
        }
        close(pair[0]);
        t_bound();
        execv("/proc/self/exe", arguments);
        _exit(1);
    }
    close(pair[1]);
    control = pair[0];
    serve(peers, &address);
    t_expect_exit(child, 0);
    return 0;
}
