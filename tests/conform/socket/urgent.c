/* Urgent data: MSG_OOB and the mark, a waiting reader stops at it, SO_OOBINLINE, SIOCATMARK,
 * POLLPRI and select; nothing to receive is EINVAL. */
#include "../t.h"
#include <sys/ioctl.h>
#include <sys/select.h>

static int ends[2];

static void *reads(void *arg)
{
    char text[10];
    CHECK_EQ(recv(ends[0], text, 10, MSG_WAITALL), 3); /* stops at the mark */
    CHECK_OK(memcmp(text, "abc", 3));
    int at = 0;
    CHECK_OK(ioctl(ends[0], SIOCATMARK, &at));
    CHECK_EQ(at, 1);
    return arg;
}

static void *polls(void *arg)
{
    struct pollfd p = {ends[0], POLLPRI, 0};
    CHECK_EQ(poll(&p, 1, -1), 1);
    CHECK_EQ(p.revents, POLLPRI);
    return arg;
}

int main(void)
{
    char text[10];
    t_tcp(ends);
    CHECK_ERR(recv(ends[0], text, 1, MSG_OOB), EINVAL);
    pthread_t poller = t_go(polls, NULL);
    t_settle();
    CHECK_EQ(send(ends[1], "abc!", 4, MSG_OOB), 4);
    t_join(poller);
    t_join(t_go(reads, NULL));
    CHECK_EQ(recv(ends[0], text, 10, MSG_OOB), 1);
    CHECK_EQ(text[0], '!');
    CHECK_ERR(recv(ends[0], text, 1, MSG_OOB), EINVAL);
    CHECK_EQ(send(ends[1], "def", 3, 0), 3);
    CHECK_EQ(recv(ends[0], text, 10, 0), 3);
    /* again, with the reader waiting before anything came; recv without MSG_WAITALL returns what
     * came before the mark */
    poller = t_go(polls, NULL);
    t_settle();
    CHECK_EQ(send(ends[1], "?", 1, MSG_OOB), 1);
    t_join(poller);
    CHECK_EQ(send(ends[1], "gh", 2, 0), 2);
    CHECK_EQ(recv(ends[0], text, 2, MSG_WAITALL), 2); /* over the urgent byte */
    CHECK_OK(memcmp(text, "gh", 2));
    int on = 1;
    CHECK_OK(setsockopt(ends[0], SOL_SOCKET, SO_OOBINLINE, &on, sizeof on));
    CHECK_EQ(send(ends[1], "12", 2, MSG_OOB), 2);
    CHECK_EQ(recv(ends[0], text, 1, MSG_WAITALL), 1);
    CHECK_EQ(recv(ends[0], text + 1, 1, MSG_WAITALL), 1);
    CHECK_OK(memcmp(text, "12", 2));
    CHECK_ERR(recv(ends[0], text, 1, MSG_OOB), EINVAL);
    return 0;
}
