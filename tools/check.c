/* handoff check: will it work, and if not, why and what to do? */
#include "inspect.h"
#include "page_reader.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* -- a running process */

static bool is_library(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash && !strncmp(slash, "/libhandoff.so", 14);
}

/* Is the library mapped there? -errno if that cannot be told. */
static int has_library(pid_t pid)
{
    char path[64], *line = NULL;
    size_t size = 0;
    int found = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    f = fopen(path, "re");
    if (!f)
        return -errno;
    while (!found && getline(&line, &size, f) > 0) {
        char *file = strchr(line, '/');

        found = file && is_library(file);
    }
    if (!found && ferror(f))
        found = -errno;
    free(line);
    fclose(f);
    return found;
}

static void judge_page(struct report *r, const struct page *page)
{
    const struct stats_header *h = &page->h;

    switch (h->state) {
    case STATS_ACTIVE:
        r->running = true;
        report_add(r, FINDING_OK, NULL, "active: %u user threads on %u workers, %u procs",
                   h->uthreads_live, h->workers_live, h->nprocs);
        break;
    case STATS_DORMANT:
        report_add(r, FINDING_OK, NULL, "dormant: it has created no thread yet");
        break;
    case STATS_REFUSED:
        report_add(r, FINDING_NATIVE, "remove the cause and start it again", "%s",
                   *h->reason ? h->reason : "activation was refused, for no given reason");
        break;
    default:
        report_add(r, FINDING_NATIVE, "look again", "it is ending, or became another program (execve)");
    }
}

static void judge_process(struct report *r, const struct process *p)
{
    struct page page;
    char why[1024], exe[64], target[PATH_MAX];
    ssize_t n;
    int error = page_open(&page, p, why, sizeof why), loaded;

    if (!error) {
        judge_page(r, &page);
        page_close(&page);
        return;
    }
    if (error != -ENOENT)
        report_add(r, FINDING_NOTE, NULL, "%s", why);
    loaded = has_library(p->pid);
    if (loaded < 0) {
        report_add(r, FINDING_NATIVE, "run this check as its user, or as root",
                   "/proc/%d/maps: %s: whether the library is loaded cannot be told", (int)p->pid,
                   strerror(-loaded));
        return;
    }
    if (loaded) {
        report_add(r, FINDING_OK, NULL,
                   "the library is loaded and dormant (no thread created yet), or HANDOFF_STATS=0 "
                   "or HANDOFF_ENABLE=0 is set there");
        return;
    }
    report_add(r, FINDING_NATIVE, "start it anew with `handoff run`",
               "the library is not loaded: it was not started under handoff");
    snprintf(exe, sizeof exe, "/proc/%d/exe", (int)p->pid);
    n = readlink(exe, target, sizeof target - 1);
    if (n > 0) {
        target[n] = 0;
        inspect_program(r, access(target, F_OK) ? exe : target);
    }
}

/* -- output */

static const char *level_name(enum finding_level level)
{
    static const char *const names[] = {"ok", "note", "native", "error"};

    return names[level];
}

static const char *verdict_name(const struct report *r)
{
    const struct finding *verdict = report_verdict(r);

    return !verdict ? "handoff" : verdict->level == FINDING_NATIVE ? "native" : "cannot run";
}

static void print_text(const struct report *r, const char *target)
{
    const struct finding *verdict = report_verdict(r);
    char name[512];

    clean_text(name, sizeof name, target, strlen(target));
    for (unsigned i = 0; i < r->count; i++) {
        const struct finding *f = &r->findings[i];

        printf("%-6s  %s%s%s\n", level_name(f->level), f->text, *f->advice ? "; " : "", f->advice);
    }
    if (!verdict)
        printf("%s: %s under handoff\n", name, r->running ? "runs" : "will run");
    else if (verdict->level == FINDING_ERROR)
        printf("%s: cannot run: %s; %s\n", name, verdict->text, verdict->advice);
    else
        printf("%s: stays native: %s; %s\n", name, verdict->text, verdict->advice);
}

static void print_json(const struct report *r, const char *target)
{
    const struct finding *verdict = report_verdict(r);
    json_t *findings = json_array();
    char name[512], program[PATH_MAX];
    json_t *root;

    for (unsigned i = 0; i < r->count; i++) {
        const struct finding *f = &r->findings[i];

        json_array_append_new(findings, json_pack("{s:s, s:s, s:s}", "level", level_name(f->level),
                                                  "text", f->text, "advice", f->advice));
    }
    root = json_pack("{s:s, s:s, s:s, s:i, s:o, s:o, s:o}", "target",
                     clean_text(name, sizeof name, target, strlen(target)), "program",
                     clean_text(program, sizeof program, r->program, sizeof r->program), "verdict",
                     verdict_name(r), "status", r->status, "reason",
                     verdict ? json_string(verdict->text) : json_null(), "advice",
                     verdict ? json_string(verdict->advice) : json_null(), "findings", findings);
    json_dumpf(root, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(root);
}

/* -- the command */

static int check_target(struct report *r, const char *target)
{
    struct process p;
    pid_t pid;

    if (parse_pid(target, &pid)) {
        if (process_read(pid, &p)) {
            complain("no process %d; for a command of that name write ./%d", (int)pid, (int)pid);
            return STATUS_NOT_FOUND;
        }
        if (p.zombie) {
            complain("process %d has ended", (int)pid);
            return STATUS_NOT_FOUND;
        }
        judge_process(r, &p);
        return STATUS_OK;
    }
    inspect_command(r, target);
    if (r->status < STATUS_CANNOT_RUN) {
        inspect_setup(r, r->program);
        inspect_kernel(r);
    }
    return STATUS_OK;
}

static int main_check(int argc, char **argv)
{
    static const struct flag flags[] = {{"json", 0, FLAG_ALONE}, {0}};
    struct report *r;
    struct args a;
    const char *target = NULL;
    bool json = false;
    int arg, status;

    args_init(&a, &command_check, flags, argc, argv);
    while ((arg = args_next(&a)) != ARG_END) {
        if (arg == ARG_STOP)
            return a.status;
        if (arg == 0)
            json = true;
        else if (target)
            return usage_error(&command_check,
                               "one command or process at a time, without arguments, not also %s",
                               a.value);
        else
            target = a.value;
    }
    if (!target)
        return usage_error(&command_check, "a command or process id is missing");
    r = malloc(sizeof *r);
    if (!r)
        return complain("out of memory");
    report_init(r);
    status = check_target(r, target);
    if (status == STATUS_OK) {
        status = r->status;
        if (json)
            print_json(r, target);
        else
            print_text(r, target);
    }
    free(r);
    return finish_output(status);
}

const struct subcommand command_check = {
    .name = "check",
    .synopsis = "check CMD|PID [--json]",
    .summary = "Whether a command will run under handoff, or a process does; if not, why",
    .help = "Looks at the program (behind a script, at its interpreter), at the library and the\n"
            "HANDOFF_ environment, and tries what the kernel and inherited seccomp filters allow.\n"
            "The last line is the verdict.\n"
            "\n"
            "      --json  one object\n"
            "\n"
            "Exit status: 0 it will or does run under handoff; 1 it stays native, or the library\n"
            "or the environment stops it; 2 usage; 126 it cannot be executed; 127 not found.\n",
    .usage_status = STATUS_USAGE,
    .main = main_check,
};
