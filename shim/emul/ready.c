/* Waiting for readiness: poll, ppoll, select, pselect6, epoll_wait and kin.
 *
 * Each is first made without waiting. When nothing is ready the user thread waits in one of two ways. It parks, linked to the record
 * of each descriptor, and looks again after an edge. Or, if it watches many descriptors (an event loop) and few others do so, it
 * waits in the kernel on its worker: kernel_wait_enter.
 *
 * A wait on several records is opened before the last look, and its number published (call_seq): whoever finds us in a record before
 * we are parked marks the wait as missed, and park sees the mark (sched/park.c). Edges before the links were made are
 * seen by their counts.
 */
#include "fd.h"

#include "../sched/internal.h"

enum {
    FEW = 8,            /* descriptors waited for with waiters on the stack */
    PARKED_AT_MOST = 16 /* more are an event loop's */
};

struct pollfd64 {
    int32_t fd;
    int16_t events, revents;
};

/* ---- waiting in the kernel ---- */

static uint32_t in_kernel; /* atomic */

static uint32_t kernel_wait_budget(void)
{
    uint32_t n = 4 * sched.nprocs, most = sched.max_workers / 4;
    return n < most ? n : most;
}

bool kernel_wait_enter(void)
{
    if (load_relaxed(&in_kernel) >= kernel_wait_budget() || chaos(2))
        return false;
    if (load_relaxed(&worker_self()->claim) != CLAIM_LOST) { /* else nothing is held up */
        hook_enter(); /* timers do not count: whoever takes the poller's role then sees to them for long */
        bool others = work_waits(worker_self()->proc) || (load_relaxed(&sched.npollwait) && !load_relaxed(&sched.poller));
        hook_exit();
        if (others)
            return false;
    }
    if (add_fetch(&in_kernel, 1u) > kernel_wait_budget()) {
        add_fetch(&in_kernel, (uint32_t)-1);
        return false;
    }
    return true;
}

void kernel_wait_leave(void)
{
    add_fetch(&in_kernel, (uint32_t)-1);
}

static uint32_t table_size; /* atomic: see within_table */

void ready_reset(void)
{
    in_kernel = 0;
    table_size = 0;
}

/* A signal that came before the call began ends it all the same: it may be the mask given with the call that lets it in,
 * and made again after the handler the call would wait for the next. */
static long ended(long r)
{
    return r == -ERESTARTNOINTR ? -ERESTARTNOHAND : r;
}

static long block_natively(struct frame *g)
{
    return ended(native_block(g));
}

/* The call in g, natively and waiting. True: done, *r is its result. */
static bool wait_in_kernel(struct frame *g, long *r)
{
    if (!kernel_wait_enter())
        return false;
    *r = ended(native_wait(g));
    kernel_wait_leave();
    return true;
}

/* ---- deadlines ---- */

/* CLOCK_MONOTONIC ns at which a wait of ns (< 0: none) ends; that of the call's first making if it is made again. */
static int64_t deadline_of(int64_t ns)
{
    struct uthread *u = uthread_self();
    int64_t when = u->restart_when;
    u->restart_when = 0;
    if (when) /* made again since no handler ran: to the same end */
        return when;
    return ns < 0 || ns > INT64_MAX / 4 ? INT64_MAX : now_ns() + ns;
}

/* The argument of a call that is to wait until then: at, filled in, or 0 for ever. */
static uint64_t time_left(int64_t deadline, struct timespec64 *at)
{
    if (deadline == INT64_MAX)
        return 0;
    int64_t ns = deadline - now_ns();
    *at = ns > 0 ? (struct timespec64){ns / NSEC_PER_SEC, ns % NSEC_PER_SEC} : (struct timespec64){0, 0};
    return (uint64_t)P(at);
}

static long interrupted(int64_t deadline)
{
    if (deadline != INT64_MAX)
        uthread_self()->restart_when = deadline;
    return -ERESTARTNOHAND;
}

/* Nothing is ready and there is no time left: a signal that waits, perhaps let in by the mask given with the call, goes first. */
static long out_of_time(int64_t deadline)
{
    return load_relaxed(&uthread_self()->attn) & ATTN_SIGNAL ? interrupted(deadline) : 0;
}

