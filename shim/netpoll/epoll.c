#include "netpoll.h"

#include "../base/sys.h"
#include "../emul/fd.h"

#include <linux/eventpoll.h>

enum { BATCH = 64, BREAK_DATA = -1 };
#define O_CLOEXEC 02000000

static int epfd = -1, breakfd = -1;
static uint32_t breaking; /* atomic: a break is on its way */
static bool no_pwait2;

/* Our descriptors sit high, out of the way of programs that count on low numbers. */
int netpoll_dup_high(int fd)
{
    uint64_t lim[2] = {0, 0};
    sys4(__NR_prlimit64, 0, 7 /* NOFILE */, 0, P(lim));
    long want = (lim[0] > 65536 ? 65536 : (long)lim[0]) - (lim[0] > 916 && lim[0] <= 1024 ? 124 : 16), r;
    /* Lower where there is none left, or the limit is low. */
    while ((r = sys3(__NR_fcntl, fd, 1030 /* F_DUPFD_CLOEXEC */, want > 0 ? want : 0)) < 0 && r != -EBADF && want > 0)
        want -= want / 4 + 1;
    return (int)r;
}
static int move_high(int fd)
{
    int high = fd < 0 ? fd : netpoll_dup_high(fd);
    if (high < 0)
        return fd;
    sys1(__NR_close, fd);
    return high;
}

int netpoll_init(void)
{
    epfd = move_high((int)sys1(__NR_epoll_create1, O_CLOEXEC));
    breakfd = move_high((int)sys2(__NR_eventfd2, 0, O_CLOEXEC | 04000));
    if (epfd < 0 || breakfd < 0)
        return epfd < 0 ? epfd : breakfd;
    struct epoll_event e = {EPOLLIN, (uint64_t)BREAK_DATA}; /* level: a look without blocking leaves it standing */
    long r = sys4(__NR_epoll_ctl, epfd, EPOLL_CTL_ADD, breakfd, P(&e));
    breaking = 0;
    long there = sys6(__NR_epoll_pwait2, -1, 0, 0, 0, 0, 8); /* of two mistakes the kernel tells one; a filter something else */
    no_pwait2 = there != -EBADF && there != -22 /* EINVAL */;
    sched_up.poll = netpoll_collect;
    sched_up.poll_break = netpoll_break;
    return (int)r;
}

/* In a fork child. The epoll instance is the parent's: closing our descriptor of it changes nothing there. */
void netpoll_reset(void)
{
    if (epfd >= 0)
        sys1(__NR_close, epfd);
    if (breakfd >= 0)
        sys1(__NR_close, breakfd);
    epfd = breakfd = -1;
}

bool netpoll_owns(int fd)
{
    return fd >= 0 && (fd == epfd || fd == breakfd);
}

unsigned netpoll_next_own(unsigned a)
{
    unsigned own = UINT32_MAX;
    if (epfd >= 0 && (unsigned)epfd >= a)
        own = (unsigned)epfd;
    if (breakfd >= 0 && (unsigned)breakfd >= a && (unsigned)breakfd < own)
        own = (unsigned)breakfd;
    return own;
}

int netpoll_watch(struct fdrec *rec, int fd, uint8_t dir)
{
    bool known = (rec->watched & dir) == dir, doubt = unlikely(load_relaxed(&fd_doubt));
    if (known && !doubt)
        return 0;
    uint8_t all = rec->watched | dir;
    struct epoll_event e = {EPOLLET | EPOLLRDHUP | EPOLLPRI, (uint64_t)(uint32_t)fd | (uint64_t)rec->gen << 32};
    e.events |= (all & DIR_IN ? EPOLLIN : 0) | (all & DIR_OUT ? EPOLLOUT : 0);
    long r = sys4(__NR_epoll_ctl, epfd, rec->watched && !doubt ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, P(&e));
    if (r == -17 && known) /* EEXIST: it is what it was. To modify it would tell again of what is there, who waits might never sleep */
        return 0;
    if (r == -17 /* the number's former self, still open elsewhere, or watched in one direction */)
        r = sys4(__NR_epoll_ctl, epfd, EPOLL_CTL_MOD, fd, P(&e));
    else if (r == -2)
        r = sys4(__NR_epoll_ctl, epfd, EPOLL_CTL_ADD, fd, P(&e));
    if (r == 0)
        rec->watched = all;
    return (int)r;
}

void netpoll_unwatch(struct fdrec *rec, int fd)
{
    struct epoll_event none = {0, 0};
    if (rec->watched)
        sys4(__NR_epoll_ctl, epfd, EPOLL_CTL_DEL, fd, P(&none));
    rec->watched = 0;
}

struct uthread *netpoll_collect(int64_t delta, uint32_t *n)
{
    struct epoll_event ev[BATCH];
    struct uthread *list = NULL;
    long r;
    if (delta > 0 && !no_pwait2) {
        int64_t ts[2] = {delta / NSEC_PER_SEC, delta % NSEC_PER_SEC};
        r = sys6(__NR_epoll_pwait2, epfd, P(ev), BATCH, P(ts), 0, 8);
        if (r == -38) {
            no_pwait2 = true;
            r = 0;
        }
    } else {
        int64_t ms = delta <= 0 ? delta : (delta + 999999) / 1000000;
        r = sys6(__NR_epoll_pwait, epfd, P(ev), BATCH, ms > 1000000000 ? 1000000000 : ms, 0, 8);
    }
    *n = 0;
    for (uint32_t step = 0; step < 3; step++)
        for (long i = 0; i < r; i++)
            fd_prefetch((uint32_t)ev[i].data, step);
    for (long i = 0; i < r; i++) {
        if (ev[i].data == (uint64_t)BREAK_DATA) {
            uint64_t v;
            if (delta == 0)
                continue; /* meant for the worker that sleeps in here */
            /* Read, then allow the next: a break between the two finds `breaking` set, but then we are awake
             * and compute our sleep anew. */
            sys3(__NR_read, breakfd, P(&v), 8);
            store_seq(&breaking, 0u);
            continue;
        }
        *n += fd_event((uint32_t)ev[i].data, (uint32_t)(ev[i].data >> 32), ev[i].events, &list);
    }
    return list;
}

void netpoll_break(void)
{
    uint64_t one = 1;
    if (cas(&breaking, 0u, 1u))
        sys3(__NR_write, breakfd, P(&one), 8);
}
