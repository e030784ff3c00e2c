/* The program's threads in /proc: paths that name one of ours, by /proc/thread-self, /proc/self/task/TID, /proc/PID/task/TID
 * or /proc/TID, lead to files of the kernel thread that it runs on, or ran on last. The kernel has none for a user thread.
 *
 * Since the kernel answers ENOENT for them, only calls that fail so are looked at; those that succeed cost nothing. Of what it
 * does know, /proc/thread-self is the worker's; only its target is put right.
 *
 * `comm` is answered here, since glibc's pthread_setname_np and pthread_getname_np go through it. It is opened as a memfd that
 * holds the name; of one opened for writing the record says FD_COMM, and emul_write brings writes here. Whose name it is stands in the
 * memfd's own name, so that nothing has to be kept beside the descriptor. A duplicate of the descriptor is a plain file.
 *
 * `stat` is the kernel thread's with what is the user thread's own put in: id, name, state, CPU time.
 */
#include "emul.h"
#include "fd.h"

#include "../sched/internal.h"

#define ENOENT 2

enum { O_ACCMODE = 3, O_CLOEXEC_ = 02000000, MFD_CLOEXEC = 1, PATH_SHOWN = 96 };

/* ---- names ---- */

static void comm_of_kernel_thread(int ktid, const char *name)
{
    char path[48];
    format(path, sizeof path, "/proc/self/task/%d/comm", ktid);
    long fd = sys4(__NR_openat, -100, P(path), 1 | O_CLOEXEC_, 0);
    if (fd < 0)
        return;
    long n = 0;
    while (name[n])
        n++;
    sys3(__NR_write, fd, P(name), n ? n : 1);
    sys1(__NR_close, fd);
}

/* The process is called what its first kernel thread is. */
void thread_set_name(struct uthread *u, const char *name)
{
    thread_name(u, name);
    if (u->tid == stats->pid)
        comm_of_kernel_thread(stats->pid, u->pub->name);
}

void thread_name_refresh(struct uthread *u)
{
    char path[48], name[17] = {0};
    format(path, sizeof path, "/proc/self/task/%d/comm", stats->pid);
    long fd = sys4(__NR_openat, -100, P(path), O_CLOEXEC_, 0);
    if (fd < 0)
        return;
    long n = sys3(__NR_read, fd, P(name), 16);
    sys1(__NR_close, fd);
    if (n > 0 && name[n - 1] == '\n')
        name[n - 1] = 0;
    if (n > 0)
        thread_name(u, name);
}

/* ---- paths ---- */

struct proc_path {
    struct uthread *u;   /* whom it names */
    int32_t tid;
    char text[PATH_SHOWN];
    const char *rest;    /* after the thread's directory: "" or "/comm" and so on; in text */
};

static const char *number(const char *s, int *out)
{
    int64_t n = 0;
    const char *p = s;
    for (; *p >= '0' && *p <= '9' && n < TID_END; p++)
        n = n * 10 + (*p - '0');
    if (p == s || (*p && *p != '/') || (*s == '0' && p != s + 1))
        return NULL;
    *out = (int)n;
    return p;
}

static const char *after(const char *s, const char *prefix)
{
    while (*prefix)
        if (*s++ != *prefix++)
            return NULL;
    return s;
}

static cold bool names_thread(const char *path, struct proc_path *out)
{
    struct uthread *self = uthread_self();
    size_t n = 0;
    for (;; n++) {
        if (n == sizeof out->text || uaccess_copy(&out->text[n], path + n, 1))
            return false;
        if (!out->text[n])
            break;
    }
    const char *p = after(out->text, "/proc/"), *q;
    int pid = 0, tid = 0;
    if (!p)
        return false;
    if ((q = after(p, "thread-self")) && (!*q || *q == '/')) {
        out->u = self;
        out->tid = self->tid;
        out->rest = q;
        return true;
    }
    if ((q = after(p, "self/task/")))
        q = number(q, &tid);
    else if ((q = number(p, &pid)) && pid >= TID_BASE)
        tid = pid;
    else if (q && pid == stats->pid && (q = after(q, "/task/")))
        q = number(q, &tid);
    else
        return false;
    if (!q || (tid < TID_BASE && tid != stats->pid))
        return false;
    out->rest = q;
    out->tid = tid;
    lock_take(&uthreads_lock);
    out->u = uthread_by_tid(tid);
    if (out->u && out->u->exiting && tid != stats->pid)
        out->u = NULL;
    lock_drop(&uthreads_lock);
    return out->u != NULL;
}

