/* handoff ps: the live processes that have a statistics page. */
#include "page_reader.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct listing {
    json_t *json; /* NULL: text */
    bool verbose; /* name each page that is removed or cannot be read */
    unsigned unreadable;
    int status;
};

static void show(struct listing *l, const struct process *p, const struct page *page)
{
    const struct stats_header *h = &page->h;
    char command[1024];

    process_command(p, command, sizeof command);
    if (l->json)
        json_array_append_new(l->json, json_pack("{s:i, s:s, s:I, s:I, s:I, s:s}", "pid",
                                                 (int)p->pid, "state", page_state_name(h->state),
                                                 "procs", (json_int_t)h->nprocs, "workers",
                                                 (json_int_t)h->workers_live, "uthreads",
                                                 (json_int_t)h->uthreads_live, "command", command));
    else
        printf("%8d  %-8s  %5u  %7u  %8u  %s\n", (int)p->pid, page_state_name(h->state), h->nprocs,
               h->workers_live, h->uthreads_live, command);
}

/* A page whose process is gone: removed if it is ours, since nobody else will, and without a word,
 * since that is no news. The owner of the directory is checked too: in a stranger's, the name could
 * become something else meanwhile. */
static void clean_stale(const struct listing *l, int directory, const char *path, const char *name,
                        const char *why)
{
    struct stat file, dir;
    bool removed = fstatat(directory, name, &file, AT_SYMLINK_NOFOLLOW) == 0 &&
                   fstat(directory, &dir) == 0 && S_ISREG(file.st_mode) &&
                   file.st_uid == geteuid() && dir.st_uid == geteuid() &&
                   unlinkat(directory, name, 0) == 0;

    if (l->verbose)
        complain("%s/%s: %s%s", path, name, why, removed ? "; removed" : "");
}

static void look_at(struct listing *l, int directory, const char *path, const char *name)
{
    struct process p;
    struct page page;
    char why[1024], file[PATH_MAX];
    pid_t pid;
    int error;

    if (!parse_pid(name, &pid))
        return;
    snprintf(file, sizeof file, "%s/%s", path, name);
    error = page_open_path(&page, file, why, sizeof why);
    if (error == -ENOENT)
        return; /* ended just now */
    if (error) {
        if (process_read(pid, &p) == -ESRCH) { /* unreadable, and nobody's */
            clean_stale(l, directory, path, name, "left by a process that has ended");
            return;
        }
        if (l->verbose)
            complain("%s", why);
        l->unreadable++;
        l->status = STATUS_NO;
        return;
    }
    if (process_read(pid, &p) || p.zombie || p.inner_pid != page.h.pid)
        clean_stale(l, directory, path, name, "left by a process that has ended");
    else if (p.start_time != page.h.start_time)
        clean_stale(l, directory, path, name, "left by an earlier process with the same id");
    else
        show(l, &p, &page);
    page_close(&page);
}

static int by_number(const struct dirent **a, const struct dirent **b)
{
    long x = atol((*a)->d_name), y = atol((*b)->d_name);

    return x < y ? -1 : x > y;
}

static void list_directory(struct listing *l, const char *path)
{
    struct dirent **names;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    int n;

    if (fd < 0) {
        if (errno != ENOENT && errno != ENOTDIR) {
            complain("%s: %s", path, strerror(errno));
            l->status = STATUS_NO;
        }
        return;
    }
    n = scandirat(fd, ".", &names, NULL, by_number);
    for (int i = 0; i < n; i++) {
        look_at(l, fd, path, names[i]->d_name);
        free(names[i]);
    }
    if (n >= 0)
        free(names);
    close(fd);
}

static int main_ps(int argc, char **argv)
{
    static const struct flag flags[] = {{"json", 0, FLAG_ALONE}, {"verbose", 'v', FLAG_ALONE}, {0}};
    struct page_directories directories;
    struct listing l = {0};
    struct args a;
    int arg;

    args_init(&a, &command_ps, flags, argc, argv);
    while ((arg = args_next(&a)) != ARG_END) {
        if (arg == ARG_STOP)
            return a.status;
        if (arg == ARG_WORD)
            return usage_error(&command_ps, "takes no argument, not %s", a.value);
        if (arg == 1)
            l.verbose = true;
        else if (!l.json)
            l.json = json_array();
    }
    if (!l.json)
        printf("%8s  %-8s  %5s  %7s  %8s  %s\n", "PID", "STATE", "PROCS", "WORKERS", "THREADS",
               "COMMAND");
    page_list_directories(&directories);
    for (unsigned i = 0; i < directories.count; i++)
        list_directory(&l, directories.path[i]);
    if (l.unreadable && !l.verbose)
        complain("%u more, whose statistics cannot be read (another version? -v tells)", l.unreadable);
    if (l.json) {
        json_dumpf(l.json, stdout, JSON_INDENT(1));
        putchar('\n');
        json_decref(l.json);
    }
    return finish_output(l.status);
}

const struct subcommand command_ps = {
    .name = "ps",
    .synopsis = "ps [--json] [-v]",
    .summary = "The processes that run under handoff",
    .help = "      --json     an array of objects\n"
            "  -v, --verbose  name what killed processes left behind\n"
            "\n"
            "Lists your processes; as root, everybody's. Statistics left by a process that was\n"
            "killed are removed, if they are yours.\n"
            "Exit status: 0; 1 something could not be read; 2 usage.\n",
    .usage_status = STATUS_USAGE,
    .main = main_ps,
};
