/* How many CPUs this process may use: its affinity, and the CPU quota of its cgroup and all above it (v2 cpu.max, v1
 * cpu.cfs_*). Sysmon asks again and again, on a thread whose TLS is another's: no libc here. */
#include "cpus.h"

#include "../base/base.h"
#include "../base/sys.h"

static bool read_small(const char *path, char *buf, size_t size)
{
    long fd = sys4(__NR_openat, -100, P(path), 02000000 /* O_CLOEXEC */, 0);
    if (fd < 0)
        return false;
    long n = sys3(__NR_read, fd, P(buf), (long)size - 1);
    sys1(__NR_close, fd);
    buf[n > 0 ? n : 0] = 0;
    return n > 0;
}

/* The number at *s, which is moved past it and the blanks after it; -1: none. */
static int64_t number(const char **s)
{
    int64_t v = 0;
    if (**s < '0' || **s > '9')
        return -1;
    while (**s >= '0' && **s <= '9' && v < INT64_MAX / 100)
        v = v * 10 + *(*s)++ - '0';
    while (**s == ' ')
        (*s)++;
    return v;
}

static uint32_t quota_here(const char *root, const char *rel, bool v2)
{
    char path[640], text[64];
    const char *s = text;
    int64_t quota = -1, period = -1;
    if (v2) {
        format(path, sizeof path, "%s%s/cpu.max", root, rel);
        if (read_small(path, text, sizeof text)) {
            quota = number(&s);
            period = number(&s);
        }
    } else {
        format(path, sizeof path, "%s%s/cpu.cfs_quota_us", root, rel);
        if (read_small(path, text, sizeof text))
            quota = number(&s);
        format(path, sizeof path, "%s%s/cpu.cfs_period_us", root, rel);
        s = text;
        if (quota > 0 && read_small(path, text, sizeof text))
            period = number(&s);
    }
    if (quota <= 0 || period <= 0)
        return 0;
    int64_t n = (quota + period - 1) / period;
    return n < 1 ? 1 : n > UINT16_MAX ? UINT16_MAX : (uint32_t)n;
}

/* The tightest of the group at `rel`, which is cut shorter, and all above; 0: none. */
static uint32_t quota_above(const char *root, char *rel, bool v2)
{
    uint32_t best = 0;
    for (;;) {
        uint32_t n = quota_here(root, rel, v2);
        if (n && (!best || n < best))
            best = n;
        char *slash = NULL;
        for (char *c = rel; *c; c++)
            if (*c == '/')
                slash = c;
        if (!slash)
            return best;
        *slash = 0;
    }
}

/* Is "cpu" one of the words of list, separated by commas, up to `end`? */
static bool has_cpu(const char *list, const char *end)
{
    for (const char *p = list; p < end;) {
        const char *word = p;
        while (p < end && *p != ',')
            p++;
        if (p - word == 3 && !memcmp(word, "cpu", 3))
            return true;
        p++;
    }
    return false;
}

static uint32_t quota(void)
{
    char text[2048], rel[512];
    uint32_t best = 0;
    if (!read_small("/proc/self/cgroup", text, sizeof text))
        return 0;
    for (char *s = text; *s;) { /* NUMBER:CONTROLLERS:PATH */
        char *ctl = s, *end, *path;
        while (*ctl && *ctl != ':' && *ctl != '\n')
            ctl++;
        for (end = ctl += *ctl == ':'; *end && *end != ':' && *end != '\n';)
            end++;
        for (s = path = end + (*end == ':'); *s && *s != '\n';)
            s++;
        if (*s)
            *s++ = 0;
        uint32_t n = 0;
        format(rel, sizeof rel, "%s", path[0] == '/' && !path[1] ? "" : path); /* the root once, not twice */
        if (ctl == end)
            n = quota_above("/sys/fs/cgroup", rel, true);
        else if (has_cpu(ctl, end))
            n = quota_above("/sys/fs/cgroup/cpu", rel, false);
        if (n && (!best || n < best))
            best = n;
    }
    return best;
}

uint32_t cpus_usable(void)
{
    uint64_t set[128] = {0};
    long size = sys3(__NR_sched_getaffinity, 0, sizeof set, P(set));
    uint32_t n = 0, q = quota();
    for (long i = 0; i < size / 8; i++)
        for (uint64_t word = set[i]; word; word &= word - 1)
            n++;
    if (!n)
        n = 1;
    return q && q < n ? q : n;
}

uint32_t cpus_possible(void)
{
    char text[256];
    int64_t last = 0;
    if (!read_small("/sys/devices/system/cpu/possible", text, sizeof text))
        return 1;
    for (const char *s = text; *s;) {
        int64_t v = number(&s);
        if (v > last)
            last = v;
        if (v < 0)
            s++;
    }
    return last < UINT16_MAX ? (uint32_t)last + 1 : UINT16_MAX;
}