/* A struct timespec of the program's. 0 and *ns (-1: no limit), or -errno. */
static long get_timeout(uint64_t at, int64_t *ns)
{
    struct timespec64 t;
    *ns = -1;
    if (!at)
        return 0;
    if (uaccess_copy(&t, (void *)at, sizeof t))
        return -EFAULT;
    if (t.sec < 0 || t.nsec < 0 || t.nsec >= NSEC_PER_SEC)
        return -EINVAL;
    if (t.sec < 1000000000)
        *ns = t.sec * NSEC_PER_SEC + t.nsec;
    return 0;
}

/* Linux tells what is left of the timeout, in the program's own memory. */
static long put_left(uint64_t at, int64_t start, int64_t ns, long unit_ns, long r)
{
    if (!at || ns < 0)
        return r;
    int64_t left = ns - (now_ns() - start);
    struct timespec64 t = {left > 0 ? left / NSEC_PER_SEC : 0, left > 0 ? left % NSEC_PER_SEC / unit_ns : 0};
    if (uaccess_copy((void *)at, &t, sizeof t) && r == -ERESTARTNOHAND)
        return -EINTR; /* cannot be made again with what is left of it */
    return r;
}

/* ---- many descriptors ---- */

struct wait_set {
    struct fdwaiter *w;
    uint32_t n;
    uint64_t seq; /* atomic: of the wait under way */
};

static void sample_edges(struct wait_set *s)
{
    for (uint32_t i = 0; i < s->n; i++) {
        struct fdrec *rec = fd_rec(s->w[i].fd);
        if (rec) {
            s->w[i].edges_in = fd_edges(rec, DIR_IN);
            s->w[i].edges_out = fd_edges(rec, DIR_OUT);
        }
    }
}

static bool edges_since(struct wait_set *s)
{
    for (uint32_t i = 0; i < s->n; i++) {
        struct fdwaiter *w = &s->w[i];
        if (w->dir == 0)
            continue;
        struct fdrec *rec = w->state == FDW_NONE ? NULL : load_relaxed(&w->rec);
        if (!rec || ((w->dir & DIR_IN) && fd_edges(rec, DIR_IN) != w->edges_in) ||
            ((w->dir & DIR_OUT) && fd_edges(rec, DIR_OUT) != w->edges_out))
            return true;
    }
    return false;
}

/* Wait until `look` says other than 0, or the deadline, or a signal. Edges are sampled, and it was looked once since.
 * -EOPNOTSUPP: cannot be waited for here. From hook == 0. */
static long wait_many(struct wait_set *s, long (*look)(void *arg), void *arg, int64_t deadline)
{
    struct uthread *u = uthread_self();
    bool linked = false, refused = false;
    long r = 0;
    for (;;) {
        bool changed = linked; /* after the first time only looking tells */
        uint64_t seq = wait_open(u);
        store_seq(&s->seq, seq); /* before the look: pairs with the wake of an edge, which comes before the load of seq */
        for (uint32_t i = 0; i < s->n && !refused; i++) {
            struct fdwaiter *w = &s->w[i];
            if (w->state != FDW_NONE || w->dir == 0)
                continue;
            w->u = u;
            w->call_seq = &s->seq;
            switch (fd_link(w)) {
            case FDL_LINKED: break;
            case FDL_CHANGED: changed = true; break;
            case FDL_NEVER: w->dir = 0; break;
            case FDL_REFUSED: refused = true; break;
            }
        }
        linked = true;
        if (refused) {
            r = -EOPNOTSUPP;
            break;
        }
        if (changed && (r = look(arg)) != 0)
            break;
        bool all = true; /* linked, that is */
        for (uint32_t i = 0; i < s->n; i++)
            all = all && (s->w[i].dir == 0 || s->w[i].state != FDW_NONE);
        if (!all)
            continue;
        hook_enter();
        COUNT(park_poll);
        __atomic_fetch_add(&sched.npollwait, 1, __ATOMIC_RELAXED);
        enum wake why = park(WAIT_POLL, s->n == 1 ? (uint64_t)s->w[0].fd : s->n, deadline, NULL, NULL);
        __atomic_fetch_sub(&sched.npollwait, 1, __ATOMIC_RELAXED);
        hook_exit();
        if (why == WAKE_TIMEOUT) {
            r = edges_since(s) ? look(arg) : 0; /* nothing came since the look before */
            break;
        }
        if (why == WAKE_SIGNAL) {
            r = look(arg); /* what is ready goes first, as in the kernel */
            if (r == 0)
                r = interrupted(deadline);
            break;
        }
    }
    for (uint32_t i = 0; i < s->n; i++)
        if (s->w[i].state != FDW_NONE)
            fd_unlink(&s->w[i]);
    return r;
}

