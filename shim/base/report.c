/* Reporting without libc. */
#include "base.h"
#include "sys.h"
#include "../options.h"
#include "../stats/stats.h"

#include <stdarg.h>

const char *error_name(long error)
{
    static const struct {
        int error;
        const char *name;
    } names[] = {{1, "EPERM: not permitted"}, {2, "ENOENT: no such file or directory"}, {4, "EINTR: interrupted"}, {5, "EIO: input/output error"},
                 {6, "ENXIO: nobody reads it"}, {9, "EBADF: bad file descriptor"}, {11, "EAGAIN: a limit of processes or memory"}, {12, "ENOMEM: no memory"},
                 {13, "EACCES: permission denied"}, {14, "EFAULT: bad address"}, {17, "EEXIST: exists"}, {20, "ENOTDIR: not a directory"},
                 {21, "EISDIR: is a directory"}, {22, "EINVAL: invalid argument"}, {23, "ENFILE: too many open files in the system"},
                 {24, "EMFILE: too many open files (ulimit -n)"}, {26, "ETXTBSY: text file busy"}, {28, "ENOSPC: no space left"},
                 {30, "EROFS: read-only file system"}, {36, "ENAMETOOLONG: name too long"}, {38, "ENOSYS: not in this kernel"}, {40, "ELOOP: too many symbolic links"}};
    static char other[32];
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (names[i].error == error)
            return names[i].name;
    format(other, sizeof other, "error %ld", error);
    return other;
}

/* Opened for each line: the program may close descriptors, fork or exec at any time. */
static void write_line(const char *line, size_t n)
{
    static uint32_t told;
    int fd = 2;
    if (options.log_file && options.log_file[0]) {
        char path[512];
        size_t o = 0;
        for (const char *s = options.log_file; *s && o + 12 < sizeof path; s++) {
            if (s[0] == '%' && s[1] == 'p') {
                o += format(path + o, sizeof path - o, "%d", (int)sys0(__NR_getpid));
                s++;
            } else
                path[o++] = *s;
        }
        path[o] = 0;
        /* CLOEXEC, APPEND, CREAT, WRONLY; NONBLOCK: of a FIFO that nobody reads the open fails */
        fd = (int)sys4(__NR_openat, -100, P(path), 02000000 | 02000 | 0100 | 1 | 04000, 0600);
        if (fd < 0) { /* said once */
            char said[700];
            size_t len = format(said, sizeof said, "handoff: HANDOFF_LOG_FILE=%s: %s; reports come here instead\n", path, error_name(-fd));
            fd = 2;
            if (!__atomic_exchange_n(&told, 1, __ATOMIC_RELAXED))
                sys3(__NR_write, fd, P(said), (long)len);
        }
    }
    sys3(__NR_write, fd, P(line), (long)n);
    if (fd != 2)
        sys1(__NR_close, fd);
}

static void vreport(const char *prefix, const char *f, va_list ap)
{
    char line[1024];
    size_t n = format(line, sizeof line, "handoff: %s", prefix);
    n += vformat(line + n, sizeof line - n - 1, f, ap);
    line[n++] = '\n';
    write_line(line, n);
}

void report(int level, const char *f, ...)
{
    if (level > options.log)
        return;
    va_list ap;
    va_start(ap, f);
    vreport("", f, ap);
    va_end(ap);
}

void fatal(const char *f, ...)
{
    static int once;
    va_list ap;
    va_start(ap, f);
    vreport("fatal: ", f, ap);
    va_end(ap);
    if (!__atomic_exchange_n(&once, 1, __ATOMIC_SEQ_CST))
        stats_dump();
    uint64_t set = 1ull << (6 - 1);
    struct {
        void *handler;
        unsigned long flags;
        void *restorer;
        uint64_t mask;
    } dfl = {0};
    sys4(__NR_rt_sigaction, 6, P(&dfl), 0, 8);
    sys4(__NR_rt_sigprocmask, 1, P(&set), 0, 8);
    sys3(__NR_tgkill, sys0(__NR_getpid), sys0(__NR_gettid), 6);
    for (;;)
        sys1(__NR_exit_group, 134);
}
