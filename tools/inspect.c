#include "inspect.h"
#include "elf_reader.h"
#include "shim/options.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

/* The kernel follows that many #! lines (fs/exec.c, exec_binprm). */
enum { MOST_SCRIPTS = 5, SCRIPT_LINE = 256 };

/* -- the report */

void report_init(struct report *r)
{
    memset(r, 0, sizeof *r);
}

static int status_of(enum finding_level level)
{
    return level >= FINDING_NATIVE ? STATUS_NO : STATUS_OK;
}

void report_add(struct report *r, enum finding_level level, const char *advice, const char *format,
                ...)
{
    char line[sizeof r->findings[0].text];
    struct finding *f = &r->findings[r->count];
    va_list list;

    if (status_of(level) > r->status)
        r->status = status_of(level);
    if (r->count == FINDINGS)
        return;
    va_start(list, format);
    vsnprintf(line, sizeof line, format, list);
    va_end(list);
    f->level = level;
    clean_text(f->text, sizeof f->text, line, sizeof line);
    snprintf(f->advice, sizeof f->advice, "%s", advice ? advice : "");
    r->count++;
}

const struct finding *report_verdict(const struct report *r)
{
    const struct finding *worst = NULL;

    for (unsigned i = 0; i < r->count; i++)
        if (r->findings[i].level >= FINDING_NATIVE &&
            (!worst || r->findings[i].level > worst->level))
            worst = &r->findings[i];
    return worst;
}

/* A command that cannot be started at all: env(1)'s statuses. */
static void cannot_run(struct report *r, int status, const char *path, const char *why,
                       const char *advice)
{
    report_add(r, FINDING_ERROR, advice, "%s: %s", path, why);
    r->status = status;
}

/* -- ELF files */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static void harmful(struct report *r, const char *advice, const char *path, const char *why)
{
    report_add(r, FINDING_NATIVE, advice, "%s %s", path, why);
    r->harmful = true;
}

static void judge_interpreter(struct report *r, const char *path, const struct elf_facts *f)
{
    const char *name = base_name(f->interpreter);
    char why[400];

    if (!strncmp(name, "ld-musl", 7)) {
        harmful(r, "build it against glibc", path, "is linked with musl, not with glibc");
    } else if (strcmp(name, "ld-linux-x86-64.so.2")) {
        snprintf(why, sizeof why, "uses the loader %s, which is not glibc's", f->interpreter);
        harmful(r, "build it against glibc", path, why);
    }
    if (access(f->interpreter, X_OK)) {
        snprintf(why, sizeof why, "needs the loader %s: %s", f->interpreter, strerror(errno));
        cannot_run(r, errno == ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_RUN, path, why,
                   "install the C library that it was built with");
    }
}

static void judge_dynamic(struct report *r, const char *path, const struct elf_facts *f)
{
    char why[128];

    if (f->go)
        harmful(r, "nothing to do: Go programs already run M:N", path,
                "is a Go program, which schedules its own user threads");
    judge_interpreter(r, path, f);
    if (f->sanitizer) {
        snprintf(why, sizeof why, "is instrumented by %s", f->sanitizer);
        harmful(r, "build it without -fsanitize", path, why);
    }
    if (!f->makes_threads)
        report_add(r, FINDING_NOTE, NULL,
                   "%s does not itself create threads; unless a library of its does, it stays "
                   "dormant and native",
                   path);
}

static void judge_elf(struct report *r, const char *path, const struct elf_facts *f)
{
    char why[128];
    const char *machine = elf_machine_name(f->machine);

    if (f->bad) {
        snprintf(why, sizeof why, "damaged: %s", f->bad);
        cannot_run(r, STATUS_CANNOT_RUN, path, why, "copy or build it again");
    } else if (f->wrong_order) {
        harmful(r, "build it again", path, "names a byte order that is not x86-64's (EI_DATA)");
    } else if (!f->x86_64) {
        snprintf(why, sizeof why, "is built for another machine (%s%s)",
                 machine ? machine : "unknown", f->class32 ? ", 32-bit" : "");
        harmful(r, "build it for x86-64", path, why);
    } else if (f->class32) {
        harmful(r, "build it for x86-64", path, "is a 32-bit (x32) program");
    } else if (!f->has_interpreter && f->has_dynamic && !f->position_independent) {
        cannot_run(r, STATUS_CANNOT_RUN, path, "a shared library, not a program",
                   "name the program that uses it");
    } else if (!f->has_interpreter) {
        if (f->go)
            report_add(r, FINDING_NATIVE, "nothing to do: Go programs already run M:N",
                       "%s is a static Go program, which schedules its own user threads", path);
        else
            report_add(r, FINDING_NATIVE, "link it dynamically",
                       "%s is statically linked: nothing can be preloaded", path);
    } else {
        report_add(r, FINDING_OK, NULL, "%s is a dynamically linked x86-64 program", path);
        judge_dynamic(r, path, f);
    }
}

/* -- privileges: in secure mode the loader ignores LD_PRELOAD (ld.so(8); cap_bprm_creds_from_file
 *    in security/commoncap.c decides on the mode) */

