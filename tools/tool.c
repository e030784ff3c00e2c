#include "tool.h"
#include "elf_reader.h"
#include "shim/options.h"

#include <ctype.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* -- complaints */

static void complain_list(const char *tail, const char *format, va_list list)
{
    char line[1024], clean[1024];
    int n;

    vsnprintf(line, sizeof line, format, list);
    clean_text(clean, sizeof clean, line, sizeof line);
    n = snprintf(line, sizeof line, "handoff: %s%s\n", clean, tail);
    if ((size_t)n >= sizeof line) {
        n = sizeof line - 1;
        line[n - 1] = '\n';
    }
    if (write(STDERR_FILENO, line, (size_t)n) < 0)
        return; /* nowhere to say it */
}

int complain(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    complain_list("", format, list);
    va_end(list);
    return STATUS_NO;
}

int usage_error(const struct subcommand *command, const char *format, ...)
{
    char tail[128];
    va_list list;

    snprintf(tail, sizeof tail, "; usage: handoff %s", command->synopsis);
    va_start(list, format);
    complain_list(tail, format, list);
    va_end(list);
    return command->usage_status;
}

const char *nearest_word(const char *word, const char *const *list)
{
    const char *nearest = NULL;
    unsigned best = UINT_MAX;

    for (; *list; list++) {
        unsigned d = options_distance(word, *list);

        if (*word && !strncmp(word, *list, strlen(word)))
            d = 0;
        if (d < best) {
            best = d;
            nearest = *list;
        }
    }
    return nearest && (best <= 1 || best <= strlen(nearest) / 2) ? nearest : NULL;
}

/* -- arguments */

void args_init(struct args *a, const struct subcommand *command, const struct flag *flags, int argc,
               char **argv)
{
    *a = (struct args){.command = command, .flags = flags, .argv = argv, .argc = argc, .next = 1};
}

static int stop(struct args *a, int status)
{
    a->status = status;
    return ARG_STOP;
}

static int help(struct args *a)
{
    print_help(a->command);
    return stop(a, finish_output(STATUS_OK));
}

static int needs_value(struct args *a, const char *option)
{
    return stop(a, usage_error(a->command, "option %s needs a value", option));
}

static int unknown_flag(struct args *a, const char *name)
{
    const char *names[16] = {"help"};
    const char *nearest;

    for (unsigned i = 0; a->flags[i].name && i + 2 < sizeof names / sizeof names[0]; i++)
        names[i + 1] = a->flags[i].name;
    nearest = nearest_word(name, names);
    if (nearest)
        return stop(
            a, usage_error(a->command, "unknown option --%s (did you mean --%s?)", name, nearest));
    return stop(a, usage_error(a->command, "unknown option --%s", name));
}

static int next_long(struct args *a, char *word)
{
    char name[64];
    size_t length = strcspn(word, "=");
    int i;

    snprintf(name, sizeof name, "%.*s", (int)(length < 63 ? length : 63), word);
    if (!strcmp(name, "help"))
        return help(a);
    for (i = 0; a->flags[i].name; i++)
        if (!strcmp(a->flags[i].name, name))
            break;
    if (!a->flags[i].name)
        return unknown_flag(a, name);
    a->value = word[length] ? word + length + 1 : NULL;
    if (a->flags[i].value == FLAG_ALONE && a->value)
        return stop(a, usage_error(a->command, "option --%s takes no value", name));
    if (a->flags[i].value == FLAG_NEEDS && !a->value) {
        if (a->next >= a->argc)
            return needs_value(a, word - 2);
        a->value = a->argv[a->next++];
    }
    return i;
}

static int next_letter(struct args *a)
{
    char option[3] = {'-', *a->letters++, 0};
    int i;

    if (option[1] == 'h')
        return help(a);
    for (i = 0; a->flags[i].name; i++)
        if (a->flags[i].letter == option[1])
            break;
    if (!a->flags[i].name)
        return stop(a, usage_error(a->command, "unknown option %s", option));
    a->value = NULL;
    if (a->flags[i].value == FLAG_NEEDS) {
        if (*a->letters)
            a->value = a->letters;
        else if (a->next < a->argc)
            a->value = a->argv[a->next++];
        else
            return needs_value(a, option);
        a->letters = NULL;
    }
    return i;
}

int args_next(struct args *a)
{
    char *word;

    if (a->letters && *a->letters)
        return next_letter(a);
    if (a->next >= a->argc)
        return ARG_END;
    word = a->argv[a->next++];
    if (a->words_only || word[0] != '-' || !word[1]) {
        a->value = word;
        return ARG_WORD;
    }
    if (!strcmp(word, "--")) {
        a->words_only = true;
        return args_next(a);
    }
    if (word[1] == '-')
        return next_long(a, word + 2);
    a->letters = word + 1;
    return next_letter(a);
}

