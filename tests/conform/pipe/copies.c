/* sendfile to slow pipes and sockets from many threads at once, by position and by offset;
 * copy_file_range between files, and what it refuses. */
#include "../t.h"
#include <sys/sendfile.h>

#define SIZE  300000
#define COUNT 12
static int file;
static unsigned char data[SIZE];
static int ends[COUNT][2];

static void *sends(void *arg)
{
    int i = (int)(intptr_t)arg;
    off_t at = i;
    while (at < SIZE) {
        ssize_t n = sendfile(ends[i][1], file, &at, SIZE);
        CHECK(n > 0);
    }
    CHECK_EQ(at, SIZE);
    CHECK_EQ(sendfile(ends[i][1], file, &at, 10), 0);
    CHECK_OK(close(ends[i][1]));
    return NULL;
}

static void *reads(void *arg)
{
    int i = (int)(intptr_t)arg;
    unsigned char block[3000];
    size_t at = (size_t)i;
    for (;;) {
        ssize_t n = read(ends[i][0], block, sizeof block);
        CHECK_GE(n, 0);
        if (n == 0)
            break;
        CHECK_OK(memcmp(block, data + at, (size_t)n));
        at += (size_t)n;
    }
    CHECK_EQ(at, SIZE);
    return NULL;
}

int main(void)
{
    pthread_t readers[COUNT], senders[COUNT];
    char path[] = "handoff-copies-XXXXXX", other[] = "/tmp/handoff-copies-XXXXXX";
    file = mkstemp(path);
    unlink(path);
    t_fill(data, SIZE, 9);
    t_write_all(file, data, SIZE);
    CHECK_EQ(lseek(file, 17, SEEK_SET), 17);
    for (int i = 0; i < COUNT; i++) {
        if (i % 3 == 0)
            CHECK_OK(pipe(ends[i]));
        else if (i % 3 == 1)
            t_pair(ends[i]);
        else
            t_tcp(ends[i]);
        senders[i] = t_go(sends, (void *)(intptr_t)i);
    }
    t_settle();
    for (int i = 0; i < COUNT; i++)
        readers[i] = t_go(reads, (void *)(intptr_t)i);
    for (int i = 0; i < COUNT; i++) {
        t_join(senders[i]);
        t_join(readers[i]);
    }
    CHECK_EQ(lseek(file, 0, SEEK_CUR), 17); /* the offset given is the one used */
    int target = mkstemp(other);
    unlink(other);
    CHECK_EQ(sendfile(target, file, NULL, 100), 100);
    CHECK_EQ(lseek(file, 0, SEEK_CUR), 117);
    off_t from = 1000, to = 5;
    CHECK_EQ(copy_file_range(file, &from, target, &to, 5000, 0), 5000);
    CHECK_EQ(from, 6000);
    CHECK_EQ(to, 5005);
    unsigned char back[5000];
    CHECK_EQ(pread(target, back, 5000, 5), 5000);
    CHECK_OK(memcmp(back, data + 1000, 5000));
    int tube[2];
    CHECK_OK(pipe(tube));
    CHECK_ERR(copy_file_range(tube[0], NULL, target, NULL, 10, 0), EINVAL);
    CHECK_ERR(copy_file_range(file, NULL, target, NULL, 10, 77), EINVAL);
    CHECK_ERR(sendfile(tube[1], -1, NULL, 10), EBADF);
    CHECK_ERR(sendfile(tube[1], tube[0], NULL, 10), EINVAL);
    CHECK_OK(fcntl(tube[1], F_SETFL, O_NONBLOCK));
    from = 0;
    while (sendfile(tube[1], file, &from, SIZE) > 0)
        ;
    CHECK_EQ(errno, EAGAIN);
    return 0;
}