static void judge_privileges(struct report *r, const char *path, const struct stat *st, int fd)
{
    static const char advice[] = "run a copy without the privilege, or start it as the user it "
                                 "changes to";
    struct statvfs fs;
    bool set_uid = st->st_mode & S_ISUID;
    bool set_gid = (st->st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP);
    bool capabilities = fgetxattr(fd, "security.capability", NULL, 0) > 0;
    const char *ignored = NULL;

    if (!set_uid && !set_gid && !capabilities)
        return;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
        ignored = "no_new_privs is set";
    else if (fstatvfs(fd, &fs) == 0 && fs.f_flag & ST_NOSUID)
        ignored = "its file system is mounted nosuid";
    if (ignored) {
        report_add(r, FINDING_NOTE, NULL,
                   "%s is setuid, setgid or has capabilities, to no effect: %s", path, ignored);
        return;
    }
    if (set_uid && st->st_uid != geteuid())
        report_add(r, FINDING_NATIVE, advice, "%s is setuid: its loader ignores LD_PRELOAD", path);
    if (set_gid && st->st_gid != getegid())
        report_add(r, FINDING_NATIVE, advice, "%s is setgid: its loader ignores LD_PRELOAD", path);
    if (capabilities && getuid())
        report_add(r, FINDING_NATIVE, advice,
                   "%s has file capabilities: its loader ignores LD_PRELOAD", path);
    if (!report_verdict(r))
        report_add(r, FINDING_NOTE, NULL,
                   "%s is setuid, setgid or has file capabilities: it runs under handoff for this "
                   "user, but stays native for others",
                   path);
}

/* -- scripts */

static void inspect_file(struct report *r, const char *path, unsigned depth);
static bool find_in_path(const char *command, char *to, size_t size, int *error);

/* Cuts the next word off *line; NULL at the end. */
static char *next_word(char **line)
{
    char *word = *line + strspn(*line, " \t"), *end;

    if (!*word)
        return NULL;
    end = word + strcspn(word, " \t");
    *line = end + (*end != 0);
    *end = 0;
    return word;
}

/* `#!/usr/bin/env [-S] [NAME=VALUE]... COMMAND`: the kernel passes the rest of the line as one
 * argument, which env splits only after -S. */
static void inspect_env(struct report *r, const char *script, char *rest, unsigned depth)
{
    char path[PATH_MAX], why[PATH_MAX + 64];
    char *word = rest + strspn(rest, " \t");
    int error;

    if (!strncmp(word, "-S", 2)) {
        rest = word + 2;
        while ((word = next_word(&rest)) && (strchr(word, '=') || *word == '-'))
            ;
    } else {
        for (size_t n = strlen(word); n && strchr(" \t", word[n - 1]); n--)
            word[n - 1] = 0;
        if (!*word || *word == '-' || strchr(word, '='))
            word = NULL;
    }
    if (!word)
        return; /* env alone: prints the environment */
    if (!find_in_path(word, path, sizeof path, &error)) {
        snprintf(why, sizeof why, "its interpreter %s: %s", word, strerror(error));
        cannot_run(r, error == ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_RUN, script, why,
                   "install it, or mend PATH");
        return;
    }
    report_add(r, FINDING_OK, NULL, "%s is a script, run by %s", script, path);
    inspect_file(r, path, depth + 1);
}

static void inspect_script(struct report *r, const char *script, char *line, unsigned depth)
{
    char why[PATH_MAX + 64];
    char *interpreter = next_word(&line);

    if (!interpreter) {
        cannot_run(r, STATUS_CANNOT_RUN, script, "names no interpreter after #!",
                   "complete its first line");
        return;
    }
    if (access(interpreter, X_OK)) {
        snprintf(why, sizeof why, "its interpreter %s: %s", interpreter, strerror(errno));
        cannot_run(r, errno == ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_RUN, script, why,
                   "install it, or mend the first line");
        return;
    }
    if (!strcmp(base_name(interpreter), "env")) {
        inspect_env(r, script, line, depth);
        return;
    }
    report_add(r, FINDING_OK, NULL, "%s is a script, run by %s", script, interpreter);
    inspect_file(r, interpreter, depth + 1);
}

/* -- files */

static void inspect_open_file(struct report *r, const char *path, int fd, unsigned depth)
{
    struct elf_facts facts;
    struct stat st;
    char head[SCRIPT_LINE + 1];
    ssize_t n = pread(fd, head, SCRIPT_LINE, 0);

    if (n < 0 || fstat(fd, &st)) {
        cannot_run(r, STATUS_CANNOT_RUN, path, strerror(errno), "mend the file");
        return;
    }
    head[n] = 0;
    if (n >= 2 && !memcmp(head, "#!", 2)) {
        if (depth >= MOST_SCRIPTS) {
            cannot_run(r, STATUS_CANNOT_RUN, path, "too many scripts that run scripts",
                       "name the program itself");
            return;
        }
        head[strcspn(head, "\n")] = 0;
        inspect_script(r, path, head + 2, depth);
        return;
    }
    n = elf_inspect(fd, &facts);
    if (n < 0) {
        cannot_run(r, STATUS_CANNOT_RUN, path, strerror((int)-n), "mend the file");
    } else if (facts.is_elf) {
        snprintf(r->program, sizeof r->program, "%s", path);
        judge_elf(r, path, &facts);
        if (r->status < STATUS_CANNOT_RUN)
            judge_privileges(r, path, &st, fd);
    } else if (depth) {
        cannot_run(r, STATUS_CANNOT_RUN, path, "neither a program nor a script",
                   "mend the script that names it");
    } else {
        report_add(r, FINDING_OK, NULL, "%s has no #! line: it is run by /bin/sh", path);
        r->by_shell = true;
        inspect_file(r, "/bin/sh", depth + 1);
    }
}

