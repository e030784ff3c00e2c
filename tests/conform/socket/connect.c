/* connect: success, ECONNREFUSED, EISCONN, ENOENT for a unix path, and a unix connect that waits
 * for room in the backlog. */
#include "../t.h"

static char path[] = "handoff-connect-XXXXXX/s";
static struct sockaddr_un local;
static _Atomic int connected;

static void *dials(void *arg)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_OK(connect(fd, (struct sockaddr *)&local, sizeof local)); /* waits: the backlog is 1 */
    connected++;
    char byte;
    CHECK_EQ(read(fd, &byte, 1), 1);
    close(fd);
    return arg;
}

static void *tcp(void *arg)
{
    struct sockaddr_in address;
    int listener = t_listen(&address, 5), fd = t_connect(&address);
    CHECK_ERR(connect(fd, (struct sockaddr *)&address, sizeof address), EISCONN);
    close(fd);
    close(listener);
    for (int i = 0; i < 20; i++) {
        fd = socket(AF_INET, SOCK_STREAM, 0);
        CHECK_ERR(connect(fd, (struct sockaddr *)&address, sizeof address), ECONNREFUSED);
        close(fd);
    }
    fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_ERR(connect(fd, t_bad(), sizeof address), EFAULT);
    CHECK_ERR(connect(fd, (struct sockaddr *)&address, 3), EINVAL);
    close(fd);
    CHECK_ERR(connect(-1, (struct sockaddr *)&address, sizeof address), EBADF);
    CHECK_ERR(connect(0, (struct sockaddr *)&address, sizeof address), ENOTSOCK);
    return arg;
}

int main(void)
{
    pthread_t threads[10];
    int null = open("/dev/null", O_RDONLY);
    CHECK(null >= 0 && dup2(null, 0) == 0);
    tcp(NULL);
    for (int i = 0; i < 5; i++)
        threads[i] = t_go(tcp, NULL);
    for (int i = 0; i < 5; i++)
        t_join(threads[i]);

    *strrchr(path, '/') = 0;
    CHECK(mkdtemp(path));
    local.sun_family = AF_UNIX;
    snprintf(local.sun_path, sizeof local.sun_path, "%s/s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_ERR(connect(fd, (struct sockaddr *)&local, sizeof local), ENOENT);
    close(fd);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_OK(bind(listener, (struct sockaddr *)&local, sizeof local));
    CHECK_OK(listen(listener, 1));
    for (int i = 0; i < 10; i++)
        threads[i] = t_go(dials, NULL);
    t_settle();
    for (int i = 0; i < 10; i++) {
        fd = accept(listener, NULL, NULL);
        CHECK(fd >= 0);
        CHECK_EQ(write(fd, "x", 1), 1);
        close(fd);
    }
    for (int i = 0; i < 10; i++)
        t_join(threads[i]);
    CHECK_EQ(connected, 10);
    unlink(local.sun_path);
    rmdir(path);
    return 0;
}
