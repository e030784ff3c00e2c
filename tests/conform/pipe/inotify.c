/* inotify: a reader waits for events in a directory, sees them in order and whole, O_NONBLOCK is
 * EAGAIN, too small a buffer EINVAL; a watch removed tells. fanotify likewise where permitted. */
#include "../t.h"
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

static char dir[] = "handoff-inotify-XXXXXX";
static int fd, watch;
#define FILES 50

static void *reads(void *arg)
{
    int next = 0, removed = 0;
    while (!removed) {
        char block[1000] __attribute__((aligned(8)));
        ssize_t n = read(fd, block, sizeof block);
        CHECK(n > 0);
        for (ssize_t at = 0; at < n;) {
            struct inotify_event *e = (struct inotify_event *)(block + at);
            CHECK_EQ(e->wd, watch);
            if (e->mask & IN_IGNORED) {
                removed = 1;
            } else {
                CHECK_EQ(e->mask, IN_CREATE);
                CHECK_EQ(atoi(e->name), next++);
            }
            at += (ssize_t)sizeof *e + e->len;
        }
    }
    CHECK_EQ(next, FILES);
    return arg;
}

static int fan;
static void *reads_fan(void *arg)
{
    struct fanotify_event_metadata m;
    CHECK_EQ(read(fan, &m, sizeof m), sizeof m);
    CHECK_EQ(m.mask, FAN_OPEN);
    close(m.fd);
    return arg;
}

int main(void)
{
    char path[100];
    CHECK(mkdtemp(dir));
    CHECK((fd = inotify_init1(IN_CLOEXEC)) >= 0);
    CHECK((watch = inotify_add_watch(fd, dir, IN_CREATE)) >= 0);
    pthread_t thread = t_go(reads, NULL);
    t_settle();
    for (int i = 0; i < FILES; i++) {
        snprintf(path, sizeof path, "%s/%d", dir, i);
        close(creat(path, 0600));
        unlink(path);
        if (i % 10 == 0)
            t_settle();
    }
    CHECK_OK(inotify_rm_watch(fd, watch));
    t_join(thread);
    CHECK((watch = inotify_add_watch(fd, dir, IN_CREATE)) >= 0);
    snprintf(path, sizeof path, "%s/x", dir);
    close(creat(path, 0600));
    int size = 0;
    CHECK_OK(ioctl(fd, FIONREAD, &size));
    CHECK_EQ(size, sizeof(struct inotify_event) + 16);
    CHECK_ERR(read(fd, path, sizeof(struct inotify_event)), EINVAL);
    CHECK_EQ(read(fd, path + 0, 50), size);
    CHECK_OK(fcntl(fd, F_SETFL, O_NONBLOCK));
    CHECK_ERR(read(fd, path, 50), EAGAIN);
    fan = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC, O_RDONLY);
    snprintf(path, sizeof path, "%s/x", dir);
    if (fan >= 0 && fanotify_mark(fan, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, path) == 0) {
        thread = t_go(reads_fan, NULL);
        t_settle();
        close(open(path, O_RDONLY));
        t_join(thread);
    }
    unlink(path);
    rmdir(dir);
    return 0;
}
