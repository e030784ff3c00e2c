/* Credentials sent with a message that has to wait for room hold for all of its bytes, not only for those that went at once. */
#include "../t.h"

#define SIZE 600000
#define USER 4242
static int ends[2];
static char *data;

static void *sends(void *arg)
{
    char control[CMSG_SPACE(sizeof(struct ucred))] = {0};
    struct ucred other = {getpid(), USER, USER};
    struct iovec v = {data, SIZE};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_CREDENTIALS;
    c->cmsg_len = CMSG_LEN(sizeof other);
    memcpy(CMSG_DATA(c), &other, sizeof other);
    ssize_t n = sendmsg(ends[0], &m, 0);
    if (n < 0 && errno == EPERM)
        t_skip("other credentials than its own may not be sent");
    CHECK_EQ(n, SIZE);
    CHECK_OK(close(ends[0]));
    return arg;
}

int main(void)
{
    int on = 1;
    size_t size = 0;
    static char part[65536];
    data = calloc(1, SIZE);
    t_pair(ends);
    CHECK_OK(setsockopt(ends[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
    pthread_t sender = t_go(sends, NULL);
    t_settle();
    for (;;) {
        char control[128];
        struct iovec v = {part, sizeof part};
        struct msghdr m = {.msg_iov = &v,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof control};
        ssize_t n = recvmsg(ends[1], &m, 0);
        CHECK_GE(n, 0);
        if (n == 0)
            break;
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        struct ucred got;
        CHECK(c && c->cmsg_type == SCM_CREDENTIALS);
        memcpy(&got, CMSG_DATA(c), sizeof got);
        CHECK_EQ(got.uid, USER);
        CHECK_EQ(got.gid, USER);
        size += (size_t)n;
    }
    CHECK_EQ(size, SIZE);
    t_join(sender);
    free(data);
    return 0;
}
