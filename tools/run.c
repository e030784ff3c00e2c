/* handoff run: start a command under handoff.
 *
 * Plainly, it becomes the command (exec), so that pid, exit status and signals are the command's.
 * With --stats it stays as the parent, and is to be as little noticed as possible:
 *  - It keeps to the command's process group, so the terminal's signals reach the command by
 *    themselves; those sent to us alone (kill PID) are handed on. The kernel tells which is which:
 *    si_code is SI_KERNEL for the terminal's.
 *  - When the command stops, so does it; the shell then sees a stopped job, and its SIGCONT goes
 *    to the whole group, or is handed on.
 *  - It ends as the command ended, by the same signal if it was one.
 * The command would remove its statistics page when it ends; HANDOFF_KEEP_PAGE=PID, with its own
 * pid, tells the library to leave that to us. (To watch the directory and open the page when it
 * appears was tried: a command that lives a millisecond ended first half of the time.)
 */
#include "inspect.h"
#include "shim/options.h"
#include "snapshot.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct run_arguments {
    char **command;
    bool stats;
    const char *stats_file; /* NULL: stderr */
};

/* -- the environment */

static int fail(const char *what, const char *why)
{
    complain("%s: %s", what, why);
    return STATUS_SELF;
}

/* `-o NAME=VALUE`: NAME in any case, with or without HANDOFF_. */
static int set_option(const char *text)
{
    struct options scratch = options;
    char name[80] = "HANDOFF_", line[512];
    const char *equals = strchr(text, '=');
    size_t length = equals ? (size_t)(equals - text) : 0, used = 8;

    if (!length)
        return usage_error(&command_run, "-o %s: not NAME=VALUE, such as -o PROCS=2", text);
    if (!strncasecmp(text, "HANDOFF_", 8)) {
        text += 8;
        length -= 8;
    }
    for (size_t i = 0; i < length && used < sizeof name - 1; i++)
        name[used++] = (char)toupper((unsigned char)text[i]);
    name[used] = 0;
    if (options_set(&scratch, name + 8, equals + 1, line, sizeof line)) {
        complain("%s", line);
        return STATUS_SELF;
    }
    return setenv(name, equals + 1, 1) ? fail(name, strerror(errno)) : 0;
}

/* Ours first, then what LD_PRELOAD already held, less earlier mentions of ours. */
static int preload(void)
{
    char library[PATH_MAX], why[2 * PATH_MAX + 256];
    const char *old = getenv("LD_PRELOAD"), *advice;
    size_t size, used;
    char *list;
    int error;

    if (find_library(library, sizeof library, why, sizeof why, &advice)) {
        complain("%s; %s", why, advice);
        return STATUS_SELF;
    }
    size = strlen(library) + (old ? strlen(old) : 0) + 2;
    list = malloc(size);
    if (!list)
        return fail("LD_PRELOAD", strerror(ENOMEM));
    used = (size_t)snprintf(list, size, "%s", library);
    for (const char *p = old; p && *p;) {
        size_t n = strcspn(p, ": ");

        if (n && (n != strlen(library) || memcmp(p, library, n)))
            used += (size_t)snprintf(list + used, size - used, ":%.*s", (int)n, p);
        p += n + (p[n] != 0);
    }
    error = setenv("LD_PRELOAD", list, 1) ? errno : 0;
    free(list);
    return error ? fail("LD_PRELOAD", strerror(error)) : 0;
}

/* -- starting the command */

/* Becomes the command, or returns why not. What the kernel refuses as no program (ENOEXEC), execvp
 * hands to /bin/sh: right for a script without #! line, but a damaged program is not to be read as
 * commands. */
static int become(char **command, const struct report *r)
{
    if (*r->file && !r->by_shell) {
        execv(r->file, command);
        if (errno == ENOEXEC)
            return ENOEXEC;
    }
    execvp(command[0], command);
    return errno;
}

/* After a failed exec: says why and returns the status. execvp's ENOENT may mean the interpreter;
 * the inspection knows. */