/* ---- poll(2) ---- */

struct poll_call {
    struct pollfd64 *fds;
    struct wait_set set;
};

static uint8_t dirs_of(int16_t events)
{
    uint8_t dir = (uint8_t)((events & (0x1 | 0x2 | 0x40 | 0x80 | 0x2000) ? DIR_IN : 0) |
                            (events & (0x4 | 0x100 | 0x200) ? DIR_OUT : 0));
    return dir ? dir : DIR_IN; /* hang-ups and errors are always reported */
}

static long poll_look(void *arg)
{
    struct poll_call *p = arg; /* by number, as the kernel: one closed meanwhile is POLLNVAL when something wakes us */
    return sys3(__NR_poll, P(p->fds), p->set.n, 0);
}

/* fds, n of them, are copies; w has as many. */
static long poll_parked(struct pollfd64 *fds, struct fdwaiter *w, uint32_t n, int64_t deadline)
{
    struct poll_call p = {.fds = fds, .set = {.w = w, .n = n}};
    for (uint32_t i = 0; i < n; i++)
        w[i] = (struct fdwaiter){.fd = fds[i].fd, .dir = fds[i].fd < 0 ? 0 : dirs_of(fds[i].events), .poll = true};
    sample_edges(&p.set);
    long r = sys3(__NR_poll, P(fds), n, 0);
    if (r != 0 || deadline <= now_ns())
        return r ? r : out_of_time(deadline);
    return wait_many(&p.set, poll_look, &p, deadline);
}

/* The revents alone are the kernel's to write. */
static long put_revents(uint64_t at, const struct pollfd64 *fds, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        if (uaccess_copy((void *)(at + i * sizeof *fds + offsetof(struct pollfd64, revents)), &fds[i].revents, 2))
            return -EFAULT;
    return 0;
}

static long poll_few(struct frame *f, uint64_t n, int64_t deadline)
{
    struct pollfd64 fds[FEW];
    struct fdwaiter w[FEW];
    if (uaccess_copy(fds, (void *)f->rdi, n * sizeof *fds))
        return -EFAULT;
    long r = poll_parked(fds, w, (uint32_t)n, deadline);
    return (r >= 0 || r == -ERESTARTNOHAND) && put_revents(f->rdi, fds, n) ? -EFAULT : r;
}

static long poll_many(struct frame *f, uint64_t n, int64_t deadline)
{
    struct frame g = *f;
    g.nr = __NR_poll; /* what is there already; EINVAL for more than may be open */
    g.rdx = 0;
    long r = native_sys(&g);
    if (r != 0 || deadline <= now_ns())
        return r ? r : out_of_time(deadline);
    if (n > PARKED_AT_MOST) {
        struct timespec64 left;
        g.nr = __NR_ppoll;
        g.rdx = time_left(deadline, &left);
        g.r10 = 0;
        if (wait_in_kernel(&g, &r))
            return r == -ERESTARTNOHAND ? interrupted(deadline) : r;
    }
    size_t size = (n * (sizeof(struct pollfd64) + sizeof(struct fdwaiter)) + PAGE_SIZE - 1) & ~(size_t)(PAGE_SIZE - 1);
    char *room = sys_map(NULL, size, 3, 0);
    if (!room)
        return -ENOMEM;
    struct fdwaiter *w = (struct fdwaiter *)room;
    struct pollfd64 *fds = (struct pollfd64 *)(w + n);
    r = -EFAULT;
    if (!uaccess_copy(fds, (void *)f->rdi, n * sizeof *fds)) {
        r = poll_parked(fds, w, (uint32_t)n, deadline);
        if ((r >= 0 || r == -ERESTARTNOHAND) && put_revents(f->rdi, fds, n))
            r = -EFAULT;
    }
    sys_unmap(room, size);
    return r;
}

