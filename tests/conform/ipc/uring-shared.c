/* Several threads wait on one io_uring - in io_uring_enter, in poll and in epoll_wait - for what others submit: each completion
 * is had by exactly one, whoever is woken in vain waits on, and all learn of the end. */
/* conform: also HANDOFF_MAX_WORKERS=4 */
#include "../t.h"
#include <linux/io_uring.h>
#include <sys/epoll.h>

enum { WAITERS = 12, SUBMITTERS = 3, EACH = 100, ALL = SUBMITTERS * EACH, END = 100000 };

static int ring;
static unsigned *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
static struct io_uring_sqe *sqes;
static struct io_uring_cqe *cqes;
static pthread_mutex_t submitting = PTHREAD_MUTEX_INITIALIZER, reaping = PTHREAD_MUTEX_INITIALIZER;
static int seen[ALL];
static sem_t room, had;

static void submit(uint64_t data)
{
    struct __kernel_timespec now = {0, (data % 3) * 10000};
    while (sem_wait(&room) != 0)
        ;
    CHECK_OK(pthread_mutex_lock(&submitting));
    unsigned tail = *sq_tail, at = tail & *sq_mask;
    memset(&sqes[at], 0, sizeof sqes[at]);
    sqes[at].opcode = data % 3 ? IORING_OP_TIMEOUT : IORING_OP_NOP;
    sqes[at].user_data = data;
    if (data % 3) {
        sqes[at].addr = (uint64_t)(uintptr_t)&now;
        sqes[at].len = 1;
    }
    sq_array[at] = at;
    __atomic_store_n(sq_tail, tail + 1, __ATOMIC_RELEASE);
    CHECK_EQ(syscall(SYS_io_uring_enter, ring, 1, 0, 0, NULL, 0), 1);
    CHECK_OK(pthread_mutex_unlock(&submitting));
}

/* -1: nothing there. */
static int64_t reap(void)
{
    int64_t data = -1;
    CHECK_OK(pthread_mutex_lock(&reaping));
    unsigned head = *cq_head;
    if (head != __atomic_load_n(cq_tail, __ATOMIC_ACQUIRE)) {
        data = (int64_t)cqes[head & *cq_mask].user_data;
        __atomic_store_n(cq_head, head + 1, __ATOMIC_RELEASE);
    }
    CHECK_OK(pthread_mutex_unlock(&reaping));
    if (data >= 0)
        CHECK_OK(sem_post(&room));
    return data;
}

static void *waits(void *arg)
{
    int way = (int)(intptr_t)arg % 3, ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    struct pollfd p = {ring, POLLIN, 0};
    CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, ring, &event));
    for (int64_t data; (data = reap()) < END;) {
        if (data >= 0) {
            CHECK_EQ(__atomic_fetch_add(&seen[data], 1, __ATOMIC_RELAXED), 0);
            CHECK_OK(sem_post(&had));
        } else if (way == 0) {
            CHECK_EQ(syscall(SYS_io_uring_enter, ring, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0), 0);
        } else {
            CHECK_EQ(way == 1 ? poll(&p, 1, -1) : epoll_wait(ep, &event, 1, -1), 1);
        }
    }
    close(ep);
    return NULL;
}

static void *submits(void *arg)
{
    for (int i = 0; i < EACH; i++)
        submit((uint64_t)((intptr_t)arg * EACH + i));
    return NULL;
}

int main(void)
{
    pthread_t waiters[WAITERS], submitters[SUBMITTERS];
    struct io_uring_params p = {0};
    ring = (int)syscall(SYS_io_uring_setup, 64, &p);
    if (ring < 0 || !(p.features & IORING_FEAT_SINGLE_MMAP))
        t_skip("no io_uring");
    size_t sq = p.sq_off.array + p.sq_entries * 4, cq = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
    char *base = mmap(NULL, sq > cq ? sq : cq, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQ_RING);
    sqes = mmap(NULL, p.sq_entries * sizeof *sqes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQES);
    CHECK(base != MAP_FAILED && sqes != MAP_FAILED);
    sq_tail = (unsigned *)(base + p.sq_off.tail);
    sq_mask = (unsigned *)(base + p.sq_off.ring_mask);
    sq_array = (unsigned *)(base + p.sq_off.array);
    cq_head = (unsigned *)(base + p.cq_off.head);
    cq_tail = (unsigned *)(base + p.cq_off.tail);
    cq_mask = (unsigned *)(base + p.cq_off.ring_mask);
    cqes = (struct io_uring_cqe *)(base + p.cq_off.cqes);
    CHECK_OK(sem_init(&room, 0, p.cq_entries));
    CHECK_OK(sem_init(&had, 0, 0));
    for (intptr_t i = 0; i < WAITERS; i++)
        waiters[i] = t_go(waits, (void *)i);
    t_settle();
    for (intptr_t i = 0; i < SUBMITTERS; i++)
        submitters[i] = t_go(submits, (void *)i);
    for (int i = 0; i < SUBMITTERS; i++)
        t_join(submitters[i]);
    for (int i = 0; i < ALL; i++) /* an end that came before the last would leave it lying */
        while (sem_wait(&had) != 0)
            ;
    for (int i = 0; i < WAITERS; i++)
        submit(END + 3 * (uint64_t)i);
    for (int i = 0; i < WAITERS; i++)
        t_join(waiters[i]);
    for (int i = 0; i < ALL; i++)
        CHECK_EQ(seen[i], 1);
    return 0;
}
