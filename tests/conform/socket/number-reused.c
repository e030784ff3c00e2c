/* A descriptor number closed and used again at once, for a socket, pipe or file, behaves as what it
 * now is. */
#include "../t.h"

static int fd_shared[2];

static void *reads(void *arg)
{
    char byte = 0;
    ssize_t n = read(*(int *)arg, &byte, 1);
    CHECK_EQ(n, 1);
    return (void *)(intptr_t)byte;
}

int main(void)
{
    int number = -1;
    for (int round = 0; round < 60; round++) {
        int kind = round % 4;
        if (kind == 0)
            t_pair(fd_shared);
        else if (kind == 1)
            CHECK_OK(pipe(fd_shared));
        else if (kind == 2)
            t_tcp(fd_shared);
        else {
            fd_shared[0] = memfd_create("reuse", 0);
            fd_shared[1] = dup(fd_shared[0]);
            CHECK_EQ(write(fd_shared[1], "f", 1), 1);
            CHECK_EQ(lseek(fd_shared[0], 0, SEEK_SET), 0);
        }
        if (round > 0 && kind != 2)
            CHECK_EQ(fd_shared[0], number);
        if (kind != 2)
            number = fd_shared[0];
        pthread_t thread = t_go(reads, &fd_shared[0]);
        if (kind != 3) {
            if (round % 2)
                t_settle();
            CHECK_EQ(write(fd_shared[1], "f", 1), 1);
        }
        CHECK_EQ((intptr_t)t_join(thread), 'f');
        CHECK_OK(close(fd_shared[0]));
        CHECK_OK(close(fd_shared[1]));
        if (kind == 2) {
            /* t_tcp had the listener between; find the lowest number again. */
            number = dup(1);
            close(number);
        }
    }
    return 0;
}