static long do_poll(struct frame *f, int64_t timeout_ns)
{
    uint64_t n = (uint32_t)f->rsi;
    int64_t deadline = deadline_of(timeout_ns);
    long r = n <= FEW ? poll_few(f, n, deadline) : poll_many(f, n, deadline);
    if (r == -EOPNOTSUPP) { /* e.g. no memory for another registration */
        struct frame g = *f;
        struct timespec64 left;
        g.nr = __NR_ppoll;
        g.rdx = time_left(deadline, &left);
        g.r10 = 0;
        return block_natively(&g);
    }
    return r;
}

long emul_poll(struct frame *f)
{
    int timeout = (int)f->rdx;
    if (timeout == 0)
        return sys_intr(f);
    return do_poll(f, timeout < 0 ? -1 : timeout * 1000000ll);
}

long emul_ppoll(struct frame *f)
{
    int64_t ns;
    long r = get_timeout(f->rdx, &ns);
    if (!r)
        r = signal_mask_begin(f->r10, f->r8);
    if (r)
        return r;
    int64_t start = f->rdx ? now_ns() : 0;
    r = signal_mask_end(f->r10, do_poll(f, ns));
    return put_left(f->rdx, start, ns, 1, r);
}

/* ---- select(2) ---- */

struct select_call {
    uint64_t *sets[3];  /* the program's, copied; NULL: none */
    uint64_t *out[3];   /* the results */
    uint32_t nfds, words;
    struct wait_set set;
};

static long select_look(void *arg)
{
    struct select_call *c = arg;
    struct timespec64 zero = {0, 0};
    for (int k = 0; k < 3; k++)
        if (c->sets[k])
            memcpy(c->out[k], c->sets[k], c->words * 8);
    return sys6(__NR_pselect6, c->nfds, c->sets[0] ? P(c->out[0]) : 0, c->sets[1] ? P(c->out[1]) : 0,
                c->sets[2] ? P(c->out[2]) : 0, P(&zero), 0);
}

static uint32_t count_bits(struct select_call *c)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->words; i++) {
        uint64_t any = 0;
        for (int k = 0; k < 3; k++)
            any |= c->sets[k] ? c->sets[k][i] : 0;
        n += (uint32_t)__builtin_popcountll(any);
    }
    return n;
}

static void fill_waiters(struct select_call *c)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->words; i++) {
        uint64_t in = (c->sets[0] ? c->sets[0][i] : 0) | (c->sets[2] ? c->sets[2][i] : 0), out = c->sets[1] ? c->sets[1][i] : 0;
        for (uint64_t any = in | out; any; any &= any - 1) {
            uint64_t bit = any & -any;
            c->set.w[n++] = (struct fdwaiter){.fd = (int)(i * 64 + (uint32_t)__builtin_ctzll(any)),
                                              .dir = (uint8_t)((in & bit ? DIR_IN : 0) | (out & bit ? DIR_OUT : 0)),
                                              .poll = true};
        }
    }
    c->set.n = n;
}

/* The program's sets were copied to c->sets, with room for results in c->out. The kernel frame: fds rdi, sets rsi, rdx, r10. */
static long select_copied(struct frame *f, struct select_call *c, int64_t deadline)
{
    struct fdwaiter few[FEW];
    uint32_t n = count_bits(c);
    if (n > PARKED_AT_MOST) {
        struct timespec64 left;
        long r = select_look(c);
        if (r != 0 || deadline <= now_ns())
            return r ? r : out_of_time(deadline);
        struct frame g = *f;
        for (int k = 0; k < 3; k++)
            if (c->sets[k])
                memcpy(c->out[k], c->sets[k], c->words * 8);
        g.nr = __NR_pselect6;
        g.rsi = c->sets[0] ? (uint64_t)P(c->out[0]) : 0;
        g.rdx = c->sets[1] ? (uint64_t)P(c->out[1]) : 0;
        g.r10 = c->sets[2] ? (uint64_t)P(c->out[2]) : 0;
        g.r8 = time_left(deadline, &left);
        g.r9 = 0;
        if (wait_in_kernel(&g, &r))
            return r == -ERESTARTNOHAND ? interrupted(deadline) : r;
    }
    size_t size = n > FEW ? (n * sizeof(struct fdwaiter) + PAGE_SIZE - 1) & ~(size_t)(PAGE_SIZE - 1) : 0;
    c->set.w = size ? sys_map(NULL, size, 3, 0) : few;
    if (!c->set.w)
        return -ENOMEM;
    fill_waiters(c);
    sample_edges(&c->set);
    long r = select_look(c);
    if (r == 0)
        r = deadline > now_ns() ? wait_many(&c->set, select_look, c, deadline) : out_of_time(deadline);
    if (size)
        sys_unmap(c->set.w, size);
    return r;
}

