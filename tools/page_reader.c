#include "page_reader.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Bounds well above what the library makes, so that a damaged page cannot keep us busy. */
enum {
    MOST_PROCS = 1 << 14,
    MOST_WORKERS = 1 << 20,
    MOST_UTHREADS = 1 << 24,
    MOST_STRIDE = 1 << 14
};

/* -- directories */

static void add_directory(struct page_directories *d, const char *path)
{
    if (d->count == PAGE_DIRECTORIES || strlen(path) >= sizeof d->path[0])
        return;
    for (unsigned i = 0; i < d->count; i++)
        if (!strcmp(d->path[i], path))
            return;
    strcpy(d->path[d->count++], path);
}

static void add_user(struct page_directories *d, uid_t uid)
{
    char path[64];

    snprintf(path, sizeof path, "/run/user/%u/handoff", (unsigned)uid);
    add_directory(d, path);
    snprintf(path, sizeof path, "/dev/shm/handoff-%u", (unsigned)uid);
    add_directory(d, path);
    snprintf(path, sizeof path, "/tmp/handoff-%u", (unsigned)uid);
    add_directory(d, path);
}

static void add_own(struct page_directories *d)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    char path[PATH_MAX];

    if (runtime && *runtime == '/' &&
        (size_t)snprintf(path, sizeof path, "%s/handoff", runtime) < sizeof path)
        add_directory(d, path);
    add_user(d, geteuid());
}

void page_list_directories(struct page_directories *d)
{
    glob_t g;

    d->count = 0;
    add_own(d);
    if (geteuid())
        return;
    static const char *const everywhere[] = {"/dev/shm/handoff-*", "/tmp/handoff-*", "/run/user/*/handoff"};
    for (size_t k = 0; k < sizeof everywhere / sizeof everywhere[0]; k++)
        if (!glob(everywhere[k], 0, NULL, &g)) {
            for (size_t i = 0; i < g.gl_pathc; i++) {
                const char *uid = strrchr(g.gl_pathv[i], '-');

                /* handoff-UID; others give their files such names too */
                if (!uid || (uid[1] && uid[1 + strspn(uid + 1, "0123456789")] == 0))
                    add_directory(d, g.gl_pathv[i]);
            }
            globfree(&g);
        }
}

/* $XDG_RUNTIME_DIR as process `p` was started with. */
static void add_environment(struct page_directories *d, const struct process *p)
{
    static const char name[] = "XDG_RUNTIME_DIR=";
    char path[256];
    char *line = NULL;
    size_t size = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/environ", (int)p->pid);
    f = fopen(path, "re");
    if (!f)
        return;
    while (getdelim(&line, &size, 0, f) > 0)
        if (!strncmp(line, name, sizeof name - 1)) {
            snprintf(path, sizeof path, "%.200s/handoff", line + sizeof name - 1);
            if (*path == '/')
                add_directory(d, path);
            break;
        }
    free(line);
    fclose(f);
}

static void directories_of(struct page_directories *d, const struct process *p)
{
    d->count = 0;
    add_environment(d, p);
    add_own(d);
    for (unsigned i = 0; i < 3; i++)
        add_user(d, p->uids[i]);
    add_user(d, 0); /* a daemon that was root when it started */
}

/* -- checks */

__attribute__((format(printf, 4, 5))) static int fail(int error, char *why, size_t size,
                                                      const char *format, ...)
{
    va_list list;

    va_start(list, format);
    vsnprintf(why, size, format, list);
    va_end(list);
    return error;
}

static bool array_fits(const struct page *page, uint64_t offset, uint64_t stride, uint64_t entry,
                       uint64_t count)
{
    /* stride and count are bounded by now: their product cannot overflow */
    return stride >= entry && stride <= MOST_STRIDE && offset >= sizeof(struct stats_header) &&
           offset <= page->file_size && count * stride <= page->file_size - offset;
}

