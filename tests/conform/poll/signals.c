/* Signals and the waiting calls: never restarted, SA_RESTART or not; masks of ppoll, pselect,
 * epoll_pwait and epoll_pwait2 hold for exactly the wait: a signal that was pending ends it at
 * once, and the mask afterwards is the old one. */
#include "../t.h"
#include <sys/epoll.h>
#include <sys/select.h>

static int ends[2], ep;
static __thread volatile int hits;
static volatile int done;
static _Atomic int entered;

static void handler(int number)
{
    (void)number;
    hits++;
}

static int wait_in(int call, const sigset_t *mask)
{
    struct pollfd p = {ends[0], POLLIN, 0};
    struct epoll_event event;
    fd_set set;
    FD_ZERO(&set);
    FD_SET(ends[0], &set);
    switch (call) {
    case 0:
        return ppoll(&p, 1, NULL, mask);
    case 1:
        return pselect(ends[0] + 1, &set, NULL, NULL, NULL, mask);
    case 2:
        return epoll_pwait(ep, &event, 1, -1, mask);
    case 3:
        return epoll_pwait2(ep, &event, 1, NULL, mask);
    case 4:
        return ppoll(NULL, 0, NULL, mask);
    case 5: {
        struct timespec hour = {3600, 0};
        return ppoll(&p, 1, &hour, mask);
    }
    case 6: {
        struct timespec hour = {3600, 0};
        return pselect(0, NULL, NULL, NULL, &hour, mask);
    }
    case 7:
        return epoll_pwait(ep, &event, 1, 3600000, mask);
    case 8: /* without a mask from here */
        return poll(&p, 1, -1);
    case 9:
        return poll(NULL, 0, 3600000);
    case 10:
        return select(ends[0] + 1, &set, NULL, NULL, NULL);
    default:
        return epoll_wait(ep, &event, 1, -1);
    }
}

static void *interrupted(void *arg)
{
    errno = 0;
    entered = 1;
    CHECK_ERR(wait_in((int)(intptr_t)arg, NULL), EINTR);
    done = 1;
    return NULL;
}

static void *masked(void *arg)
{
    int call = (int)(intptr_t)arg;
    sigset_t usr1, none, now, pending;
    sigemptyset(&none);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &usr1, NULL));
    /* pending before: the wait ends at once, the handler has run, and the signal is blocked again
     */
    CHECK_OK(pthread_kill(pthread_self(), SIGUSR1));
    CHECK_EQ(hits, 0);
    CHECK_ERR(wait_in(call, &none), EINTR);
    CHECK_EQ(hits, 1);
    CHECK_OK(pthread_sigmask(SIG_BLOCK, NULL, &now));
    CHECK(sigismember(&now, SIGUSR1) == 1);
    /* pending, but blocked by the mask given as well: it does not end the wait, the data does */
    if (call < 4) {
        CHECK_OK(pthread_kill(pthread_self(), SIGUSR1));
        entered = 1;
        CHECK_EQ(wait_in(call, &usr1), 1);
        CHECK_EQ(hits, 1);
        sigpending(&pending);
        CHECK(sigismember(&pending, SIGUSR1) == 1);
        /* ready and a signal that the mask lets in: what is ready is told, the signal stays pending
         */
        CHECK_EQ(wait_in(call, &none), 1);
        CHECK_EQ(hits, 1);
        sigpending(&pending);
        CHECK(sigismember(&pending, SIGUSR1) == 1);
        CHECK_OK(pthread_sigmask(SIG_UNBLOCK, &usr1, NULL));
        CHECK_EQ(hits, 2);
        CHECK_OK(pthread_sigmask(SIG_BLOCK, &usr1, NULL));
    }
    entered = 2;
    /* arriving in the wait, from another thread, by which it is blocked outside */
    hits = 0;
    if (call >= 4) {
        CHECK_ERR(wait_in(call, &none), EINTR);
        CHECK_GE(hits, 1);
    }
    done = 1;
    return NULL;
}

int main(void)
{
    struct epoll_event event = {.events = EPOLLIN};
    char byte;
    t_pair(ends);
    ep = epoll_create1(0);
    CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, ends[0], &event));
    for (int restart = 0; restart < 2; restart++) {
        struct sigaction action = {.sa_handler = handler, .sa_flags = restart ? SA_RESTART : 0};
        CHECK_OK(sigaction(SIGUSR1, &action, NULL));
        for (int call = 0; call < 12; call++) {
            entered = done = 0;
            pthread_t thread = t_go(interrupted, (void *)(intptr_t)call);
            while (!entered)
                sched_yield();
            t_poke(thread, SIGUSR1, &done);
            t_join(thread);
        }
        for (int call = 0; call < 8; call++) {
            entered = done = 0;
            pthread_t thread = t_go(masked, (void *)(intptr_t)call);
            if (call < 4) {
                while (!entered)
                    sched_yield();
                t_settle();
                CHECK_EQ(write(ends[1], "x", 1), 1);
                t_join(thread);
                CHECK_EQ(read(ends[0], &byte, 1), 1);
            } else {
                while (entered != 2)
                    sched_yield();
                t_poke(thread, SIGUSR1, &done);
                t_join(thread);
            }
        }
    }
    return 0;
}