static int cannot_start(const char *command, int error, const struct report *r)
{
    const struct finding *f = report_verdict(r);

    if (f && (r->status >= STATUS_CANNOT_RUN || (error == ENOEXEC && r->harmful)))
        complain("%s; %s", f->text, f->advice);
    else
        complain("%s: %s", command, strerror(error));
    return error == ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_RUN;
}

/* -- staying as the parent */

static const int forwarded[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGUSR1,
                                SIGUSR2, SIGALRM, SIGTSTP, SIGCONT, SIGWINCH};

static void watched_signals(sigset_t *set)
{
    sigemptyset(set);
    for (unsigned i = 0; i < sizeof forwarded / sizeof forwarded[0]; i++)
        sigaddset(set, forwarded[i]);
    sigaddset(set, SIGCHLD);
}

/* True when the child has ended, with *status as from waitpid. */
static bool reap(pid_t child, int *status)
{
    while (waitpid(child, status, WNOHANG | WUNTRACED) == child) {
        if (!WIFSTOPPED(*status))
            return true;
        raise(SIGSTOP);
    }
    return false;
}

/* Until the child has ended; its status as from waitpid. `set` is blocked. */
static int watch_child(pid_t child, const sigset_t *set)
{
    siginfo_t si;
    int status = 0;

    for (;;) {
        int number = sigwaitinfo(set, &si);

        if (number == SIGCHLD && reap(child, &status))
            return status;
        if (number > 0 && number != SIGCHLD && si.si_code != SI_KERNEL)
            kill(child, number);
    }
}

/* The page that the child left, now ours to remove. */
static bool find_page(struct page *page, const struct process *child)
{
    struct page_directories directories;
    char path[PATH_MAX], why[1024];

    page_list_directories(&directories);
    for (unsigned i = 0; i < directories.count; i++) {
        snprintf(path, sizeof path, "%s/%d", directories.path[i], (int)child->inner_pid);
        if (page_open_path(page, path, why, sizeof why))
            continue;
        if (page->h.pid == child->inner_pid && page->h.start_time == child->start_time) {
            unlink(path);
            return true;
        }
        page_close(page);
    }
    return false;
}

static void print_statistics(const struct process *child, const struct run_arguments *a, FILE *to)
{
    struct page page;
    struct snapshot s;

    if (find_page(&page, child)) {
        snapshot_take(&page, &s);
        snapshot_text(&s, NULL, to);
        snapshot_free(&s);
        page_close(&page);
    } else {
        complain("no statistics: %s created no thread and stayed dormant, or cannot run under "
                 "handoff; `handoff check %s` tells which",
                 a->command[0], a->command[0]);
    }
    if ((fflush(to) || ferror(to)) && errno != EPIPE)
        complain("%s: %s", a->stats_file ? a->stats_file : "standard error", strerror(errno));
}

/* Ends this process as the child ended. */
static int end_like(int status)
{
    const struct rlimit none = {0, 0};
    sigset_t set;

    if (!WIFSIGNALED(status))
        return WEXITSTATUS(status);
    setrlimit(RLIMIT_CORE, &none); /* one core file is enough */
    signal(WTERMSIG(status), SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, WTERMSIG(status));
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    raise(WTERMSIG(status));
    return 128 + WTERMSIG(status);
}

static void child_main(const struct run_arguments *a, const struct report *r, const sigset_t *mask,
                       sighandler_t sigchld, int report_fd, pid_t parent)
{
    char self[16];
    int error;

    prctl(PR_SET_PDEATHSIG, SIGKILL); /* killing us is meant for the command */
    if (getppid() != parent)
        _exit(STATUS_SELF);
    snprintf(self, sizeof self, "%d", (int)getpid());
    setenv("HANDOFF_KEEP_PAGE", self, 1);
    signal(SIGCHLD, sigchld);
    sigprocmask(SIG_SETMASK, mask, NULL);
    error = become(a->command, r);
    if (write(report_fd, &error, sizeof error) < 0)
        _exit(STATUS_SELF);
    _exit(STATUS_CANNOT_RUN);
}

