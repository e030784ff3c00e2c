/* fanotify: threads that wait for events in read, poll and epoll_wait are told of what others open; with permission
 * events, threads wait in open until another has answered, are let in or refused as it says, and keep nobody else from
 * running. */
/* conform: also HANDOFF_MAX_WORKERS=16 */
#include "../t.h"
#include <sys/epoll.h>
#include <sys/fanotify.h>

enum { OPENERS = 24, WATCHERS = 3, RING = 4 };

static char path[] = "handoff-fanotify-XXXXXX";
static int group;
static _Atomic int opened, refused;
static sem_t token[RING];

/* Who answers must not open what is watched. */
static int watch(unsigned flags, uint64_t mask)
{
    int fd = fanotify_init(flags | FAN_CLOEXEC, O_RDONLY);
    if (fd >= 0 && fanotify_mark(fd, FAN_MARK_ADD, mask, AT_FDCWD, path) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* One group each; a number of events that were one would not be known. */
static void *told(void *arg)
{
    int way = (int)(intptr_t)arg, fd = watch(FAN_CLASS_NOTIF, FAN_CLOSE_WRITE), ep = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    struct pollfd p = {fd, POLLIN, 0};
    struct fanotify_event_metadata m[8];
    CHECK(fd >= 0 && ep >= 0);
    CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event));
    CHECK_OK(sem_post(&token[0]));
    if (way == 1)
        CHECK_EQ(poll(&p, 1, -1), 1);
    if (way == 2)
        CHECK_EQ(epoll_wait(ep, &event, 1, -1), 1);
    ssize_t n = read(fd, m, way ? sizeof m : sizeof m[0]);
    CHECK_EQ(n, sizeof m[0]);
    CHECK_EQ(m[0].mask, FAN_CLOSE_WRITE);
    CHECK_EQ(m[0].pid, getpid());
    CHECK_OK(close(m[0].fd));
    CHECK_OK(close(ep));
    CHECK_OK(close(fd));
    return NULL;
}

static void *opens(void *arg)
{
    int fd = open(path, O_RDONLY);
    if (fd < 0) {
        CHECK_EQ(errno, EPERM);
        refused++;
    } else {
        opened++;
        CHECK_OK(close(fd));
    }
    return arg;
}

static void *passes(void *arg)
{
    int me = (int)(intptr_t)arg;
    for (int i = 0; i < 50; i++) {
        CHECK_OK(sem_wait(&token[me]));
        CHECK_OK(sem_post(&token[(me + 1) % RING]));
    }
    return NULL;
}

/* Answers when all wait, the last one first; every third is refused. */
static void *answers(void *arg)
{
    static struct fanotify_event_metadata events[OPENERS];
    int n = 0;
    while (n < OPENERS) {
        ssize_t got = read(group, events + n, (size_t)(OPENERS - n) * sizeof events[0]);
        CHECK(got > 0);
        CHECK_EQ(got % (ssize_t)sizeof events[0], 0);
        n += (int)(got / (ssize_t)sizeof events[0]);
    }
    CHECK_EQ(opened + refused, 0);
    CHECK_OK(sem_post(&token[0])); /* others run, while all of them wait */
    CHECK_OK(sem_wait(arg));
    CHECK_EQ(opened + refused, 0);
    while (n-- > 0) {
        struct fanotify_response response = {events[n].fd, n % 3 ? FAN_ALLOW : FAN_DENY};
        CHECK_EQ(events[n].mask, FAN_OPEN_PERM);
        CHECK_EQ(write(group, &response, sizeof response), sizeof response);
        CHECK_OK(close(events[n].fd));
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[OPENERS], ring[RING], server;
    sem_t go;
    CHECK_OK(sem_init(&go, 0, 0));
    for (int i = 0; i < RING; i++)
        CHECK_OK(sem_init(&token[i], 0, 0));
    int file = mkstemp(path);
    CHECK(file >= 0);
    close(file);
    group = watch(FAN_CLASS_NOTIF, FAN_CLOSE_WRITE);
    if (group < 0) {
        unlink(path);
        t_skip("no fanotify here");
    }
    close(group);
    for (intptr_t i = 0; i < WATCHERS; i++)
        threads[i] = t_go(told, (void *)i);
    for (int i = 0; i < WATCHERS; i++)
        CHECK_OK(sem_wait(&token[0]));
    t_settle();
    close(open(path, O_WRONLY));
    for (int i = 0; i < WATCHERS; i++)
        t_join(threads[i]);

    group = watch(FAN_CLASS_CONTENT, FAN_OPEN_PERM);
    if (group >= 0) { /* else a kernel without permission events */
        server = t_go(answers, &go);
        t_settle();
        for (int i = 0; i < OPENERS; i++)
            threads[i] = t_go(opens, NULL);
        for (intptr_t i = 0; i < RING; i++)
            ring[i] = t_go(passes, (void *)i);
        for (int i = 0; i < RING; i++)
            t_join(ring[i]);
        CHECK_OK(sem_post(&go));
        t_join(server);
        for (int i = 0; i < OPENERS; i++)
            t_join(threads[i]);
        CHECK_EQ(refused, OPENERS / 3);
        CHECK_EQ(opened, OPENERS - OPENERS / 3);

        /* the group's end lets in who waits still */
        threads[0] = t_go(opens, NULL);
        struct pollfd p = {group, POLLIN, 0};
        CHECK_EQ(poll(&p, 1, -1), 1);
        CHECK_OK(close(group));
        t_join(threads[0]);
        CHECK_EQ(refused, OPENERS / 3);
    }
    unlink(path);
    return 0;
}
