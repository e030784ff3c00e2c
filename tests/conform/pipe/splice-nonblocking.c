/* splice, tee and sendfile heed O_NONBLOCK of either side: what would have to wait for it is EAGAIN. Those that wait for room
 * leave the processor to others. */
#include "../t.h"
#include <sys/sendfile.h>

#define WAITING 4
static int room[2];
static char junk[65536];

static void block(int fd, int on)
{
    CHECK_OK(fcntl(fd, F_SETFL, on ? 0 : O_NONBLOCK));
}

static void fill(int fd)
{
    block(fd, 0);
    for (size_t n = sizeof junk; n > 0;)
        if (write(fd, junk, n) < 0) {
            CHECK_EQ(errno, EAGAIN);
            n /= 2;
        }
}

static void *would_wait(void *arg)
{
    int ends[2], from[2], to[2], file = open("/proc/self/exe", O_RDONLY);
    CHECK(file >= 0);
    for (int tcp = 0; tcp < 2; tcp++) {
        if (tcp)
            t_tcp(ends);
        else
            t_pair(ends);
        CHECK_OK(pipe(from));
        CHECK_OK(pipe(to));

        block(ends[0], 0); /* empty */
        CHECK_ERR(splice(ends[0], NULL, to[1], NULL, 1000, 0), EAGAIN);
        block(from[0], 0);
        CHECK_ERR(splice(from[0], NULL, to[1], NULL, 1000, 0), EAGAIN);
        CHECK_ERR(tee(from[0], to[1], 1000, 0), EAGAIN);
        block(from[0], 1);

        t_write_all(from[1], "abc", 3); /* full */
        if (!tcp) {                     /* when TCP is, depends on when it is acknowledged */
            fill(ends[0]);
            CHECK_ERR(splice(from[0], NULL, ends[0], NULL, 1000, 0), EAGAIN);
            CHECK_ERR(sendfile(ends[0], file, NULL, 1000), EAGAIN);
        }
        fill(to[1]);
        off_t at = 0;
        CHECK_ERR(splice(from[0], NULL, to[1], NULL, 1000, 0), EAGAIN);
        CHECK_ERR(splice(file, &at, to[1], NULL, 1000, 0), EAGAIN);
        CHECK_ERR(tee(from[0], to[1], 1000, 0), EAGAIN);
        CHECK_ERR(sendfile(to[1], file, NULL, 1000), EAGAIN);
        for (int i = 0; i < 2; i++) {
            close(ends[i]);
            close(from[i]);
            close(to[i]);
        }
    }
    close(file);
    return arg;
}

static void *waits_for_room(void *arg)
{
    int file = open("/proc/self/exe", O_RDONLY);
    off_t at = 0;
    CHECK_EQ(splice(file, &at, room[1], NULL, 1000, 0), 1000);
    close(file);
    return arg;
}

static void *to_nowhere(void *arg)
{
    int ends[2];
    CHECK_OK(pipe2(ends, O_CLOEXEC));
    CHECK_ERR(splice(ends[0], NULL, -1, NULL, 10, 0), EBADF);
    CHECK_ERR(splice(-1, NULL, ends[1], NULL, 10, 0), EBADF);
    CHECK_ERR(tee(ends[0], 2000000, 10, 0), EBADF);
    close(ends[0]);
    close(ends[1]);
    return arg;
}

int main(void)
{
    t_join(t_go(to_nowhere, NULL));
    t_join(t_go(would_wait, NULL));
    pthread_t threads[WAITING];
    CHECK_OK(pipe(room));
    fill(room[1]);
    block(room[1], 1);
    for (int i = 0; i < WAITING; i++)
        threads[i] = t_go(waits_for_room, NULL);
    t_settle();
    t_pass_round(8, 1000);
    t_read_all(room[0], junk, sizeof junk);
    for (int i = 0; i < WAITING; i++)
        t_join(threads[i]);
    return 0;
}