static const char *check_header(struct page *page)
{
    struct stats_header *h = &page->h;

    if (h->nprocs_max > MOST_PROCS || h->nworkers_max > MOST_WORKERS ||
        h->nuthreads_max > MOST_UTHREADS)
        return "its arrays are impossibly long";
    if (!array_fits(page, h->procs_off, h->proc_stride, sizeof(struct stats_proc),
                    (uint64_t)h->nprocs_max + 1))
        return "its procs lie outside the file";
    if (!array_fits(page, h->workers_off, h->worker_stride, sizeof(struct stats_worker),
                    h->nworkers_max))
        return "its workers lie outside the file";
    if (!array_fits(page, h->uthreads_off, h->uthread_stride, sizeof(struct stats_uthread),
                    h->nuthreads_max))
        return "its user threads lie outside the file";
    if (h->nprocs > h->nprocs_max)
        h->nprocs = h->nprocs_max;
    if (h->workers_hwm > h->nworkers_max)
        h->workers_hwm = h->nworkers_max;
    if (h->uthreads_hwm > h->nuthreads_max)
        h->uthreads_hwm = h->nuthreads_max;
    h->version_text[sizeof h->version_text - 1] = 0;
    h->reason[sizeof h->reason - 1] = 0;
    h->exe[sizeof h->exe - 1] = 0;
    h->options[sizeof h->options - 1] = 0;
    return NULL;
}

int page_refresh(struct page *page, char *why, size_t size)
{
    struct stat st;
    const char *damage;

    if (fstat(page->fd, &st))
        return fail(-errno, why, size, "%s: %s", page->path, strerror(errno));
    page->file_size = (uint64_t)st.st_size;
    if (pread(page->fd, &page->h, sizeof page->h, 0) != (ssize_t)sizeof page->h)
        return fail(-EPROTO, why, size, "%s: damaged: it is too short", page->path);
    if (page->h.magic != STATS_MAGIC)
        return fail(-EPROTO, why, size, "%s: not a statistics page", page->path);
    if (page->h.version != STATS_VERSION || page->h.size < sizeof page->h)
        return fail(-EPROTO, why, size,
                    "%s: the process runs another version of the library (page version %u, this "
                    "command reads %u); use the handoff command that belongs to it",
                    page->path, page->h.version, STATS_VERSION);
    damage = check_header(page);
    if (damage)
        return fail(-EPROTO, why, size, "%s: damaged: %s", page->path, damage);
    return 0;
}

int page_open_path(struct page *page, const char *path, char *why, size_t size)
{
    struct stat st;
    int error;

    snprintf(page->path, sizeof page->path, "%s", path);
    page->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (page->fd < 0)
        return fail(-errno, why, size, "%s: %s", path, strerror(errno));
    if (fstat(page->fd, &st) || !S_ISREG(st.st_mode))
        error = fail(-EPROTO, why, size, "%s: not a regular file", path);
    else
        error = page_refresh(page, why, size);
    if (error)
        page_close(page);
    return error;
}

void page_close(struct page *page)
{
    if (page->fd >= 0)
        close(page->fd);
    page->fd = -1;
}

/* Written by the process itself, before it changed its user perhaps, and not by a stranger who
 * owns a directory of the right name. */
static bool owner_fits(const struct page *page, const struct process *p)
{
    struct stat st;

    if (fstat(page->fd, &st))
        return false;
    return st.st_uid == 0 || st.st_uid == p->uids[0] || st.st_uid == p->uids[1] ||
           st.st_uid == p->uids[2];
}

static int check_owner(struct page *page, const struct process *p, char *why, size_t size)
{
    if (!owner_fits(page, p))
        return fail(-EACCES, why, size, "%s: owned by another user than process %d", page->path,
                    (int)p->pid);
    if (page->h.pid != p->inner_pid || page->h.start_time != p->start_time)
        return fail(-ESTALE, why, size,
                    "%s: left by an earlier process with the same id; it may be removed",
                    page->path);
    return 0;
}