static int run_watched(const struct run_arguments *a, const struct report *r)
{
    FILE *to = a->stats_file ? fopen(a->stats_file, "we") : stderr;
    int pipe_fds[2], error, status;
    pid_t parent = getpid(), child;
    struct process process;
    sighandler_t sigchld;
    sigset_t set, old;

    if (!to)
        return fail(a->stats_file, strerror(errno));
    watched_signals(&set);
    sigprocmask(SIG_BLOCK, &set, &old);
    sigchld = signal(SIGCHLD, SIG_DFL); /* ignored, it would leave nothing to wait for */
    if (pipe2(pipe_fds, O_CLOEXEC))
        return fail("pipe", strerror(errno));
    child = fork();
    if (child < 0)
        return fail("fork", strerror(errno));
    if (child == 0)
        child_main(a, r, &old, sigchld, pipe_fds[1], parent);
    signal(SIGPIPE, SIG_IGN); /* who reads the statistics may be gone: we end as the command all the same */
    close(pipe_fds[1]);
    if (read(pipe_fds[0], &error, sizeof error) == sizeof error) { /* returns at exec, by cloexec */
        waitpid(child, &status, 0);
        return cannot_start(a->command[0], error, r);
    }
    close(pipe_fds[0]);
    process_read(child, &process); /* not reaped yet, so it is there */
    status = watch_child(child, &set);
    print_statistics(&process, a, to);
    return end_like(status);
}

/* -- the command */

/* 0, or ARG_STOP with the status to exit with. */
static int parse_arguments(int argc, char **argv, struct run_arguments *run, int *status)
{
    static const struct flag flags[] = {{"option", 'o', FLAG_NEEDS}, {"stats", 0, FLAG_MAY}, {0}};
    struct args a;
    int arg;

    args_init(&a, &command_run, flags, argc, argv);
    while ((arg = args_next(&a)) != ARG_END) {
        *status = 0;
        if (arg == ARG_STOP) {
            *status = a.status;
            return ARG_STOP;
        }
        if (arg == ARG_WORD) { /* the rest is the command's own */
            run->command = argv + a.next - 1;
            return 0;
        }
        if (arg == 0) {
            *status = set_option(a.value);
        } else {
            run->stats = true;
            run->stats_file = a.value;
            if (a.value && !*a.value)
                *status = usage_error(&command_run, "--stats= without a file name");
        }
        if (*status)
            return ARG_STOP;
    }
    *status = usage_error(&command_run, "a command is missing");
    return ARG_STOP;
}

static void ignore(const char *line)
{
    (void)line; /* the library will say it, in the command */
}

static int main_run(int argc, char **argv)
{
    static struct report report;
    struct run_arguments a = {0};
    int status = 0;

    options_parse(environ, ignore);
    if (parse_arguments(argc, argv, &a, &status))
        return status;
    report_init(&report);
    inspect_command(&report, a.command[0]);
    if (!report.harmful) {
        status = preload();
        if (status)
            return status;
    }
    if (a.stats)
        return run_watched(&a, &report);
    return cannot_start(a.command[0], become(a.command, &report), &report);
}

const struct subcommand command_run = {
    .name = "run",
    .synopsis = "run [-o NAME=VALUE]... [--stats[=FILE]] [--] CMD [ARG]...",
    .summary = "Start a command under handoff",
    .help =
        "Puts libhandoff.so in front of LD_PRELOAD and becomes the command. A program that the\n"
        "library could only disturb (32-bit, musl, Go, sanitizers) is started without it.\n"
        "\n"
        "  -o, --option=NAME=VALUE  set the option HANDOFF_NAME, see `handoff config`\n"
        "      --stats[=FILE]       when the command has ended, print its statistics to\n"
        "                           standard error or FILE\n"
        "\n"
        "Exit status: the command's; 125 handoff itself failed; 126 the command cannot be\n"
        "executed; 127 not found.\n",
    .usage_status = STATUS_SELF,
    .main = main_run,
};
