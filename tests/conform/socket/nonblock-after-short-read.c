/* A descriptor that was read blocking, then made non-blocking: when poll says readable, a read finds the data. */
#include "../t.h"
#include <poll.h>

static int ends[2];
static sem_t go;

static void *writes(void *arg)
{
    for (int i = 0; i < 2000; i++) {
        CHECK_OK(sem_wait(&go));
        t_write_all(ends[1], "abc", 3);
    }
    return arg;
}

int main(void)
{
    char data[100];
    t_tcp(ends);
    CHECK_OK(sem_init(&go, 0, 0));
    pthread_t thread = t_go(writes, NULL);
    CHECK_OK(sem_post(&go));
    CHECK_EQ(read(ends[0], data, sizeof data), 3); /* waits, comes short */
    CHECK_OK(fcntl(ends[0], F_SETFL, fcntl(ends[0], F_GETFL) | O_NONBLOCK));
    for (int i = 1; i < 2000; i++) {
        CHECK_OK(sem_post(&go));
        struct pollfd p = {ends[0], POLLIN, 0};
        CHECK_EQ(poll(&p, 1, -1), 1);
        CHECK_EQ(read(ends[0], data, sizeof data), 3);
        CHECK_ERR(read(ends[0], data, sizeof data), EAGAIN);
    }
    t_join(thread);
    return 0;
}