void print_help(const struct subcommand *command)
{
    printf("usage: handoff %s\n%s.\n\n%s", command->synopsis, command->summary, command->help);
}

bool parse_pid(const char *text, pid_t *pid)
{
    long n = 0;

    if (!*text || strlen(text) > 9)
        return false;
    for (; *text; text++) {
        if (!isdigit((unsigned char)*text))
            return false;
        n = n * 10 + (*text - '0');
    }
    *pid = (pid_t)n;
    return n > 0;
}

/* -- output */

int finish_output(int status)
{
    bool lost = ferror(stdout);
    int error = lost ? errno : 0;

    if (fflush(stdout)) {
        lost = true;
        error = errno;
    }
    if (!lost)
        return status;
    clearerr(stdout);
    complain("standard output: %s", error ? strerror(error) : "write error");
    return status ? status : STATUS_NO;
}

/* Length of the well-formed UTF-8 sequence at s (RFC 3629) that is no control character, or 0. */
static size_t utf8_length(const unsigned char *s, size_t left)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = s[0] < 0x80   ? 1
               : s[0] < 0xc2 ? 0
               : s[0] < 0xe0 ? 2
               : s[0] < 0xf0 ? 3
               : s[0] < 0xf5 ? 4
                             : 0;
    uint32_t c = n > 1 ? s[0] & (0x7fu >> n) : s[0];

    if (!n || n > left)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    if (n == 1)
        return c >= 0x20 && c != 0x7f;
    if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) || c < 0xa0)
        return 0;
    return n;
}

char *clean_text(char *to, size_t size, const char *from, size_t length)
{
    const unsigned char *s = (const unsigned char *)from;
    size_t left = strnlen(from, length), used = 0;

    while (left) {
        size_t n = utf8_length(s, left), step = n ? n : 1;

        if (used + step >= size)
            break;
        if (n)
            memcpy(to + used, s, n);
        else
            to[used] = '?';
        used += step;
        s += step;
        left -= step;
    }
    to[used] = 0;
    return to;
}

char *format_duration(char *to, size_t size, uint64_t ns)
{
    uint64_t s = ns / 1000000000;

    if (ns < 1000)
        snprintf(to, size, "%uns", (unsigned)ns);
    else if (ns < 1000000)
        snprintf(to, size, "%u.%uus", (unsigned)(ns / 1000), (unsigned)(ns / 100 % 10));
    else if (ns < 1000000000)
        snprintf(to, size, "%u.%ums", (unsigned)(ns / 1000000), (unsigned)(ns / 100000 % 10));
    else if (s < 60)
        snprintf(to, size, "%u.%us", (unsigned)s, (unsigned)(ns / 100000000 % 10));
    else if (s < 3600)
        snprintf(to, size, "%um%02us", (unsigned)(s / 60), (unsigned)(s % 60));
    else if (s < 86400)
        snprintf(to, size, "%uh%02um", (unsigned)(s / 3600), (unsigned)(s / 60 % 60));
    else
        snprintf(to, size, "%llud%02uh", (unsigned long long)(s / 86400),
                 (unsigned)(s / 3600 % 24));
    return to;
}

bool parse_interval(const char *text, uint64_t *ns)
{
    static const struct {
        const char *name;
        double ns;
    } units[] = {{"", 1e9}, {"s", 1e9}, {"ms", 1e6}, {"m", 60e9}};
    char *end;
    double value;

    if (!isdigit((unsigned char)*text) && *text != '.')
        return false;
    value = strtod(text, &end);
    for (unsigned i = 0; i < sizeof units / sizeof units[0]; i++)
        if (!strcmp(end, units[i].name)) {
            value *= units[i].ns;
            if (!(value >= 10e6 && value <= 86400e9))
                return false;
            *ns = (uint64_t)value;
            return true;
        }
    return false;
}

uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* -- processes */

/* A file of /proc into buf, terminated; its length or -errno. */
static ssize_t read_proc(pid_t pid, const char *name, char *buf, size_t size)
{
    char path[64];
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    n = read(fd, buf, size - 1);
    if (n < 0)
        n = -errno;
    close(fd);
    buf[n > 0 ? n : 0] = 0;
    return n;
}