/* The kernel looks at no more of the sets than its table of descriptors is long (64, then larger powers of two), and programs give it
 * shorter ones. Our own descriptors, which sit high, make the table long: so it is as long as the program's alone would make it. */
static cold uint32_t table_needed(void)
{
    char buf[1024];
    uint32_t size = 64;
    long dir = sys4(__NR_openat, -100, P("/proc/self/fd"), 0200000 | 02000000 /* O_DIRECTORY, O_CLOEXEC */, 0), r;
    if (dir < 0)
        return FDS_MAX;
    while ((r = sys3(__NR_getdents64, dir, P(buf), sizeof buf)) > 0)
        for (long at = 0; at < r;) {
            uint16_t length;
            uint32_t fd = 0;
            const char *c = buf + at + 19;
            memcpy(&length, buf + at + 16, 2);
            for (; *c >= '0' && *c <= '9'; c++)
                fd = fd * 10 + (uint32_t)(*c - '0');
            at += length;
            while (!*c && (long)fd != dir && !fd_is_ours((int)fd) && fd >= size)
                size *= 2;
        }
    sys1(__NR_close, dir);
    return size;
}

static uint32_t within_table(uint32_t nfds)
{
    if (nfds > 1024 /* FD_SETSIZE */ && nfds > load_relaxed(&table_size))
        store_relaxed(&table_size, table_needed());
    return nfds <= 1024 || nfds < table_size ? nfds : table_size;
}

static long do_select(struct frame *f, int64_t timeout_ns)
{
    uint64_t user[3] = {f->rsi, f->rdx, f->r10};
    uint64_t small[6 * 16];
    struct select_call c = {.nfds = (uint32_t)f->rdi};
    int64_t deadline = deadline_of(timeout_ns);
    if ((int)f->rdi < 0)
        return -EINVAL;
    c.nfds = within_table(c.nfds);
    c.words = (c.nfds + 63) / 64;
    size_t size = c.words > 16 ? (6 * (size_t)c.words * 8 + PAGE_SIZE - 1) & ~(size_t)(PAGE_SIZE - 1) : 0;
    uint64_t *room = size ? sys_map(NULL, size, 3, 0) : small;
    if (!room)
        return -ENOMEM;
    long r = 0;
    size_t bytes = (c.nfds + 7) / 8, used = (c.words * 8); /* the kernel reads and writes whole words */
    (void)bytes;
    for (int k = 0; k < 3 && !r; k++) {
        if (!user[k])
            continue;
        c.sets[k] = room + (size_t)k * c.words;
        c.out[k] = room + (size_t)(3 + k) * c.words;
        if (uaccess_copy(c.sets[k], (void *)user[k], used))
            r = -EFAULT;
        else if (c.nfds % 64)
            c.sets[k][c.words - 1] &= (1ull << c.nfds % 64) - 1;
    }
    if (!r)
        r = select_copied(f, &c, deadline);
    if (r >= 0)
        for (int k = 0; k < 3; k++)
            if (user[k] && uaccess_copy((void *)user[k], c.out[k], used))
                r = -EFAULT;
    if (size)
        sys_unmap(room, size);
    return r == -EOPNOTSUPP ? block_natively(f) : r;
}

long emul_select(struct frame *f)
{
    struct timespec64 tv;
    int64_t ns = -1, start = 0;
    if (f->r8) {
        if (uaccess_copy(&tv, (void *)f->r8, sizeof tv))
            return -EFAULT;
        tv.sec += tv.nsec / 1000000; /* the kernel takes more than a second's microseconds */
        tv.nsec %= 1000000;
        if (tv.sec < 0 || tv.nsec < 0)
            return -EINVAL;
        if (tv.sec < 1000000000)
            ns = tv.sec * NSEC_PER_SEC + tv.nsec * 1000;
        start = now_ns();
    }
    if (ns == 0) {
        uthread_self()->restart_when = 0; /* nothing was left of it */
        return sys_intr(f);
    }
    return put_left(f->r8, start, ns, 1000, do_select(f, ns));
}