int page_open(struct page *page, const struct process *p, char *why, size_t size)
{
    struct page_directories d;
    char path[PATH_MAX], problem[512];
    int worst = -ENOENT;

    fail(0, why, size,
         "process %d (%s) has no statistics page: it was not started with `handoff run`, has "
         "created no thread yet, or has HANDOFF_STATS=0; `handoff check %d` tells which",
         (int)p->pid, p->comm, (int)p->pid);
    directories_of(&d, p);
    /* First as the process itself sees the directory: it may live in another mount namespace. */
    for (unsigned i = 0; i < 2 * d.count; i++) {
        int error;

        if (i & 1)
            snprintf(path, sizeof path, "%s/%d", d.path[i / 2], (int)p->inner_pid);
        else
            snprintf(path, sizeof path, "/proc/%d/root%s/%d", (int)p->pid, d.path[i / 2],
                     (int)p->inner_pid);
        error = page_open_path(page, path, problem, sizeof problem);
        if (error == -ENOENT || error == -ENOTDIR || (error == -EACCES && !(i & 1)))
            continue;
        if (!error) {
            error = check_owner(page, p, problem, sizeof problem);
            if (!error)
                return 0;
            page_close(page);
        }
        if (worst == -ENOENT || worst == -ESTALE) {
            worst = error;
            fail(0, why, size, "%s", problem);
        }
    }
    return worst;
}

/* -- arrays */

static unsigned read_array(const struct page *page, uint64_t offset, uint32_t stride,
                           unsigned length, unsigned first, unsigned count, void *out, size_t entry)
{
    char block[32768];
    unsigned per_block = (unsigned)(sizeof block / stride), done = 0;

    if (first >= length)
        return 0;
    if (count > length - first)
        count = length - first;
    while (done < count) {
        unsigned n = count - done < per_block ? count - done : per_block;
        ssize_t got = pread(page->fd, block, (size_t)n * stride,
                            (off_t)(offset + (uint64_t)(first + done) * stride));

        if (got < (ssize_t)n * stride)
            return done; /* cut short since: show what there is */
        for (unsigned i = 0; i < n; i++)
            memcpy((char *)out + (done + i) * entry, block + (size_t)i * stride, entry);
        done += n;
    }
    return done;
}

unsigned page_procs(const struct page *page, unsigned first, unsigned count, struct stats_proc *out)
{
    return read_array(page, page->h.procs_off, page->h.proc_stride, page->h.nprocs_max + 1, first,
                      count, out, sizeof *out);
}

unsigned page_workers(const struct page *page, unsigned first, unsigned count,
                      struct stats_worker *out)
{
    return read_array(page, page->h.workers_off, page->h.worker_stride, page->h.workers_hwm, first,
                      count, out, sizeof *out);
}

unsigned page_uthreads(const struct page *page, unsigned first, unsigned count,
                       struct stats_uthread *out)
{
    unsigned n = read_array(page, page->h.uthreads_off, page->h.uthread_stride,
                            page->h.uthreads_hwm, first, count, out, sizeof *out);

    for (unsigned i = 0; i < n; i++)
        out[i].name[sizeof out[i].name - 1] = 0;
    return n;
}

uint64_t page_now(void)
{
    return __builtin_ia32_rdtsc();
}

uint64_t page_age(const struct page *page, uint64_t tsc, uint64_t now)
{
    unsigned __int128 ns;

    if (!tsc || tsc > now)
        return 0;
    ns = (unsigned __int128)(now - tsc) * page->h.tsc_mult >> 32;
    return ns > INT64_MAX ? 0 : (uint64_t)ns;
}

/* -- names */

#define NAME_OF(table, i) ((i) < sizeof(table) / sizeof(table)[0] ? (table)[i] : "?")

const char *page_state_name(unsigned state)
{
    static const char *const names[] = {"dormant", "active", "refused", "ended"};

    return NAME_OF(names, state);
}

const char *proc_state_name(unsigned state)
{
    static const char *const names[] = {"idle", "running", "syscall", "retaken", "dead"};

    _Static_assert(sizeof names / sizeof names[0] == PROC_STATES, "one each");
    return NAME_OF(names, state);
}

const char *worker_state_name(unsigned state)
{
    static const char *const names[] = {"free", "spin", "run", "syscall", "poll", "sleep"};

    _Static_assert(sizeof names / sizeof names[0] == WORKER_STATES, "one each");
    return NAME_OF(names, state);
}

const char *uthread_state_name(unsigned state)
{
    static const char *const names[] = {"free",    "runnable", "running",
                                        "syscall", "parked",   "exiting"};

    _Static_assert(sizeof names / sizeof names[0] == UTHREAD_STATES, "one each");
    return NAME_OF(names, state);
}
