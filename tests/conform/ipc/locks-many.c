/* Far more threads than workers wait for file locks, of the same and of other processes, while the rest of
 * the program, and who is to let them in, goes on; each gets the lock alone. */
/* conform: also HANDOFF_MAX_WORKERS=16 */
/* conform: also HANDOFF_MAX_WORKERS=1 HANDOFF_PROCS=1 */
#include "../t.h"
#include <sys/file.h>

enum { THREADS = 300 };

static char path[] = "handoff-locks-XXXXXX";
static int counter;

static void set(int fd, int command, short type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET};
    CHECK_OK(fcntl(fd, command, &lock));
}

static void *flocks(void *arg)
{
    int fd = open(path, O_RDWR);
    CHECK(fd >= 0);
    CHECK_OK(flock(fd, LOCK_EX));
    int seen = counter;
    if (seen % 16 == 0)
        sched_yield();
    counter = seen + 1;
    if (seen % 2)
        CHECK_OK(flock(fd, LOCK_UN));
    close(fd); /* which unlocks too */
    return arg;
}

static void *ofd_locks(void *arg)
{
    int fd = open(path, O_RDWR);
    CHECK(fd >= 0);
    set(fd, F_OFD_SETLKW, F_WRLCK);
    int seen = counter;
    if (seen % 16 == 0)
        sched_yield();
    counter = seen + 1;
    set(fd, F_OFD_SETLKW, F_UNLCK);
    close(fd);
    return arg;
}

static void *posix_locks(void *arg)
{
    static _Atomic int got;
    set((int)(intptr_t)arg, F_SETLKW, F_RDLCK);
    counter = ++got;
    return NULL;
}

static void all(void *(*body)(void *), void *arg, void (*let_go)(int), int fd)
{
    pthread_t threads[THREADS];
    counter = 0;
    for (int i = 0; i < THREADS; i++)
        threads[i] = t_go(body, arg);
    t_settle();
    CHECK_EQ(counter, 0);
    let_go(fd);
    for (int i = 0; i < THREADS; i++)
        t_join(threads[i]);
    CHECK_EQ(counter, THREADS);
}

static void unlock(int fd)
{
    CHECK_OK(flock(fd, LOCK_UN));
}
static void unlock_ofd(int fd)
{
    set(fd, F_OFD_SETLK, F_UNLCK);
}
static void tell(int fd)
{
    CHECK_EQ(write(fd, "x", 1), 1);
}

int main(void)
{
    int fd = mkstemp(path), to[2], from[2];
    char byte;
    CHECK(fd >= 0);
    CHECK_OK(flock(fd, LOCK_EX));
    all(flocks, NULL, unlock, fd);
    set(fd, F_OFD_SETLK, F_WRLCK);
    all(ofd_locks, NULL, unlock_ofd, fd);

    t_pair(to);
    t_pair(from);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        t_bound();
        set(fd, F_SETLK, F_WRLCK);
        CHECK_EQ(write(from[1], "x", 1), 1);
        CHECK_EQ(read(to[0], &byte, 1), 1);
        set(fd, F_SETLK, F_UNLCK);
        _exit(0);
    }
    CHECK_EQ(read(from[0], &byte, 1), 1);
    all(posix_locks, (void *)(intptr_t)fd, tell, to[1]);
    t_expect_exit(child, 0);
    unlink(path);
    return 0;
}
