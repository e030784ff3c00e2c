/* A block device (a loop device on a file): threads read, write and sync it, through the page cache and directly, with
 * all the calls there are for files, while others pass a token round; its contents are the file's. */
/* conform: also HANDOFF_MAX_WORKERS=4 */
#include "../t.h"
#include <linux/loop.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/sysmacros.h>

enum { THREADS = 8, BLOCK = 4096, BLOCKS = 8, RING = 4 };

static int device, direct = -1, file;

/* LO_FLAGS_AUTOCLEAR: with the last descriptor, that is with the process, the device is free again. */
static int attach(void)
{
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (control < 0)
        return -1;
    for (int tries = 0; tries < 50; tries++) {
        struct loop_config config = {.fd = (uint32_t)file, .info.lo_flags = LO_FLAGS_AUTOCLEAR};
        char name[40];
        int number = ioctl(control, LOOP_CTL_GET_FREE), fd;
        if (number < 0)
            break;
        snprintf(name, sizeof name, "/dev/loop%d", number);
        if ((fd = open(name, O_RDWR | O_CLOEXEC)) < 0)
            break;
        if (ioctl(fd, LOOP_CONFIGURE, &config) == 0) {
            close(control);
            direct = open(name, O_RDWR | O_DIRECT | O_CLOEXEC);
            CHECK(direct >= 0);
            return fd;
        }
        int error = errno;
        close(fd);
        if (error != EBUSY) /* somebody else took it */
            break;
    }
    close(control);
    return -1;
}

static void *uses(void *arg)
{
    int i = (int)(intptr_t)arg;
    unsigned char *data = aligned_alloc(BLOCK, BLOCK), *back = aligned_alloc(BLOCK, BLOCK);
    CHECK(data && back);
    for (int k = 0; k < BLOCKS; k++) {
        off_t at = (off_t)(i * BLOCKS + k) * BLOCK;
        struct iovec out[2] = {{data, 1000}, {data + 1000, BLOCK - 1000}}, in[2] = {{back, 3000}, {back + 3000, BLOCK - 3000}};
        t_fill(data, BLOCK, (uint32_t)(i * BLOCKS + k));
        memset(back, 0, BLOCK);
        switch (k % 3) {
        case 0: /* a page that the cache does not have: directly */
            CHECK_EQ(pwrite(direct, data, BLOCK, at), BLOCK);
            CHECK_EQ(pread(direct, back, BLOCK, at), BLOCK);
            break;
        case 1:
            CHECK_EQ(pwrite(device, data, BLOCK, at), BLOCK);
            CHECK_OK(k % 2 ? fsync(device) : fdatasync(device));
            CHECK_EQ(pread(direct, back, BLOCK, at), BLOCK);
            break;
        default:
            CHECK_EQ(pwritev2(device, out, 2, at, RWF_SYNC), BLOCK);
            CHECK_EQ(preadv(device, in, 2, at), BLOCK);
        }
        CHECK_OK(memcmp(data, back, BLOCK));
    }
    free(data);
    free(back);
    return NULL;
}

/* By position, to the end; and what can be copied from it. */
static void *streams(void *arg)
{
    static unsigned char data[BLOCK], want[BLOCK];
    struct pollfd p = {device, POLLIN | POLLOUT, 0};
    struct epoll_event event = {.events = EPOLLIN};
    int ep = epoll_create1(0), tube[2];
    CHECK_EQ(poll(&p, 1, -1), 1);
    CHECK_EQ(p.revents, POLLIN | POLLOUT);
    CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_ADD, device, &event), EPERM);
    close(ep);
    CHECK_EQ(lseek(device, 0, SEEK_SET), 0);
    for (int k = 0; k < THREADS * BLOCKS; k++) {
        t_fill(want, BLOCK, (uint32_t)k);
        CHECK_EQ(read(device, data, BLOCK), BLOCK);
        CHECK_OK(memcmp(data, want, BLOCK));
    }
    CHECK_EQ(read(device, data, BLOCK), 0);
    CHECK_ERR(write(device, data, BLOCK), ENOSPC);
    CHECK_ERR(read(direct, data + 1, 100), EINVAL); /* not aligned */
    CHECK_ERR(recv(device, data, 1, 0), ENOTSOCK);
    CHECK_OK(pipe(tube));
    off_t at = 5 * BLOCK;
    t_fill(want, BLOCK, 5);
    CHECK_EQ(sendfile(tube[1], device, &at, BLOCK), BLOCK);
    t_read_all(tube[0], data, BLOCK);
    CHECK_OK(memcmp(data, want, BLOCK));
    t_fill(want, BLOCK, 6);
    CHECK_EQ(splice(device, &at, tube[1], NULL, BLOCK, 0), BLOCK);
    t_read_all(tube[0], data, BLOCK);
    CHECK_OK(memcmp(data, want, BLOCK));
    close(tube[0]);
    close(tube[1]);
    CHECK_OK(fsync(device));
    for (int k = 0; k < THREADS * BLOCKS; k++) {
        t_fill(want, BLOCK, (uint32_t)k);
        CHECK_EQ(pread(file, data, BLOCK, (off_t)k * BLOCK), BLOCK);
        CHECK_OK(memcmp(data, want, BLOCK));
    }
    return arg;
}

int main(void)
{
    pthread_t threads[THREADS];
    char path[] = "handoff-block-XXXXXX";
    CHECK((file = mkstemp(path)) >= 0);
    unlink(path);
    CHECK_OK(ftruncate(file, THREADS * BLOCKS * BLOCK));
    if ((device = attach()) < 0)
        t_skip("no loop devices here");
    struct stat st;
    CHECK_OK(fstat(device, &st));
    CHECK(S_ISBLK(st.st_mode));
    for (intptr_t i = 0; i < THREADS; i++)
        threads[i] = t_go(uses, (void *)i);
    t_pass_round(RING, 50);
    for (int i = 0; i < THREADS; i++)
        t_join(threads[i]);
    t_join(t_go(streams, NULL));
    return 0;
}
