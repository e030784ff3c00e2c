/* A thread waiting in flock or F_OFD_SETLKW does not stop the one that holds the lock. */
#include "../t.h"
#include <sys/file.h>

static char path[] = "handoff-lock-XXXXXX";
static int counter;

static void *body(void *arg)
{
    int fd = open(path, O_RDWR);
    CHECK(fd >= 0);
    for (int i = 0; i < 50; i++) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        if (arg)
            CHECK_OK(flock(fd, LOCK_EX));
        else
            CHECK_OK(fcntl(fd, F_OFD_SETLKW, &lock));
        int seen = counter;
        sched_yield();
        counter = seen + 1;
        lock.l_type = F_UNLCK;
        if (arg)
            CHECK_OK(flock(fd, LOCK_UN));
        else
            CHECK_OK(fcntl(fd, F_OFD_SETLKW, &lock));
    }
    close(fd);
    return NULL;
}

int main(void)
{
    close(mkstemp(path));
    for (int kind = 0; kind < 2; kind++) {
        pthread_t threads[8];
        counter = 0;
        for (int i = 0; i < 8; i++)
            threads[i] = t_go(body, kind ? path : NULL);
        for (int i = 0; i < 8; i++)
            t_join(threads[i]);
        CHECK_EQ(counter, 400);
    }
    unlink(path);
    return 0;
}
