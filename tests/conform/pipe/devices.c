/* Devices, directories and descriptors that cannot be read, from threads: results and errors as
 * natively. */
#include "../t.h"
#include <sys/random.h>

static void *body(void *arg)
{
    char block[4096];
    struct iovec v[2] = {{block, 100}, {block + 100, 100}};
    int zero = open("/dev/zero", O_RDWR), null = open("/dev/null", O_RDWR),
        full = open("/dev/full", O_RDWR);
    int random = open("/dev/urandom", O_RDONLY), pool = open("/dev/random", O_RDWR), dir = open("/tmp", O_RDONLY | O_DIRECTORY),
        path = open("/tmp", O_PATH);
    int self = open("/proc/self/status", O_RDONLY), only = open("/dev/null", O_WRONLY);
    memset(block, 1, sizeof block);
    CHECK_EQ(read(zero, block, sizeof block), sizeof block);
    CHECK_EQ(block[0] | block[4095], 0);
    CHECK_EQ(readv(zero, v, 2), 200);
    CHECK_EQ(read(null, block, 10), 0);
    CHECK_EQ(write(null, block, 4096), 4096);
    CHECK_EQ(writev(null, v, 2), 200);
    CHECK_ERR(write(full, block, 1), ENOSPC);
    CHECK_EQ(read(random, block, 64), 64);
    CHECK_EQ(write(pool, block, 300), 300); /* of room there poll does not tell */
    CHECK_EQ(write(pool, block, 8), 8);
    CHECK_EQ(read(pool, block, 300), 300);
    CHECK_EQ(getrandom(block, 64, 0), 64);
    CHECK_EQ(getrandom(block, 64, GRND_NONBLOCK), 64);
    CHECK_ERR(getrandom(block, 64, 0x1000), EINVAL);
    CHECK_ERR(read(dir, block, 10), EISDIR);
    CHECK_ERR(read(path, block, 10), EBADF);
    CHECK_ERR(write(random, block, 10), EBADF);
    CHECK_ERR(read(only, block, 10), EBADF);
    CHECK_GE(read(self, block, sizeof block), 10);
    CHECK_OK(memcmp(block, "Name:", 5));
    struct pollfd p[4] = {
        {zero, POLLIN, 0}, {full, POLLOUT, 0}, {dir, POLLIN, 0}, {path, POLLIN, 0}};
    CHECK_EQ(poll(p, 4, -1), 4);
    CHECK_EQ(p[2].revents, POLLIN);
    CHECK(p[3].revents);
    CHECK_ERR(recv(zero, block, 1, 0), ENOTSOCK);
    CHECK_ERR(accept(null, NULL, NULL), ENOTSOCK);
    CHECK_ERR(connect(null, (struct sockaddr *)block, 16), ENOTSOCK);
    CHECK_ERR(read(-1, block, 1), EBADF);
    int fds[] = {zero, null, full, random, pool, dir, path, self, only};
    for (int i = 0; i < 9; i++)
        CHECK_OK(close(fds[i]));
    CHECK_ERR(close(-1), EBADF);
    return arg;
}

int main(void)
{
    pthread_t threads[8];
    body(NULL);
    for (int i = 0; i < 8; i++)
        threads[i] = t_go(body, NULL);
    for (int i = 0; i < 8; i++)
        t_join(threads[i]);
    return 0;
}
