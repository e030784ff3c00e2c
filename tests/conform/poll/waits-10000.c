/* Ten thousand threads at once in poll, select, ppoll, and in reads of eventfds, timerfds, pipes,
 * sockets and ptys; the main thread can still work, and wakes them all. */
#include "../t.h"
#include <pty.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#define COUNT 10000
#define KINDS 8
static int fds[COUNT][2];
static _Atomic int woken;

static void *waits(void *arg)
{
    int i = (int)(intptr_t)arg, fd = fds[i][0];
    struct pollfd p = {fd, POLLIN, 0};
    unsigned long bits[20000 / 64] = {0};
    uint64_t value = 0;
    char line[10] = "";
    struct iovec vector = {&value, 8};
    switch (i % KINDS) {
    case 0:
        CHECK_EQ(poll(&p, 1, -1), 1);
        break;
    case 1:
        bits[fd / 64] = 1UL << (fd % 64);
        CHECK_EQ(syscall(SYS_select, fd + 1, bits, NULL, NULL, NULL), 1);
        break;
    case 2: {
        struct timespec hour = {3600, 0};
        CHECK_EQ(ppoll(&p, 1, &hour, NULL), 1);
        break;
    }
    case 5:
        CHECK_EQ(readv(fd, &vector, 1), 8);
        CHECK_EQ(value, i + 1);
        woken++;
        return NULL;
    case 7:
        CHECK_EQ(read(fd, line, sizeof line), 3);
        CHECK_EQ(line[0], 'h');
        woken++;
        return NULL;
    default:
        break;
    }
    CHECK_EQ(read(fd, &value, 8), 8);
    if (i % KINDS == 4)
        CHECK_EQ(value, 1);
    else
        CHECK_EQ(value, i + 1);
    woken++;
    return NULL;
}

int main(void)
{
    static pthread_t threads[COUNT];
    pthread_attr_t attr;
    t_descriptors(COUNT + COUNT / 2);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 64 * 1024);
    for (int i = 0; i < COUNT; i++) {
        int kind = i % KINDS, *f = fds[i];
        if (kind == 4)
            f[0] = timerfd_create(CLOCK_MONOTONIC, 0);
        else if (kind == 5)
            CHECK_OK(pipe(f));
        else if (kind == 6)
            t_pair(f);
        else if (kind == 7 && i < 200)
            CHECK_OK(openpty(&f[1], &f[0], NULL, NULL, NULL));
        else if (kind == 7)
            f[0] = -1;
        else
            f[0] = f[1] = eventfd(0, 0);
    }
    int started = 0;
    for (intptr_t i = 0; i < COUNT; i++) {
        if (fds[i][0] < 0)
            continue;
        CHECK_OK(pthread_create(&threads[i], &attr, waits, (void *)i));
        started++;
    }
    t_settle();
    CHECK_EQ(woken, 0);
    for (int n = 0; n < COUNT; n++) {
        int i = COUNT - 1 - n;
        uint64_t value = (uint64_t)i + 1; /* an eventfd with 0 is not readable */
        struct itimerspec soon = {{0, 0}, {0, 1}};
        if (fds[i][0] < 0)
            continue;
        if (i % KINDS == 4)
            CHECK_OK(timerfd_settime(fds[i][0], 0, &soon, NULL));
        else if (i % KINDS == 7)
            CHECK_EQ(write(fds[i][1], "hi\n", 3), 3);
        else
            CHECK_EQ(write(fds[i][1], &value, 8), 8);
    }
    for (int i = 0; i < COUNT; i++)
        if (fds[i][0] >= 0)
            t_join(threads[i]);
    CHECK_EQ(woken, started);
    return 0;
}
