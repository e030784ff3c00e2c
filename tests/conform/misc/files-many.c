/* 64 threads read, write and sync files while others pass a token round; the number of kernel threads stays within
 * HANDOFF_MAX_WORKERS (beside the main thread and at most three helpers) where that is set. */
/* conform: also HANDOFF_MAX_WORKERS=4 */
/* conform: also HANDOFF_MAX_WORKERS=16 */
/* conform: also HANDOFF_MAX_WORKERS=1 HANDOFF_PROCS=1 */
#include "../t.h"

enum { FILES = 64, BLOCK = 4096, BLOCKS = 4, RING = 8, ROUNDS = 200 };

static char dir[] = "handoff-files-XXXXXX";
static int most;
static _Atomic int reading = FILES;

static void *file(void *arg)
{
    unsigned char data[BLOCK], back[BLOCK];
    char path[100];
    uint32_t seed = (uint32_t)(intptr_t)arg;
    snprintf(path, sizeof path, "%s/%u", dir, seed);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    CHECK(fd >= 0);
    for (uint32_t i = 0; i < BLOCKS; i++) {
        t_fill(data, sizeof data, seed * BLOCKS + i);
        CHECK_EQ(pwrite(fd, data, sizeof data, (off_t)i * BLOCK), BLOCK);
    }
    CHECK_OK(fdatasync(fd));
    for (uint32_t i = 0; i < BLOCKS; i++) {
        CHECK_EQ(pread(fd, back, sizeof back, (off_t)i * BLOCK), BLOCK);
        t_fill(data, sizeof data, seed * BLOCKS + i);
        CHECK_EQ(memcmp(data, back, sizeof data), 0);
    }
    if (most)
        CHECK_GE(most, t_tasks());
    close(fd);
    unlink(path);
    reading--;
    return NULL;
}

int main(void)
{
    pthread_t files[FILES];
    const char *limit = getenv("HANDOFF_MAX_WORKERS");
    most = limit ? atoi(limit) + 4 : 0;
    CHECK(mkdtemp(dir));
    for (intptr_t i = 0; i < FILES; i++)
        files[i] = t_go(file, (void *)i);
    t_pass_round(RING, ROUNDS);
    for (int i = 0; i < FILES; i++)
        t_join(files[i]);
    CHECK_EQ(reading, 0);
    rmdir(dir);
    return 0;
}
