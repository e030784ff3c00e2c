/* Pseudo-terminals: lines and end of file in canonical mode; VMIN and VTIME in raw mode; a full
 * terminal makes its writer wait; the other side's close ends the wait. */
#include "../t.h"
#include <pty.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <termios.h>

static int master, slave;

struct wait {
    int fd;
    ssize_t want;
    int error;
    const char *text;
    bool pieces; /* it may come so */
};

static void *reads(void *arg)
{
    struct wait *w = arg;
    char text[200];
    errno = 0;
    ssize_t n = read(w->fd, text, sizeof text);
    while (w->pieces && n > 0 && n < w->want) {
        ssize_t more = read(w->fd, text + n, sizeof text - (size_t)n);
        CHECK(more > 0);
        n += more;
    }
    if (w->want < 0 && n == 0) /* a hang-up found at the start of the read, or in it */
        return NULL;
    CHECK_EQ(n, w->want);
    if (n < 0)
        CHECK_EQ(errno, w->error);
    if (n > 0 && w->text)
        CHECK_OK(memcmp(text, w->text, (size_t)n));
    return NULL;
}

static pthread_t go(struct wait *w)
{
    pthread_t thread = t_go(reads, w);
    t_settle();
    return thread;
}

static void mode(int min, int time)
{
    struct termios t;
    CHECK_OK(tcgetattr(slave, &t));
    cfmakeraw(&t);
    t.c_cc[VMIN] = (cc_t)min;
    t.c_cc[VTIME] = (cc_t)time;
    CHECK_OK(tcsetattr(slave, TCSANOW, &t));
}

static void *writes_much(void *arg)
{
    char block[1000];
    memset(block, 'x', sizeof block);
    for (int i = 0; i < 100; i++)
        t_write_all(slave, block, sizeof block);
    return arg;
}

int main(void)
{
    if (openpty(&master, &slave, NULL, NULL, NULL) != 0)
        t_skip("no pseudo-terminals");
    struct termios canonical;
    CHECK_OK(tcgetattr(slave, &canonical));
    canonical.c_lflag &= ~(tcflag_t)ECHO;
    CHECK_OK(tcsetattr(slave, TCSANOW, &canonical));
    struct wait line = {slave, 5, 0, "abcd\n", false}, end = {slave, 0, 0, NULL, false},
                erased = {slave, 2, 0, "a\n", false};
    pthread_t thread = go(&line);
    CHECK_EQ(write(master, "ab", 2), 2);
    t_settle();
    CHECK_EQ(write(master, "cd\nrest", 7), 7);
    t_join(thread);
    struct wait rest = {slave, 4, 0, "rest", false};
    thread = go(&rest);
    CHECK_EQ(write(master, "\004", 1),
             1); /* the end of file key: what there is, without a newline */
    t_join(thread);
    thread = go(&end);
    CHECK_EQ(write(master, "\004", 1), 1);
    t_join(thread);
    thread = go(&erased);
    CHECK_EQ(write(master, "ab\177\n", 4), 4);
    t_join(thread);

    /* what the slave writes, the master reads */
    struct wait output = {master, 4, 0, "hi\r\n", true}; /* the newline is put in by itself */
    thread = go(&output);
    CHECK_EQ(write(slave, "hi\n", 3), 3);
    t_join(thread);

    struct wait three = {slave, 3, 0, "abc", false};
    mode(3, 0);
    thread = go(&three);
    CHECK_EQ(write(master, "a", 1), 1);
    t_settle();
    CHECK_EQ(write(master, "b", 1), 1);
    t_settle();
    CHECK_EQ(write(master, "c", 1), 1);
    t_join(thread);

    mode(0, 1); /* a tenth of a second, then nothing */
    int64_t start = t_now(CLOCK_MONOTONIC);
    reads(&end);
    CHECK_GE(t_now(CLOCK_MONOTONIC) - start, 80 * MSEC);
    mode(0, 0);
    reads(&end);
    struct wait two = {slave, 2, 0, "ab", false};
    mode(200, 1); /* between bytes */
    thread = go(&two);
    CHECK_EQ(write(master, "ab", 2), 2);
    t_join(thread);

    mode(1, 0);
    thread = t_go(writes_much, NULL);
    t_settle();
    for (int left = 100000; left > 0;) {
        char block[700];
        ssize_t n = read(master, block, sizeof block);
        CHECK(n > 0);
        CHECK_EQ(block[0], 'x');
        left -= (int)n;
    }
    t_join(thread);

    CHECK_OK(fcntl(slave, F_SETFL, O_RDWR | O_NONBLOCK));
    CHECK_ERR(read(slave, &start, 1), EAGAIN);
    CHECK_OK(fcntl(slave, F_SETFL, O_RDWR));

    /* hang-up */
    struct wait gone = {master, -1, EIO, NULL};
    thread = go(&gone);
    close(slave);
    t_join(thread);
    close(master);
    CHECK_OK(openpty(&master, &slave, NULL, NULL, NULL));
    gone.fd = slave;
    thread = go(&gone);
    close(master);
    t_join(thread);
    CHECK_ERR(write(slave, "x", 1), EIO);
    return 0;
}
