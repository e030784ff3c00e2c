/* A number closed, replaced by dup2 or swept by close_range under a thread that waits on it. Linux
 * lets the wait go on with the old description; a thread that comes later gets EBADF, or the new
 * one. Whichever: nobody hangs, the data of the new description is not lost, and other waits go on.
 */
#include "../t.h"

static int ends[2], other[2], quiet[2], how;

static void *reads(void *arg)
{
    char byte = 0;
    ssize_t n = read(ends[0], &byte, 1);
    if (n < 0) {
        CHECK_EQ(errno, EBADF);
        return NULL;
    }
    CHECK(n == 0 || byte == 'o' || byte == 'n');
    (void)arg;
    return n == 1 && byte == 'n' ? ends : NULL; /* it took the new description's */
}

static void *polls(void *arg)
{
    struct pollfd p = {ends[0], POLLIN, 0};
    /* By turns: it sleeps on the old description and looks at the new one. Where the reader, on the new one, took the data between the
     * old one's last event and that look, nothing would ever wake it, natively too. */
    while (poll(&p, 1, 100) == 0)
        ;
    CHECK(p.revents & (POLLIN | POLLHUP | POLLNVAL));
    return arg;
}

static void *writes(void *arg)
{
    static char block[4000000];
    ssize_t n = send(ends[0], block, sizeof block, MSG_NOSIGNAL);
    if (n < 0)
        CHECK(errno == EBADF || errno == EPIPE || errno == ECONNRESET);
    return arg;
}

static void *undisturbed(void *arg)
{
    char byte;
    CHECK_EQ(read(quiet[0], &byte, 1), 1);
    return arg;
}

static void change(void)
{
    if (how == 0) {
        CHECK_OK(close(ends[0]));
        CHECK_EQ(dup2(other[0], ends[0]), ends[0]);
    } else if (how == 1) {
        CHECK_EQ(dup2(other[0], ends[0]), ends[0]);
    } else if (how == 2) {
        CHECK_EQ(dup3(other[0], ends[0], O_CLOEXEC), ends[0]);
    } else {
        CHECK_OK(syscall(SYS_close_range, ends[0], ends[0], 0));
        CHECK_EQ(dup2(other[0], ends[0]), ends[0]);
    }
}

int main(void)
{
    char byte;
    signal(SIGPIPE, SIG_IGN);
    t_pair(quiet);
    pthread_t still = t_go(undisturbed, NULL);
    for (int kind = 0; kind < 3; kind++)
        for (how = 0; how < 4; how++) {
            /* a reader and a poller; the old description gets 'o', the new one 'n' */
            for (int round = 0; round < 3; round++) {
                if (kind == 0)
                    t_pair(ends);
                else if (kind == 1)
                    t_tcp(ends);
                else
                    CHECK_OK(pipe(ends));
                t_pair(other);
                pthread_t reader = t_go(reads, NULL), poller = t_go(polls, NULL);
                if (round)
                    t_settle();
                change();
                if (kind < 2)
                    send(ends[1], "o", 1, MSG_NOSIGNAL);
                else if (write(ends[1], "o", 1) < 0)
                    CHECK_EQ(errno, EPIPE);
                CHECK_EQ(write(other[1], "n", 1), 1);
                close(ends[1]);
                if (t_join(reader) != NULL)
                    CHECK_EQ(write(other[1], "n", 1), 1);
                t_join(poller);
                CHECK_EQ(read(other[0], &byte, 1), 1);
                CHECK_EQ(byte, 'n');
                close(other[0]);
                close(other[1]);
                close(ends[0]);
            }
            if (kind == 2)
                continue;
            if (kind == 0)
                t_pair(ends);
            else
                t_tcp(ends);
            t_pair(other);
            pthread_t writer = t_go(writes, NULL);
            t_settle();
            change();
            static char block[100000];
            close(other[1]); /* ends it if it came late */
            while (read(ends[1], block, sizeof block) > 0)
                ;
            t_join(writer);
            close(ends[0]);
            close(ends[1]);
            close(other[0]);
        }
    CHECK_EQ(write(quiet[1], "x", 1), 1);
    t_join(still);
    return 0;
}
