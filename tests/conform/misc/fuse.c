/* A file system (FUSE) that threads of the program itself serve: whoever looks at a file of it waits, in whatever call, in a
 * fault on a mapping, in close or dup2, until another thread has run and answered. */
/* conform: also HANDOFF_MAX_WORKERS=16 */
#include "../t.h"
#include <dirent.h>
#include <linux/fuse.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/xattr.h>

enum { SERVERS = 2, CLIENTS = 6, ROUNDS = 4, SIZE = 8192, ROOM = 1 << 17, RING = 3 };

static char dir[] = "handoff-fuse-XXXXXX";
static int device;
static _Atomic int ending;

/* Nodes: 1 the directory, 2 "direct", whose every read is asked for, 3 "cached". */
static struct fuse_attr attr_of(uint64_t node)
{
    return (struct fuse_attr){.ino = node, .size = node == 1 ? 0 : SIZE, .nlink = 1, .mode = node == 1 ? S_IFDIR | 0755 : S_IFREG | 0644};
}

static void reply(uint64_t unique, int error, const void *data, size_t size)
{
    struct fuse_out_header h = {.len = (uint32_t)(sizeof h + size), .error = -error, .unique = unique};
    struct iovec v[2] = {{&h, sizeof h}, {(void *)(uintptr_t)data, size}};
    ssize_t n = writev(device, v, size ? 2 : 1);
    if (n < 0 && ending) /* nobody waits for the answer to a FUSE_RELEASE */
        CHECK(errno == ENOENT || errno == ENODEV);
    else
        CHECK_EQ(n, h.len);
}

static void answer(const struct fuse_in_header *in, char *room)
{
    const void *arg = in + 1;
    const struct fuse_read_in *span = arg;
    switch (in->opcode) {
    case FUSE_INIT: {
        struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION, .minor = 31, .max_write = 65536, .max_readahead = 4096};
        reply(in->unique, 0, &out, sizeof out);
        break;
    }
    case FUSE_LOOKUP: {
        uint64_t node = strcmp(arg, "direct") == 0 ? 2 : strcmp(arg, "cached") == 0 ? 3 : 0;
        struct fuse_entry_out out = {.nodeid = node, .attr = attr_of(node)};
        reply(in->unique, node ? 0 : ENOENT, &out, node ? sizeof out : 0);
        break;
    }
    case FUSE_GETATTR:
    case FUSE_SETATTR: {
        struct fuse_attr_out out = {.attr = attr_of(in->nodeid)};
        reply(in->unique, 0, &out, sizeof out);
        break;
    }
    case FUSE_OPEN:
    case FUSE_OPENDIR: {
        struct fuse_open_out out = {.fh = in->nodeid, .open_flags = in->nodeid == 2 ? FOPEN_DIRECT_IO : 0};
        reply(in->unique, 0, &out, sizeof out);
        break;
    }
    case FUSE_READ:
        if (span->offset >= SIZE) {
            reply(in->unique, 0, NULL, 0);
        } else {
            size_t n = span->size < SIZE - span->offset ? span->size : SIZE - (size_t)span->offset;
            memset(room, 'r', n);
            reply(in->unique, 0, room, n);
        }
        break;
    case FUSE_READDIR: {
        struct fuse_dirent *e = (struct fuse_dirent *)room;
        memset(room, 0, 64);
        *e = (struct fuse_dirent){.ino = 2, .off = 1, .namelen = 6, .type = DT_REG};
        memcpy(e->name, "direct", 6);
        reply(in->unique, 0, room, span->offset ? 0 : FUSE_DIRENT_SIZE(e));
        break;
    }
    case FUSE_WRITE: {
        struct fuse_write_out out = {.size = ((const struct fuse_write_in *)arg)->size};
        reply(in->unique, 0, &out, sizeof out);
        break;
    }
    case FUSE_STATFS: {
        struct fuse_statfs_out out = {.st = {.blocks = 77, .bsize = 4096, .namelen = 255}};
        reply(in->unique, 0, &out, sizeof out);
        break;
    }
    case FUSE_GETXATTR:
    case FUSE_UNLINK:
        reply(in->unique, in->opcode == FUSE_UNLINK ? EBUSY : ENODATA, NULL, 0);
        break;
    case FUSE_FLUSH:
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
    case FUSE_FSYNC:
    case FUSE_FALLOCATE:
    case FUSE_ACCESS:
        reply(in->unique, 0, NULL, 0);
        break;
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT: /* nobody is told of these; a call that is interrupted is answered all the same */
        break;
    default:
        reply(in->unique, ENOSYS, NULL, 0);
    }
}

