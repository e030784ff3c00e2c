/* O_NONBLOCK set while two wait, and data for one: the other waits on, though it was woken too. A call heeds the flag as it was
 * when it began. */
#include "../t.h"

static int ends[2];
static sem_t ended;

/* NULL if it came to wait only when O_NONBLOCK was set. */
static void *receives(void *arg)
{
    char byte;
    ssize_t n = recv(ends[0], &byte, 1, 0);
    int error = errno;
    CHECK_OK(sem_post(&ended));
    if (n == 1)
        return arg;
    CHECK_EQ(n, -1);
    CHECK_EQ(error, EAGAIN);
    return NULL;
}

static int two_wait(int type)
{
    CHECK_OK(socketpair(AF_UNIX, type, 0, ends));
    pthread_t one = t_go_waits(receives, ends), two = t_go_waits(receives, ends);
    CHECK_OK(fcntl(ends[0], F_SETFL, O_NONBLOCK));
    CHECK_EQ(write(ends[1], "x", 1), 1);
    CHECK_OK(sem_wait(&ended));
    t_settle();
    CHECK_EQ(write(ends[1], "y", 1), 1);
    int both = t_join(one) != NULL;
    both &= t_join(two) != NULL;
    CHECK_OK(sem_wait(&ended));
    close(ends[0]);
    close(ends[1]);
    return both;
}

int main(void)
{
    const int types[] = {SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM};
    CHECK_OK(sem_init(&ended, 0, 0));
    for (int i = 0; i < 3; i++) { /* again where a thread was late */
        int times = 0;
        while (!two_wait(types[i]))
            CHECK(++times < 5);
    }
    return 0;
}
