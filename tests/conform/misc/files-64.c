/* Sixty-four threads in pread, pwrite and fsync, more than there may be workers, with others that
 * sleep, lock and use pipes: all get on. The argument, if any, is the number of rounds. */
/* conform: also HANDOFF_MAX_WORKERS=8 */
/* conform: also HANDOFF_MAX_WORKERS=3 */
#include "../t.h"

#define FILES  64
#define OTHERS 16
#define PAGE   4096

static char dir[] = "handoff-files-XXXXXX";
static int tube[2], shared, rounds = 12;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int files_done;

static void *works(void *arg)
{
    int i = (int)(intptr_t)arg;
    char path[100];
    unsigned char block[PAGE], back[PAGE];
    snprintf(path, sizeof path, "%s/%d", dir, i);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    CHECK(fd >= 0);
    for (int round = 0; round < rounds; round++) {
        t_fill(block, PAGE, (uint32_t)(i * 100000 + round));
        CHECK_EQ(pwrite(fd, block, PAGE, round % 12 * PAGE), PAGE);
        CHECK_EQ(pwrite(shared, block, PAGE, (off_t)i * PAGE), PAGE);
        if (round % 4 == 0)
            CHECK_OK(fsync(fd));
        else if (round % 4 == 2)
            CHECK_OK(fdatasync(fd));
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        CHECK_EQ(pread(fd, back, PAGE, round % 12 * PAGE), PAGE);
        CHECK_OK(memcmp(block, back, PAGE));
        CHECK_EQ(pread(shared, back, PAGE, (off_t)i * PAGE), PAGE);
        CHECK_OK(memcmp(block, back, PAGE));
    }
    close(fd);
    unlink(path);
    files_done++;
    return NULL;
}

/* Ends only when all the files are done: whoever waits for a worker must get one in spite of us. */
static void *others(void *arg)
{
    char byte;
    while (files_done < FILES) {
        struct timespec pause = {0, 200000};
        pthread_mutex_lock(&lock);
        CHECK_EQ(write(tube[1], "x", 1), 1);
        pthread_mutex_unlock(&lock);
        CHECK_EQ(read(tube[0], &byte, 1), 1);
        nanosleep(&pause, NULL);
    }
    return arg;
}

int main(int argc, char **argv)
{
    pthread_t threads[FILES + OTHERS];
    if (argc > 1)
        rounds = atoi(argv[1]);
    char path[100];
    CHECK(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/shared", dir);
    CHECK((shared = open(path, O_RDWR | O_CREAT, 0600)) >= 0);
    unlink(path);
    CHECK_OK(pipe(tube));
    for (int i = 0; i < OTHERS; i++)
        threads[FILES + i] = t_go(others, NULL);
    for (int i = 0; i < FILES; i++)
        threads[i] = t_go(works, (void *)(intptr_t)i);
    for (int i = 0; i < FILES + OTHERS; i++)
        t_join(threads[i]);
    CHECK_OK(rmdir(dir));
    return 0;
}
