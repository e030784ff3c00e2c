/* Two thousand threads, each in epoll_wait of its own epoll, woken one by one, twice. */
/* conform: also HANDOFF_MAX_WORKERS=16 */
#include "../t.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>

#define COUNT 2000
static int sets[COUNT], events[COUNT];
static _Atomic int rounds;

static void *waits(void *arg)
{
    int i = (int)(intptr_t)arg;
    for (int round = 0; round < 2; round++) {
        struct epoll_event event;
        eventfd_t value;
        CHECK_EQ(epoll_wait(sets[i], &event, 1, -1), 1);
        CHECK_EQ(event.data.fd, events[i]);
        CHECK_OK(eventfd_read(events[i], &value));
        CHECK_EQ(value, i + 1);
        rounds++;
    }
    return NULL;
}

int main(void)
{
    static pthread_t threads[COUNT];
    pthread_attr_t attr;
    t_descriptors(2 * COUNT + 100);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 64 * 1024);
    for (int i = 0; i < COUNT; i++) {
        sets[i] = epoll_create1(0);
        events[i] = eventfd(0, 0);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = events[i]};
        CHECK_OK(epoll_ctl(sets[i], EPOLL_CTL_ADD, events[i], &event));
    }
    for (intptr_t i = 0; i < COUNT; i++)
        CHECK_OK(pthread_create(&threads[i], &attr, waits, (void *)i));
    t_settle();
    CHECK_EQ(rounds, 0);
    for (int i = 0; i < COUNT; i++)
        CHECK_OK(eventfd_write(events[(i * 7) % COUNT], (eventfd_t)((i * 7) % COUNT) + 1));
    while (rounds < COUNT)
        usleep(500);
    for (int i = 0; i < COUNT; i++)
        CHECK_OK(eventfd_write(events[i], (eventfd_t)i + 1));
    for (int i = 0; i < COUNT; i++)
        t_join(threads[i]);
    return 0;
}
