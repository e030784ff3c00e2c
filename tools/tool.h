/* What the subcommands of `handoff` share: complaints, arguments, output, /proc, durations.
 *
 * Conventions: data goes to stdout and nothing else does; each complaint is one line on stderr and
 * says what, why and what to do. Internals return 0 or -errno.
 */
#ifndef HANDOFF_TOOL_H
#define HANDOFF_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum {
    STATUS_OK = 0,
    STATUS_NO = 1, /* the answer is no, or output or data failed */
    STATUS_USAGE = 2,
    STATUS_SELF = 125, /* `run` itself failed, as env(1) */
    STATUS_CANNOT_RUN = 126,
    STATUS_NOT_FOUND = 127,
};

/* -- subcommands: each file defines one, main.c lists them */

struct subcommand {
    const char *name;
    const char *synopsis;               /* after "handoff " */
    const char *summary;                /* one line */
    const char *help;                   /* paragraphs and options */
    int usage_status;                   /* of a usage error */
    int (*main)(int argc, char **argv); /* argv[0] is the subcommand */
};

extern const struct subcommand command_run, command_check, command_stat, command_threads,
    command_ps, command_config;

/* -- complaints */

/* "handoff: " and a line, in one write. Always returns STATUS_NO. */
int complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Of the NULL-terminated list, the word that was probably meant; NULL if none is near. */
const char *nearest_word(const char *word, const char *const *list);

/* -- arguments: long and short options, one complaint with the nearest match */

enum flag_value { FLAG_ALONE, FLAG_NEEDS, FLAG_MAY };

struct flag {
    const char *name; /* without -- ; NULL ends the array */
    char letter;      /* 0: none */
    enum flag_value value;
};

enum { ARG_END = -1, ARG_WORD = -2, ARG_STOP = -3 };

struct args {
    const struct subcommand *command;
    const struct flag *flags;
    char **argv;
    int argc, next;
    bool words_only;     /* seen -- */
    const char *letters; /* rest of a cluster such as -ab */
    const char *value;   /* of the flag, or the word */
    int status;          /* with ARG_STOP: what to exit with */
};

void args_init(struct args *a, const struct subcommand *command, const struct flag *flags, int argc,
               char **argv);

/* The next: an index into flags (a->value is its value or NULL), ARG_WORD, ARG_END, or ARG_STOP
 * after --help or a complaint. */
int args_next(struct args *a);

/* Complains about `what` with a pointer to the help; returns the command's usage status. */
int usage_error(const struct subcommand *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void print_help(const struct subcommand *command);

/* A process id: digits only, 1 or more. */
bool parse_pid(const char *text, pid_t *pid);

/* -- output */

/* Flushes stdout; `status`, or STATUS_NO with a complaint if anything was not written. A reader
 * that is gone is told of only where SIGPIPE is ignored: else that ends us, as any filter. */
int finish_output(int status);

/* Text from elsewhere as valid UTF-8 without control characters ('?' for each bad byte), always
 * terminated. Reads at most `length` bytes of `from`, to the first NUL. Returns `to`. */
char *clean_text(char *to, size_t size, const char *from, size_t length);

/* A duration for a human: 850ns, 12.3us, 4.5ms, 3.2s, 5m12s, 3h05m, 2d04h. */
char *format_duration(char *to, size_t size, uint64_t ns);

/* Seconds as "2", "0.5", or with a unit (ms, s, m); false if it is none of these or not in
 * 10 ms .. 1 day. */
bool parse_interval(const char *text, uint64_t *ns);

uint64_t now_ns(void); /* CLOCK_MONOTONIC */

/* -- processes */

struct process {
    pid_t pid;
    pid_t inner_pid; /* in its own pid namespace */
    bool zombie;
    uint64_t start_time; /* field 22 of stat */
    uid_t uids[3];       /* real, effective, saved */
    char comm[16];       /* as it is: clean before printing */
};

/* -ESRCH if there is no such process. */
int process_read(pid_t pid, struct process *p);

/* The command line, arguments joined by spaces, cleaned; [comm] if it has none. */
char *process_command(const struct process *p, char *to, size_t size);

/* -- the library */

/* Absolute path of libhandoff.so: $HANDOFF_LIBRARY, beside the executable or in the build tree,
 * then the installed one. -errno if there is none, or one that cannot be preloaded; `why` and what
 * to do are lines for the user. */
int find_library(char *to, size_t size, char *why, size_t why_size, const char **advice);

/* The system call's name, or NULL. */
const char *syscall_name(uint64_t number);

#endif
