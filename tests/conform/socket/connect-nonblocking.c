/* A non-blocking connect is EINPROGRESS; poll tells when; SO_ERROR tells how, for success and
 * refusal. */
#include "../t.h"

static void *body(void *arg)
{
    struct sockaddr_in address;
    int listener = t_listen(&address, 16);
    for (int refused = 0; refused < 2; refused++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), error = -1;
        int rc = connect(fd, (struct sockaddr *)&address, sizeof address);
        if (rc != 0 && errno == EINPROGRESS) {
            struct pollfd p = {fd, POLLOUT, 0};
            CHECK_EQ(poll(&p, 1, -1), 1);
            socklen_t length = sizeof error;
            CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length));
        } else {
            error = rc ? errno : 0;
        }
        CHECK_EQ(error, refused ? ECONNREFUSED : 0);
        close(fd);
        if (!refused)
            close(listener);
    }
    return arg;
}

int main(void)
{
    body(NULL);
    t_join(t_go(body, NULL));
    return 0;
}