long emul_pselect6(struct frame *f)
{
    uint64_t mask[2] = {0, 0};
    int64_t ns, start = f->r8 ? now_ns() : 0;
    if (f->r9 && uaccess_copy(mask, (void *)f->r9, sizeof mask))
        return -EFAULT;
    long r = get_timeout(f->r8, &ns);
    if (!r)
        r = signal_mask_begin(mask[0], mask[1]);
    if (r)
        return r;
    r = signal_mask_end(mask[0], do_select(f, ns));
    return put_left(f->r8, start, ns, 1, r);
}

/* ---- epoll_wait(2) ----
 *
 * To park, the program's epoll instance is watched by ours. It gives an edge for each event that comes to it; level-triggered
 * events that stay are found by passing on: who got some wakes the next. */

static long epoll_look(int fd, uint64_t events, int max)
{
    return sys6(__NR_epoll_pwait, fd, (long)events, max, 0, 0, 8);
}

/* It was looked after `edges`, and nothing was there. */
static long epoll_parked(struct frame *f, struct fdcall *c, uint32_t edges, int64_t deadline)
{
    long r;
    for (;;) {
        hook_enter();
        enum wake why = fd_wait(c, DIR_IN, edges, deadline, WAIT_POLL);
        hook_exit();
        if (why == WAKE_NONE) {
            r = -EOPNOTSUPP;
            break;
        }
        if (why == WAKE_CLOSED) {
            r = -EBADF;
            break;
        }
        edges = fd_edges(c->rec, DIR_IN);
        r = epoll_look(c->fd, f->rsi, (int)f->rdx);
        if (r > 0)
            fd_pass_on(c->rec, DIR_IN);
        if (r == 0 && why == WAKE_SIGNAL)
            r = interrupted(deadline);
        if (r != 0 || why != WAKE_EVENT)
            break;
    }
    fdcall_end(c);
    return r;
}

static long do_epoll_wait(struct frame *f, int64_t timeout_ns)
{
    struct fdrec *rec = fd_rec((int)f->rdi);
    int64_t deadline = deadline_of(timeout_ns);
    struct fdcall c;
    uint32_t edges = 0;
    if (rec) {
        fdcall_begin(&c, (int)f->rdi, rec);
        edges = fd_edges(rec, DIR_IN);
    }
    long r = epoll_look((int)f->rdi, f->rsi, (int)f->rdx);
    if (r != 0 || timeout_ns == 0) {
        if (r > 0 && rec)
            fd_pass_on(rec, DIR_IN);
        return r;
    }
    struct frame g = *f;
    struct timespec64 left;
    g.nr = __NR_epoll_pwait2;
    g.r10 = time_left(deadline, &left);
    g.r8 = 0;
    g.r9 = 8;
    if (wait_in_kernel(&g, &r))
        return r == -ERESTARTNOHAND ? interrupted(deadline) : r;
    if (rec)
        fd_type(rec, (int)f->rdi); /* its record says what it is, or a wait would take it for closed */
    r = rec ? epoll_parked(f, &c, edges, deadline) : -EOPNOTSUPP;
    return r == -EOPNOTSUPP ? block_natively(&g) : r;
}

long emul_epoll_wait(struct frame *f)
{
    int timeout = (int)f->r10;
    return do_epoll_wait(f, timeout < 0 ? -1 : timeout * 1000000ll);
}

long emul_epoll_pwait(struct frame *f)
{
    int timeout = (int)f->r10;
    long r = signal_mask_begin(f->r8, f->r9);
    return r ? r : signal_mask_end(f->r8, do_epoll_wait(f, timeout < 0 ? -1 : timeout * 1000000ll));
}

long emul_epoll_pwait2(struct frame *f)
{
    int64_t ns;
    long r = get_timeout(f->r10, &ns);
    if (!r)
        r = signal_mask_begin(f->r8, f->r9);
    return r ? r : signal_mask_end(f->r8, do_epoll_wait(f, ns));
}