static void *serves(void *arg)
{
    char *in = aligned_alloc(4096, ROOM), *room = malloc(ROOM);
    for (;;) {
        ssize_t n = read(device, in, ROOM);
        if (n < 0 && (errno == ENOENT || errno == EINTR)) /* it was interrupted before we had it */
            continue;
        if (n < 0)
            break;
        CHECK(n >= (ssize_t)sizeof(struct fuse_in_header));
        sched_yield();
        answer((struct fuse_in_header *)in, room);
    }
    CHECK_EQ(errno, ENODEV); /* it is no longer mounted */
    free(in);
    free(room);
    return arg;
}

static int opened(const char *name)
{
    char path[100];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    CHECK(fd >= 0);
    return fd;
}

static void *looks(void *arg)
{
    char path[100], *block = malloc(SIZE);
    struct stat st;
    struct statfs fs;
    snprintf(path, sizeof path, "%s/direct", dir);
    for (int i = 0; i < ROUNDS; i++) {
        CHECK_OK(stat(path, &st));
        CHECK_EQ(st.st_size, SIZE);
        CHECK_OK(statfs(path, &fs));
        CHECK_EQ(fs.f_blocks, 77);
        CHECK_OK(chmod(path, 0644));
        CHECK_OK(utimensat(AT_FDCWD, path, NULL, 0));
        CHECK_ERR(getxattr(path, "user.x", block, 10), ENODATA);
        CHECK_ERR(unlink(path), EBUSY);
        CHECK_OK(access(path, R_OK));
        DIR *d = opendir(dir);
        CHECK(d);
        struct dirent *e = readdir(d);
        CHECK(e);
        CHECK_OK(strcmp(e->d_name, "direct"));
        CHECK(!readdir(d));
        closedir(d);

        int fd = opened("direct");
        CHECK_EQ(read(fd, block, 100), 100);
        CHECK(block[0] == 'r' && block[99] == 'r');
        CHECK_EQ(pread(fd, block, SIZE, 100), SIZE - 100);
        CHECK_EQ(write(fd, block, 1000), 1000);
        struct iovec v[2] = {{block, 10}, {block + 10, 20}};
        CHECK_EQ(preadv2(fd, v, 2, 0, 0), 30);
        CHECK_OK(ftruncate(fd, SIZE));
        CHECK_OK(fsync(fd));
        CHECK_OK(fstat(fd, &st));
        CHECK_OK(fallocate(fd, 0, 0, SIZE));
        int other = opened("cached");
        char *map = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, other, 0);
        CHECK(map != MAP_FAILED);
        CHECK_EQ(((volatile char *)map)[5000], 'r');
        CHECK_OK(posix_fadvise(other, 0, 0, POSIX_FADV_DONTNEED));
        CHECK_OK(munmap(map, SIZE));
        CHECK_EQ(dup2(fd, other), other); /* closes the cached one */
        CHECK_OK(syscall(SYS_close_range, other, other, 0));
        CHECK_OK(close(fd));
        FILE *f = fopen(path, "r");
        CHECK(f);
        CHECK_EQ(getc(f), 'r');
        CHECK_OK(fclose(f));
    }
    free(block);
    return arg;
}

int main(void)
{
    pthread_t servers[SERVERS], clients[CLIENTS];
    char options[100];
    device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (device < 0 || unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        t_skip("no FUSE here"); /* in a name space of its own, which ends with us, and the mount with it */
    CHECK(mkdtemp(dir));
    snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0", device);
    if (mount("handoff", dir, "fuse.handoff", MS_NOSUID | MS_NODEV, options) != 0) {
        rmdir(dir);
        t_skip("not permitted to mount");
    }
    for (int i = 0; i < SERVERS; i++)
        servers[i] = t_go(serves, NULL);
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = t_go(looks, NULL);
    t_pass_round(RING, 50);
    for (int i = 0; i < CLIENTS; i++)
        t_join(clients[i]);
    ending = 1;
    CHECK_OK(umount2(dir, MNT_DETACH));
    for (int i = 0; i < SERVERS; i++)
        t_join(servers[i]);
    CHECK_OK(rmdir(dir));
    return 0;
}
