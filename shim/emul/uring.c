/* What the program submits to its io_urings, as far as it concerns descriptors. Facts: io_uring(7), io_uring_setup(2), io_uring_enter(2).
 *
 * A ring closes numbers at a time that no call tells; fd_doubt then makes all waits careful, at a system call or two each. Most programs'
 * rings read and write files and close nothing (databases do): so the queue is looked at when it is submitted, in the program's own
 * mapping of it, and doubt begins with the first IORING_OP_CLOSE. It begins at once where we cannot look: the kernel polls the queue
 * by itself, the program gave the memory, or the ring is not known (made before the first thread, passed, inherited, duplicated).
 */
#include "emul.h"
#include "fd.h"

enum { SETUP_SQPOLL = 1 << 1, SETUP_SQE128 = 1 << 10, SETUP_NO_MMAP = 1 << 14, SETUP_NO_SQARRAY = 1 << 16 };
enum { ENTER_REGISTERED_RING = 1 << 4, OP_CLOSE = 19, OFF_SQ_RING = 0, OFF_SQES = 0x10000000, RINGS = 32 };

/* struct io_uring_params, struct io_sqring_offsets */
struct params {
    uint32_t sq_entries, cq_entries, flags, sq_thread_cpu, sq_thread_idle, features, wq_fd, resv[3];
    struct {
        uint32_t head, tail, ring_mask, ring_entries, flags, dropped, array, resv;
        uint64_t user_addr;
    } sq;
    uint64_t cq[5];
};

static struct ring {
    int fd; /* + 1; 0: free */
    struct params p;
    uint64_t sq, sqes; /* where the program mapped them; 0: not yet */
} rings[RINGS];
static struct lock lock;

static void doubt(void)
{
    store_relaxed(&fd_doubt, 1u);
}

static struct ring *ring_of(int fd)
{
    for (int i = 0; i < RINGS; i++)
        if (rings[i].fd == fd + 1)
            return &rings[i];
    return NULL;
}

void uring_reset(void)
{
    lock = (struct lock){0};
    memset(rings, 0, sizeof rings); /* made and mapped anew before we are active again, perhaps */
}

void uring_made(int fd, uint64_t params)
{
    struct params p;
    if (uaccess_copy(&p, (void *)params, sizeof p) || (p.flags & (SETUP_SQPOLL | SETUP_NO_MMAP))) {
        doubt();
        return;
    }
    lock_take(&lock);
    struct ring *r = ring_of(fd); /* the number's former ring is closed */
    if (!r)
        r = ring_of(-1);
    if (r)
        *r = (struct ring){.fd = fd + 1, .p = p}; /* if there is no room: not known */
    lock_drop(&lock);
}

void uring_mapped(int fd, uint64_t offset, uint64_t at)
{
    if (offset != OFF_SQ_RING && offset != OFF_SQES)
        return;
    lock_take(&lock);
    struct ring *r = ring_of(fd);
    if (r && offset == OFF_SQES)
        r->sqes = at;
    else if (r)
        r->sq = at;
    lock_drop(&lock);
}

/* May an entry among the next n close a number? True when in doubt. */
static bool may_close(const struct ring *r, uint32_t n)
{
    uint32_t head, at, op_word, mask = r->p.sq_entries - 1, size = r->p.flags & SETUP_SQE128 ? 128 : 64;
    if (!r->sq || !r->sqes || uaccess_load32((uint32_t *)(r->sq + r->p.sq.head), &head))
        return true;
    for (uint32_t i = 0; i < n && i <= mask; i++) {
        at = (head + i) & mask;
        if (!(r->p.flags & SETUP_NO_SQARRAY) && uaccess_load32((uint32_t *)(r->sq + r->p.sq.array + 4ull * at), &at))
            return true;
        if (at > mask) /* the kernel drops it */
            continue;
        if (uaccess_load32((uint32_t *)(r->sqes + (uint64_t)at * size), &op_word) || (op_word & 0xff) == OP_CLOSE)
            return true;
    }
    return false;
}

void uring_submits(int fd, uint32_t n, uint64_t flags)
{
    if (n == 0 || load_relaxed(&fd_doubt))
        return;
    struct ring copy = {0};
    if (!(flags & ENTER_REGISTERED_RING)) {
        lock_take(&lock);
        struct ring *r = ring_of(fd);
        if (r)
            copy = *r;
        lock_drop(&lock);
    }
    if (!copy.fd || may_close(&copy, n))
        doubt();
}