static inline bool proc_path(uint64_t path, struct proc_path *out)
{
    uint32_t first;
    return !uaccess_load32((const uint32_t *)path, &first) && unlikely(first == 0x6f72702f /* "/pro" */) &&
           names_thread((const char *)path, out);
}

/* The call with the kernel thread's path in place of the program's. */
static long on_kernel_thread(struct frame *f, uint64_t *arg, const struct proc_path *p, bool answered)
{
    char path[PATH_SHOWN + 32];
    struct worker *w = p->u == uthread_self() ? worker_self() : load_relaxed(&p->u->worker);
    struct frame g = *f;
    int32_t ktid = w && w->ktid ? w->ktid : stats->pid;
    if (ktid == p->tid) /* main on the first kernel thread: its own path. `answered`: the kernel said ENOENT to that already */
        return answered ? -ENOENT : native_sys(f);
    format(path, sizeof path, "/proc/self/task/%d%s", ktid, p->rest);
    *(uint64_t *)((char *)&g + ((char *)arg - (char *)f)) = (uint64_t)path;
    return native_sys(&g);
}

/* ---- comm ---- */

static bool is_file(const struct proc_path *p, const char *file)
{
    const char *end = after(p->rest, file);
    return end && !*end;
}

static void comm_fill(int fd, const struct uthread *u)
{
    char text[20];
    size_t n = format(text, sizeof text, "%s\n", u->pub->name);
    sys2(__NR_ftruncate, fd, 0);
    sys4(__NR_pwrite64, fd, P(text), (long)n, 0);
}

static long comm_open(const struct proc_path *p, uint64_t flags)
{
    char name[32];
    format(name, sizeof name, "comm:%d", p->tid);
    long fd = sys2(__NR_memfd_create, P(name), flags & O_CLOEXEC_ ? MFD_CLOEXEC : 0);
    if (fd < 0)
        return fd;
    comm_fill((int)fd, p->u);
    if (flags & O_ACCMODE)
        fd_made((int)fd, FD_COMM, 0);
    return fd;
}

/* ---- stat ---- */

/* The first kernel thread of the process stands in where the user thread's worker is just ending. */
static size_t stat_of_kernel_thread(int ktid, char *text, size_t size)
{
    char path[48];
    format(path, sizeof path, "/proc/self/task/%d/stat", ktid);
    long fd = sys4(__NR_openat, -100, P(path), O_CLOEXEC_, 0), n = 0;
    if (fd >= 0) {
        n = sys3(__NR_read, fd, P(text), (long)size - 1);
        sys1(__NR_close, fd);
    }
    text[n > 0 ? n : 0] = 0;
    return n > 0 ? (size_t)n : 0;
}