static void inspect_file(struct report *r, const char *path, unsigned depth)
{
    struct stat st;
    int fd;

    if (stat(path, &st)) {
        cannot_run(r, errno == ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_RUN, path, strerror(errno),
                   "check the name");
        return;
    }
    if (S_ISDIR(st.st_mode)) {
        cannot_run(r, STATUS_CANNOT_RUN, path, "is a directory", "name a program");
        return;
    }
    if (!S_ISREG(st.st_mode)) {
        cannot_run(r, STATUS_CANNOT_RUN, path, "is not a regular file", "name a program");
        return;
    }
    if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS)) {
        cannot_run(r, STATUS_CANNOT_RUN, path, "may not be executed",
                   "chmod +x it, or check its "
                   "mount for noexec");
        return;
    }
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        report_add(r, FINDING_NATIVE, "run this check as a user who may read it",
                   "%s may be executed but not read (%s): what it is cannot be told", path,
                   strerror(errno));
        return;
    }
    inspect_open_file(r, path, fd, depth);
    close(fd);
}

void inspect_program(struct report *r, const char *path)
{
    inspect_file(r, path, 0);
}

/* As execvp: the first executable file in PATH; *error as its errno. */
static bool find_in_path(const char *command, char *to, size_t size, int *error)
{
    const char *path = getenv("PATH");

    *error = ENOENT;
    if (strchr(command, '/')) {
        *error = ENAMETOOLONG;
        return (size_t)snprintf(to, size, "%s", command) < size;
    }
    for (const char *p = path ? path : "/bin:/usr/bin";; p++) {
        int n = (int)strcspn(p, ":");
        struct stat st;

        if ((size_t)snprintf(to, size, "%.*s%s%s", n, p, n ? "/" : "", command) < size &&
            stat(to, &st) == 0) {
            if (!S_ISDIR(st.st_mode) && faccessat(AT_FDCWD, to, X_OK, AT_EACCESS) == 0)
                return true;
            *error = EACCES;
        }
        p += n;
        if (!*p)
            return false;
    }
}

void inspect_command(struct report *r, const char *command)
{
    char path[PATH_MAX];
    int error;

    if (!*command) {
        cannot_run(r, STATUS_NOT_FOUND, "''", "no such command", "name a program");
    } else if (find_in_path(command, path, sizeof path, &error)) {
        snprintf(r->file, sizeof r->file, "%s", path);
        inspect_file(r, path, 0);
    } else if (error == EACCES) {
        cannot_run(r, STATUS_CANNOT_RUN, command, "found in PATH, but not as an executable file",
                   "chmod +x it");
    } else {
        cannot_run(r, STATUS_NOT_FOUND, command, "not found in PATH",
                   "check the name, or install it");
    }
}

/* -- what the user has set up */

static struct report *complaints_go_to;

static void note_complaint(const char *line)
{
    report_add(complaints_go_to, FINDING_NOTE, NULL, "%s", line);
}

static bool matches(const char *patterns, const char *name)
{
    char pattern[256];

    for (const char *p = patterns; *p;) {
        size_t n = strcspn(p, ",");

        snprintf(pattern, sizeof pattern, "%.*s", (int)(n < 255 ? n : 255), p);
        if (!fnmatch(pattern, name, 0))
            return true;
        p += n + (p[n] == ',');
    }
    return false;
}

void inspect_setup(struct report *r, const char *program)
{
    char library[PATH_MAX], why[2 * PATH_MAX + 256];
    const char *advice;
    bool loads = !report_verdict(r); /* else the program stays native, whatever is set */

    if (!r->harmful && find_library(library, sizeof library, why, sizeof why, &advice))
        report_add(r, FINDING_ERROR, advice, "%s", why);
    complaints_go_to = r;
    if (options_parse(environ, note_complaint) && options.strict && loads)
        report_add(r, FINDING_ERROR, "correct the value, or unset HANDOFF_STRICT",
                   "with HANDOFF_STRICT=1 a bad HANDOFF_ value ends it with status 125");
    if (!options.enable)
        report_add(r, FINDING_NATIVE, "unset HANDOFF_ENABLE", "HANDOFF_ENABLE=0 is set");
    if (*options.match && *program && !matches(options.match, base_name(program)))
        report_add(r, FINDING_NATIVE, "add it there, or unset HANDOFF_MATCH",
                   "HANDOFF_MATCH=%s does not name %s", options.match, base_name(program));
}
