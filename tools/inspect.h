/* Findings about a command, a kernel or a process, and what they come to. */
#ifndef HANDOFF_INSPECT_H
#define HANDOFF_INSPECT_H

#include "tool.h"

#include <limits.h>

enum finding_level {
    FINDING_OK,
    FINDING_NOTE,   /* worth knowing, changes nothing */
    FINDING_NATIVE, /* keeps the program native */
    FINDING_ERROR,  /* `run` cannot even start the program, or it ends at once */
};

struct finding {
    enum finding_level level;
    char text[512];
    char advice[256]; /* what to do; empty for OK and NOTE */
};

enum { FINDINGS = 48 };

struct report {
    unsigned count;
    struct finding findings[FINDINGS]; /* more are dropped */
    int status;                        /* STATUS_OK, NO, CANNOT_RUN or NOT_FOUND: the worst found */
    bool running;                      /* it is a process, and under handoff already */
    bool harmful;                      /* preloading would break or disturb the program: do not */
    bool by_shell;                     /* no program and no #! line: execvp gives it to /bin/sh */
    char file[PATH_MAX];               /* what execvp finds for the command; or empty */
    char program[PATH_MAX];            /* the ELF file that will run, behind scripts; or empty */
};

void report_init(struct report *r);

void report_add(struct report *r, enum finding_level level, const char *advice, const char *format,
                ...) __attribute__((format(printf, 4, 5)));

/* What decides: the first of the worst findings; NULL if none keeps the program native. */
const struct finding *report_verdict(const struct report *r);

/* The file that execvp(command) would run, and everything about it. */
void inspect_command(struct report *r, const char *command);

/* An open file that is running or will be. */
void inspect_program(struct report *r, const char *path);

/* What the kernel, CPU, inherited limits and seccomp filters allow. */
void inspect_kernel(struct report *r);

/* The library and the HANDOFF_ environment; `program` for HANDOFF_MATCH. */
void inspect_setup(struct report *r, const char *program);

#endif