/* Fields as proc_pid_stat(5) numbers them: 1 tid, 2 (comm), 3 state, 14 utime, 15 stime, in ticks of 1/100 s. */
static long stat_open(const struct proc_path *p, uint64_t flags)
{
    enum { STATE = 3, UTIME = 14, STIME = 15, TICK_NS = 10000000 };
    char text[1024], out[1024 + 64], name[32];
    struct worker *w = load_relaxed(&p->u->worker);
    int32_t ktid = w ? w->ktid : 0;
    if ((!ktid || !stat_of_kernel_thread(ktid, text, sizeof text)) &&
        !stat_of_kernel_thread(stats->pid, text, sizeof text))
        return -ENOENT;
    const char *s = text;
    for (const char *c = text; *c; c++)
        if (*c == ')')
            s = c;
    if (*s != ')' || s[1] != ' ')
        return -ENOENT;
    uint8_t state = load_relaxed(&p->u->pub->state);
    char letter = state == UTHREAD_PARKED ? 'S' : state == UTHREAD_SYSCALL ? s[2] : 'R';
    size_t n = format(out, sizeof out, "%d (%s) %c", p->tid, p->u->pub->name, letter);
    s += 3;
    for (int field = STATE + 1; *s; field++) {
        if (field == UTIME || field == STIME) {
            int64_t ticks = field == UTIME ? cputime_of(p->u) / TICK_NS : 0;
            n += format(out + n, sizeof out - n, " %ld", (long)ticks);
            s++;
            while (*s && *s != ' ')
                s++;
        } else {
            do
                out[n++] = *s++;
            while (*s && *s != ' ');
        }
    }
    format(name, sizeof name, "stat:%d", p->tid);
    long fd = sys2(__NR_memfd_create, P(name), flags & O_CLOEXEC_ ? MFD_CLOEXEC : 0);
    if (fd >= 0)
        sys4(__NR_pwrite64, fd, P(out), (long)n, 0);
    return fd;
}

/* A write to a descriptor of type FD_COMM. */
long procfs_comm_write(struct frame *f)
{
    char path[32], link[64] = {0}, name[16] = {0};
    const char *at;
    int fd = (int)f->rdi, tid;
    format(path, sizeof path, "/proc/self/fd/%d", fd);
    if (sys3(__NR_readlink, P(path), P(link), sizeof link - 1) <= 0 || !(at = after(link, "/memfd:comm:")))
        return native_sys(f);
    for (char *c = link; *c; c++)
        if (*c == ' ')
            *c = 0;
    if (!number(at, &tid))
        return native_sys(f);
    if (uaccess_copy(name, (const void *)f->rsi, f->rdx < sizeof name - 1 ? f->rdx : sizeof name - 1))
        return -EFAULT;
    lock_take(&uthreads_lock);
    struct uthread *u = uthread_by_tid(tid);
    lock_drop(&uthreads_lock);
    if (!u)
        return -ESRCH;
    thread_set_name(u, name);
    comm_fill(fd, u);
    return (long)f->rdx;
}

/* ---- the calls ---- */

/* A call that names a file made natively, and answered ENOENT: what the kernel says of paths with our tids. */
long procfs_enoent(struct frame *f)
{
    uint64_t *arg = &f->rsi, flags = f->rdx;
    struct proc_path p;
    bool opens = false;
    switch (f->nr) {
    case __NR_open:
        flags = f->rsi;
        arg = &f->rdi;
        opens = true;
        break;
    case __NR_openat:
        opens = true;
        break;
    case __NR_stat:
    case __NR_lstat:
    case __NR_access:
        arg = &f->rdi;
        break;
    case __NR_newfstatat:
    case __NR_statx:
    case __NR_faccessat:
        break;
    default:
        return -ENOENT;
    }
    if (likely(!proc_path(*arg, &p)))
        return -ENOENT;
    if (opens && is_file(&p, "/comm"))
        return comm_open(&p, flags);
    if (opens && is_file(&p, "/stat") && !(flags & O_ACCMODE))
        return stat_open(&p, flags);
    return on_kernel_thread(f, arg, &p, true);
}

static long readlink_call(struct frame *f, uint64_t *arg, uint64_t out, uint64_t size)
{
    struct proc_path p;
    if (likely(!proc_path(*arg, &p)))
        return native_sys(f);
    if (*p.rest || !after(p.text, "/proc/thread-self"))
        return on_kernel_thread(f, arg, &p, false);
    char text[40];
    size_t n = format(text, sizeof text, "%d/task/%d", stats->pid, p.tid);
    if ((int)size <= 0)
        return -EINVAL;
    n = n < size ? n : size;
    return uaccess_copy((void *)out, text, n) ? -EFAULT : (long)n;
}

long emul_readlink(struct frame *f)
{
    return readlink_call(f, &f->rdi, f->rsi, f->rdx);
}

long emul_readlinkat(struct frame *f)
{
    return readlink_call(f, &f->rsi, f->rdx, f->r10);
}
