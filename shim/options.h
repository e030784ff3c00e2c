/* The options: parsed once, from the environment, while the library loads.
 *
 * Context: options_parse runs in the constructor, as ordinary user code (libc may be
 * used); afterwards struct options is read-only and may be read from anywhere.
 */
#ifndef HANDOFF_OPTIONS_H
#define HANDOFF_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum option_log { LOG_NONE, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

struct debug_options {
    int64_t schedtrace; /* period in ms; 0: off */
    int64_t chaos;      /* seed; -1: off */
    bool dormant;       /* log even while dormant */
    bool arch_prctl;    /* the FS base by system calls (arch/x86_64/bases.h) */
};

#define OPTION_CTYPE_BOOL     bool
#define OPTION_CTYPE_INT      int
#define OPTION_CTYPE_DURATION int64_t
#define OPTION_CTYPE_ENUM     int
#define OPTION_CTYPE_STRING   const char *
#define OPTION_CTYPE_SIGNAL   int
#define OPTION_CTYPE_DEBUG    struct debug_options

struct options {
#define OPTION(field, name, kind, def, min, max, values, help) OPTION_CTYPE_##kind field;
#include "options.def"
#undef OPTION
};

extern struct options options;

/* Fill `options` from `envp` (NAME=VALUE strings, as environ). Each bad value or unknown
 * HANDOFF_ name calls `complain` with one line (no newline, no "handoff: " before it): the
 * variable, the value, what is allowed; or the nearest known name. The default is then used.
 * An empty value counts as unset. HANDOFF_LIBRARY (read by the command)
 * and HANDOFF_KEEP_PAGE=PID (set by `handoff run --stats`: the process PID leaves its page when
 * it ends, for the command to read and remove) are no options and passed over.
 * The strings in `options` point into envp. Returns the number of complaints. */
int options_parse(char *const *envp, void (*complain)(const char *line));

/* Parse one NAME=VALUE (NAME without HANDOFF_) into *o; as options_parse otherwise.
 * Returns 0, or -1 with the line in buf. For `handoff run -o` and `handoff config`. */
int options_set(struct options *o, const char *name, const char *value, char *buf, unsigned long size);

/* What the option `name` (without HANDOFF_) allows, as one phrase; returns its length, 0 if there
 * is no such option. */
unsigned long options_allowed(const char *name, char *buf, unsigned long size);

/* Edits between two words, case ignored: one letter added, dropped, changed, or two swapped. The
 * "did you mean" of the library and of the command. */
unsigned options_distance(const char *a, const char *b);

/* Write every option as NAME=VALUE lines (effective values) into buf; returns the length. */
unsigned long options_format(const struct options *o, char *buf, unsigned long size);

#endif