int process_read(pid_t pid, struct process *p)
{
    char buf[4096];
    const char *at;
    int field;

    *p = (struct process){.pid = pid, .inner_pid = pid};
    if (read_proc(pid, "stat", buf, sizeof buf) <= 0)
        return -ESRCH;
    at = strrchr(buf, ')'); /* the name may hold anything */
    if (!at || at[1] != ' ')
        return -ESRCH;
    p->zombie = at[2] == 'Z' || at[2] == 'X';
    for (field = 2; field < 22 && at; field++)
        at = strchr(at + 1, ' ');
    if (!at)
        return -ESRCH;
    p->start_time = strtoull(at, NULL, 10);

    if (read_proc(pid, "comm", buf, sizeof buf) > 0) {
        buf[strcspn(buf, "\n")] = 0;
        memcpy(p->comm, buf, strnlen(buf, sizeof p->comm - 1));
    }
    if (read_proc(pid, "status", buf, sizeof buf) <= 0)
        return -ESRCH;
    at = strstr(buf, "\nUid:");
    if (at && sscanf(at, "\nUid: %u %u %u", &p->uids[0], &p->uids[1], &p->uids[2]) != 3)
        return -ESRCH;
    at = strstr(buf, "\nNSpid:");
    if (at) {
        char line[256];
        char *last;

        snprintf(line, sizeof line, "%.*s", (int)strcspn(at + 1, "\n"), at + 1);
        last = strrchr(line, '\t');
        if (last && atoi(last + 1) > 0)
            p->inner_pid = atoi(last + 1);
    }
    return 0;
}

char *process_command(const struct process *p, char *to, size_t size)
{
    char buf[4096];
    ssize_t n = read_proc(p->pid, "cmdline", buf, sizeof buf);

    if (n <= 0) {
        snprintf(buf, sizeof buf, "[%s]", p->comm);
        return clean_text(to, size, buf, sizeof buf);
    }
    for (ssize_t i = 0; i < n - 1; i++)
        if (!buf[i])
            buf[i] = ' ';
    return clean_text(to, size, buf, (size_t)n);
}

/* -- the library */

#ifndef HANDOFF_LIBDIR
#define HANDOFF_LIBDIR "/usr/local/lib/x86_64-linux-gnu"
#endif

static int locate_library(char *to, size_t size, char *why, size_t why_size)
{
    static const char *const beside[] = {
        "../shim/libhandoff.so",
        "libhandoff.so",
    };
    const char *named = getenv("HANDOFF_LIBRARY");
    char directory[PATH_MAX], path[2 * PATH_MAX], *real;
    ssize_t n;
    char *slash;

    if (named && *named) {
        real = realpath(named, NULL);
        if (!real || strlen(real) >= size) {
            snprintf(why, why_size, "HANDOFF_LIBRARY=%s: %s", named,
                     strerror(real ? ENAMETOOLONG : errno));
            free(real);
            return -ENOENT;
        }
        goto found;
    }
    n = readlink("/proc/self/exe", directory, sizeof directory - 1);
    directory[n > 0 ? n : 0] = 0;
    slash = strrchr(directory, '/');
    if (slash)
        *slash = 0;
    for (unsigned i = 0; slash && i < sizeof beside / sizeof beside[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, beside[i]);
        real = realpath(path, NULL);
        if (real)
            goto found;
    }
    real = realpath(HANDOFF_LIBDIR "/handoff/libhandoff.so", NULL);
    if (real)
        goto found;
    snprintf(why, why_size, "libhandoff.so is neither in %s, nor in %s/../shim, nor in %s/handoff",
             directory, directory, HANDOFF_LIBDIR);
    return -ENOENT;

found:
    n = snprintf(to, size, "%s", real);
    free(real);
    if (n < 0 || (size_t)n >= size) {
        snprintf(why, why_size, "the path of libhandoff.so is too long");
        return -ENAMETOOLONG;
    }
    return 0;
}

/* The loader would only warn of another file, and the command run without us. */
static int verify_library(const char *path, char *why, size_t size)
{
    struct elf_facts f;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), error = fd < 0 ? -errno : 0;

    if (!error) {
        error = elf_inspect(fd, &f);
        close(fd);
    }
    if (error) {
        snprintf(why, size, "%s: %s", path, strerror(-error));
        return error;
    }
    if (!f.is_elf || !f.x86_64 || f.class32 || f.type != ET_DYN)
        snprintf(why, size, "%s is not a shared library for x86-64", path);
    else if (f.bad)
        snprintf(why, size, "%s is damaged: %s", path, f.bad);
    else if (!f.handoff)
        snprintf(why, size, "%s is a shared library, but not libhandoff.so", path);
    else
        return 0;
    return -ENOEXEC;
}

int find_library(char *to, size_t size, char *why, size_t why_size, const char **advice)
{
    int error = locate_library(to, size, why, why_size);

    *advice = "install handoff, or name its library in HANDOFF_LIBRARY";
    if (error)
        return error;
    if (strpbrk(to, ": $")) { /* it splits the list at colons and spaces, and cannot quote them */
        snprintf(why, why_size, "%s: LD_PRELOAD cannot hold a path with a colon, a space or a $",
                 to);
        *advice = "install the library elsewhere";
        return -EINVAL;
    }
    return verify_library(to, why, why_size);
}
