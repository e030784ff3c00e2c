/* Of several signals that a thread may take at once each handler's frame is built before the first runs, so that the last one's
 * runs first; and however many come, the stack is never deeper than that. */
#include "../t.h"
#include <sys/epoll.h>
#include <sys/select.h>

enum { QUEUED = 1000, FLOOD = 100, DEPTH = 64 * 1024 };
static _Atomic int hits;
static char *volatile lowest;
static volatile int order;
static int epoll;
static volatile int stop;
static pthread_t flooded;
static sigset_t both, none;

static void deepens(int number)
{
    char here;
    (void)number;
    if ((char *)&here < lowest)
        lowest = &here;
    for (volatile int spin = 0; spin < 1000; spin++)
        ;
    hits++;
}

static void notes(int number)
{
    order = order * 10 + (number == SIGUSR1 ? 1 : number == SIGUSR2 ? 2 : 3);
}

static void *floods(void *arg)
{
    while (!stop)
        CHECK_OK(pthread_kill(flooded, (int)(intptr_t)arg));
    return arg;
}

static void *stays_shallow(void *arg)
{
    char here;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &set, NULL));
    lowest = &here;
    for (int i = 0; i < QUEUED; i++) {
        int rc = pthread_sigqueue(pthread_self(), SIGRTMIN, (union sigval){.sival_int = i});
        if (rc == EAGAIN)
            t_skip("not that many queued signals allowed");
        CHECK_OK(rc);
    }
    CHECK_OK(pthread_sigmask(SIG_UNBLOCK, &set, NULL));
    CHECK_EQ(hits, QUEUED);
    CHECK(&here - lowest < DEPTH);

    flooded = pthread_self();
    pthread_t one = t_go(floods, (void *)(intptr_t)SIGUSR1),
              two = t_go(floods, (void *)(intptr_t)SIGUSR2);
    while (hits < QUEUED + FLOOD)
        ;
    stop = 1;
    t_join(one);
    t_join(two);
    CHECK(&here - lowest < DEPTH);
    return arg;
}

static void for_thread(int number)
{
    CHECK_OK(raise(number));
}

static void for_process(int number)
{
    CHECK_OK(kill(getpid(), number));
}

static int waits(int call)
{
    struct timespec hour = {3600, 0};
    struct epoll_event event;
    switch (call) {
    case 0:
        return sigsuspend(&none);
    case 1:
        return ppoll(NULL, 0, &hour, &none);
    case 2:
        return pselect(0, NULL, NULL, NULL, &hour, &none);
    default:
        return epoll_pwait(epoll, &event, 1, -1, &none);
    }
}

static void *all_at_once(void *arg)
{
    void (*const send[])(int) = {for_thread, for_process};
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &both, NULL));
    for (int to = 0; to < 2; to++) {
        order = 0;
        send[to](SIGRTMIN);
        send[to](SIGUSR2);
        send[to](SIGUSR1);
        CHECK_OK(pthread_sigmask(SIG_UNBLOCK, &both, NULL));
        CHECK_EQ(order, 321);
        CHECK_OK(pthread_sigmask(SIG_BLOCK, &both, NULL));
        for (int call = 0; call < 4; call++) {
            order = 0;
            send[to](SIGUSR1);
            send[to](SIGUSR2);
            CHECK_ERR(waits(call), EINTR);
            CHECK_EQ(order, 21);
        }
    }
    return arg;
}

static void handle(void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    CHECK_OK(sigaction(SIGUSR2, &action, NULL));
    CHECK_OK(sigaction(SIGRTMIN, &action, NULL));
}

int main(void)
{
    pthread_attr_t attr;
    pthread_t thread;
    CHECK((epoll = epoll_create1(0)) >= 0);
    sigemptyset(&none);
    sigemptyset(&both);
    sigaddset(&both, SIGUSR1);
    sigaddset(&both, SIGUSR2);
    sigaddset(&both, SIGRTMIN);
    handle(deepens);
    CHECK_OK(pthread_attr_init(&attr));
    CHECK_OK(pthread_attr_setstacksize(&attr, 256 * 1024));
    CHECK_OK(pthread_create(&thread, &attr, stays_shallow, NULL));
    t_join(thread);
    handle(notes);
    all_at_once(NULL);
    t_join(t_go(all_at_once, NULL));
    return 0;
}
