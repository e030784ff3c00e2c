/* Parsing of the HANDOFF_ environment; see options.h for the contract and options.def for the
 * list. One parser per KIND; nothing here knows a single option by name but STRICT, which decides
 * whether a complaint may promise the default. */
#include "options.h"

#include "base/base.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct options options;

enum option_kind {
    KIND_BOOL,
    KIND_INT,
    KIND_DURATION,
    KIND_ENUM,
    KIND_STRING,
    KIND_SIGNAL,
    KIND_DEBUG,
};

struct option_info {
    const char *name, *def, *values;
    int64_t min, max;
    enum option_kind kind;
    size_t offset;
};

static const struct option_info infos[] = {
#define OPTION(field, name, kind, def, min, max, values, help)                                     \
    {name, def, values, min, max, KIND_##kind, offsetof(struct options, field)},
#include "options.def"
#undef OPTION
};

enum { INFOS = sizeof infos / sizeof infos[0] };

static const char PREFIX[] = "HANDOFF_";
enum { PREFIX_LENGTH = sizeof PREFIX - 1 };

/* -- numbers: no strtod or strtol, whose results depend on locale and on overflow rules */

/* Digits at *text; false if there are none or they overflow. Moves *text behind them. */
static bool parse_digits(const char **text, int64_t *out)
{
    const char *p = *text;
    int64_t n = 0;

    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *p - '0', &n))
            return false;
    if (p == *text)
        return false;
    *text = p;
    *out = n;
    return true;
}

/* Letters whatever the locale is; and, since every program that is started comes here, without strcasecmp and strcspn: those, their tables
 * among them, are five pages of libc that nobody else has touched by then. */
static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool same_letters(const char *a, const char *b, size_t n)
{
    for (; n && lower(*a) == lower(*b); a++, b++, n--)
        if (!*a)
            return true;
    return !n;
}

static bool same_word(const char *a, const char *b)
{
    return same_letters(a, b, SIZE_MAX);
}

static size_t length_to(const char *text, char end)
{
    size_t n = 0;

    while (text[n] && text[n] != end)
        n++;
    return n;
}

static bool parse_number(const char *text, int64_t *out)
{
    bool negative = *text == '-';

    text += negative;
    if (!parse_digits(&text, out) || *text)
        return false;
    if (negative)
        *out = -*out;
    return true;
}

/* -- one parser per kind: NULL, or what is wrong; *out is written only when all is well */

static const char *parse_bool(const char *text, bool *out)
{
    static const char words[][6] = {"0", "1", "no", "yes", "off", "on", "false", "true"};

    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++)
        if (same_word(text, words[i])) {
            *out = i & 1;
            return NULL;
        }
    return "neither yes nor no";
}

/* Where the default is auto, 0 is only its inner form: the user writes the word. */
static bool takes_auto(const struct option_info *info)
{
    return !strcmp(info->def, "auto");
}

static const char *parse_int(const struct option_info *info, const char *text, int *out)
{
    int64_t n;

    if (takes_auto(info) && same_word(text, "auto")) {
        *out = 0;
        return NULL;
    }
    if (!parse_number(text, &n))
        return text[strspn(text + (*text == '-'), "0123456789") + (*text == '-')] || !*text
                   ? "not a number"
                   : "out of range";
    if (n < info->min || n > info->max || (takes_auto(info) && n == 0))
        return "out of range";
    *out = (int)n;
    return NULL;
}

static const struct {
    char name[3];
    int64_t ns;
} units[] = {{"s", 1000000000}, {"ms", 1000000}, {"us", 1000}, {"ns", 1}};

enum { UNITS = sizeof units / sizeof units[0] };

static const char *parse_duration(const struct option_info *info, const char *text, int64_t *out)
{
    const char *p = text;
    int64_t whole = 0, fraction = 0, scale = 1, ns;

    if (*p != '.' && !parse_digits(&p, &whole))
        return *p >= '0' && *p <= '9' ? "out of range" : "not a duration";
    if (*p == '.') {
        const char *first = ++p;

        for (; *p >= '0' && *p <= '9'; p++)
            if (scale < units[0].ns) { /* digits below a nanosecond change nothing */
                fraction = fraction * 10 + (*p - '0');
                scale *= 10;
            }
        if (p == first)
            return "not a duration";
    }
    if (!*p)
        return "no unit";
    for (unsigned i = 0; i < UNITS; i++) {
        if (strcmp(p, units[i].name))
            continue;
        if (__builtin_mul_overflow(whole, units[i].ns, &ns) ||
            __builtin_add_overflow(ns, fraction * units[i].ns / scale, &ns) || ns < info->min ||
            ns > info->max)
            return "out of range";
        *out = ns;
        return NULL;
    }
    return "not a duration";
}

/* Length of the word at the head of a list a|b|c. */
static size_t word_length(const char *list)
{
    return length_to(list, '|');
}

static const char *parse_enum(const struct option_info *info, const char *text, int *out)
{
    int index = 0;

    for (const char *p = info->values;; index++) {
        size_t n = word_length(p);

        if (strlen(text) == n && same_letters(p, text, n)) {
            *out = index;
            return NULL;
        }
        if (!p[n])
            return "not a choice";
        p += n + 1;
    }
}

static const struct {
    char name[8];
    int number;
} signal_names[] = {
    {"HUP", SIGHUP},   {"INT", SIGINT},       {"QUIT", SIGQUIT}, {"ILL", SIGILL},
    {"TRAP", SIGTRAP}, {"ABRT", SIGABRT},     {"BUS", SIGBUS},   {"FPE", SIGFPE},
    {"KILL", SIGKILL}, {"USR1", SIGUSR1},     {"SEGV", SIGSEGV}, {"USR2", SIGUSR2},
    {"PIPE", SIGPIPE}, {"ALRM", SIGALRM},     {"TERM", SIGTERM}, {"STKFLT", SIGSTKFLT},
    {"CHLD", SIGCHLD}, {"CONT", SIGCONT},     {"STOP", SIGSTOP}, {"TSTP", SIGTSTP},
    {"TTIN", SIGTTIN}, {"TTOU", SIGTTOU},     {"URG", SIGURG},   {"XCPU", SIGXCPU},
    {"XFSZ", SIGXFSZ}, {"VTALRM", SIGVTALRM}, {"PROF", SIGPROF}, {"WINCH", SIGWINCH},
    {"IO", SIGIO},     {"PWR", SIGPWR},       {"SYS", SIGSYS},
};

enum { SIGNAL_NAMES = sizeof signal_names / sizeof signal_names[0] };

/* The number behind a name without SIG, or -1. RTMIN is the C library's, above its own signals. */
static int signal_number(const char *name)
{
    int64_t n = 0;

    for (unsigned i = 0; i < SIGNAL_NAMES; i++)
        if (same_word(name, signal_names[i].name))
            return signal_names[i].number;
    if (same_letters(name, "RTMIN", 5) &&
        (!name[5] || (name[5] == '+' && name[6] != '-' && parse_number(name + 6, &n))))
        return n <= SIGRTMAX - SIGRTMIN ? SIGRTMIN + (int)n : -1;
    if (same_letters(name, "RTMAX", 5) &&
        (!name[5] || (name[5] == '-' && name[6] != '-' && parse_number(name + 6, &n))))
        return n <= SIGRTMAX - SIGRTMIN ? SIGRTMAX - (int)n : -1;
    return -1;
}

static const char *parse_signal(const struct option_info *info, const char *text, int *out)
{
    int64_t n;

    if (!parse_number(text, &n))
        n = signal_number(same_letters(text, "SIG", 3) ? text + 3 : text);
    if (n < info->min || n > info->max)
        return "not a signal";
    if (n == SIGKILL || n == SIGSTOP)
        return "a signal that no process can catch";
    if (n > SIGSYS && n < SIGRTMIN)
        return "a signal that the C library keeps for itself";
    *out = (int)n;
    return NULL;
}

static const struct debug_options DEBUG_NONE = {.schedtrace = 0, .chaos = -1, .dormant = false, .arch_prctl = false};

/* One item key or key=number of the list, `length` long. */
static const char *parse_debug_item(const char *item, size_t length, struct debug_options *out)
{
    const char *equals = memchr(item, '=', length);
    size_t key = equals ? (size_t)(equals - item) : length;
    int64_t number = 0;

    if (equals) {
        const char *p = equals + 1;

        if (!parse_digits(&p, &number) || p != item + length)
            return "a number is missing after '='";
    }
    if (key == 7 && !strncmp(item, "dormant", key)) {
        if (equals)
            return "dormant takes no number";
        out->dormant = true;
    } else if (key == 10 && !strncmp(item, "arch_prctl", key)) {
        if (equals)
            return "arch_prctl takes no number";
        out->arch_prctl = true;
    } else if (key == 10 && !strncmp(item, "schedtrace", key)) {
        if (!number)
            return "schedtrace needs =MS, 1 or more";
        out->schedtrace = number;
    } else if (key == 5 && !strncmp(item, "chaos", key)) {
        if (!equals)
            return "chaos needs =SEED";
        out->chaos = number;
    } else {
        return "not one of the known keys";
    }
    return NULL;
}

static const char *parse_debug(const char *text, struct debug_options *out)
{
    struct debug_options d = DEBUG_NONE;

    for (const char *p = text; *p;) {
        size_t n = length_to(p, ',');
        const char *wrong = parse_debug_item(p, n, &d);

        if (wrong)
            return wrong;
        p += n + (p[n] == ',');
    }
    *out = d;
    return NULL;
}

static const char *parse(const struct option_info *info, const char *text, struct options *o)
{
    void *field = (char *)o + info->offset;

    switch (info->kind) {
    case KIND_BOOL:
        return parse_bool(text, field);
    case KIND_INT:
        return parse_int(info, text, field);
    case KIND_DURATION:
        return parse_duration(info, text, field);
    case KIND_ENUM:
        return parse_enum(info, text, field);
    case KIND_SIGNAL:
        return parse_signal(info, text, field);
    case KIND_DEBUG:
        return parse_debug(text, field);
    case KIND_STRING: {
        /* A copy: programs overwrite their environment, to show a title in ps. */
        const char *copy = *text ? strdup(text) : "";
        *(const char **)field = copy ? copy : text;
        return NULL;
    }
    }
    __builtin_unreachable();
}

/* -- text out */

/* A bounded, always terminated string that is written piece by piece. */
struct text {
    char *start;
    size_t size, length;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *t, const char *format, ...)
{
    __builtin_va_list list;

    if (t->length + 1 >= t->size)
        return;
    __builtin_va_start(list, format);
    t->length += vformat(t->start + t->length, t->size - t->length, format, list);
    __builtin_va_end(list);
}

/* Text of the user's: control characters would break the one line that it goes into. */
static void put_clean(struct text *t, const char *s, size_t length)
{
    for (size_t i = 0; i < length; i++)
        put(t, "%c", (unsigned char)s[i] < ' ' || s[i] == 127 ? '?' : s[i]);
}

static void put_value(struct text *t, const char *value)
{
    enum { SHOWN = 64 };
    size_t n = strnlen(value, SHOWN + 1);

    put_clean(t, value, n > SHOWN ? SHOWN : n);
    if (n > SHOWN)
        put(t, "...");
}

/* The largest unit that the duration fills, with a fraction where it needs one. */
static void put_duration(struct text *t, int64_t ns)
{
    char digits[16];
    unsigned i = 0;
    size_t n;

    while (i < UNITS - 1 && ns < units[i].ns)
        i++;
    put(t, "%lld", (long long)(ns / units[i].ns));
    if (ns % units[i].ns) {
        n = format(digits, sizeof digits, "%lld",
                   (long long)(ns % units[i].ns + units[i].ns)); /* 1, then the padded fraction */
        while (n > 1 && digits[n - 1] == '0')
            digits[--n] = 0;
        put(t, ".%s", digits + 1);
    }
    put(t, "%s", units[i].name);
}

static void put_signal(struct text *t, int number)
{
    for (unsigned i = 0; i < SIGNAL_NAMES; i++)
        if (signal_names[i].number == number) {
            put(t, "%s", signal_names[i].name);
            return;
        }
    if (number >= SIGRTMIN)
        put(t, number > SIGRTMIN ? "RTMIN+%d" : "RTMIN", number - SIGRTMIN);
    else
        put(t, "%d", number);
}

static void put_debug(struct text *t, const struct debug_options *d)
{
    const char *comma = "";

    if (d->schedtrace) {
        put(t, "schedtrace=%lld", (long long)d->schedtrace);
        comma = ",";
    }
    if (d->chaos >= 0) {
        put(t, "%schaos=%lld", comma, (long long)d->chaos);
        comma = ",";
    }
    if (d->dormant) {
        put(t, "%sdormant", comma);
        comma = ",";
    }
    if (d->arch_prctl)
        put(t, "%sarch_prctl", comma);
}

/* A list a|b|c as a, b, c. */
static void put_list(struct text *t, const char *list)
{
    for (const char *p = list;; p++) {
        size_t n = word_length(p);

        put(t, "%.*s", (int)n, p);
        p += n;
        if (!*p)
            return;
        put(t, ", ");
    }
}

static void put_allowed(struct text *t, const struct option_info *info)
{
    switch (info->kind) {
    case KIND_BOOL:
        put(t, "0, 1 (or no, yes, off, on, false, true)");
        break;
    case KIND_INT:
        if (takes_auto(info))
            put(t, "auto, ");
        put(t, "%lld..%lld", (long long)(takes_auto(info) && !info->min ? 1 : info->min),
            (long long)info->max);
        break;
    case KIND_DURATION:
        put_duration(t, info->min);
        put(t, "..");
        put_duration(t, info->max);
        put(t, ", with its unit: ns, us, ms or s");
        break;
    case KIND_ENUM:
        put_list(t, info->values);
        break;
    case KIND_STRING:
        put(t, "any text");
        break;
    case KIND_SIGNAL:
        put(t, "0 (none), a name such as USR1 or RTMIN+3, or a number up to %lld",
            (long long)info->max);
        break;
    case KIND_DEBUG:
        put(t, "a comma-separated list of schedtrace=MS, chaos=SEED, dormant, arch_prctl");
        break;
    }
}

/* -- names */

/* Damerau-Levenshtein (restricted), three rows. Long words are compared by their heads. */
unsigned options_distance(const char *a, const char *b)
{
    enum { MOST = 31 };
    unsigned rows[3][MOST + 1];
    unsigned *before = rows[0], *above = rows[1], *row = rows[2];
    unsigned na = (unsigned)strnlen(a, MOST), nb = (unsigned)strnlen(b, MOST);

    for (unsigned j = 0; j <= nb; j++)
        before[j] = above[j] = j;
    for (unsigned i = 1; i <= na; i++) {
        unsigned *next = before;

        row[0] = i;
        for (unsigned j = 1; j <= nb; j++) {
            unsigned best = above[j - 1] + (lower(a[i - 1]) != lower(b[j - 1]));

            if (above[j] + 1 < best)
                best = above[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
                lower(a[i - 2]) == lower(b[j - 1]) && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
        before = above;
        above = row;
        row = next;
    }
    return above[nb];
}

/* The option called by the first `length` characters of `name`, or NULL. */
static const struct option_info *find(const char *name, size_t length)
{
    for (unsigned i = 0; i < INFOS; i++)
        if (strlen(infos[i].name) == length && !memcmp(infos[i].name, name, length))
            return &infos[i];
    return NULL;
}

/* Variables between the command and the library, not for users. */
static bool is_private(const char *name, size_t length)
{
    return (length == 7 && !memcmp(name, "LIBRARY", length)) ||
           (length == 9 && !memcmp(name, "KEEP_PAGE", length));
}

static void put_unknown(struct text *t, const char *name, size_t length)
{
    const struct option_info *nearest = NULL;
    unsigned best = 0;
    char head[32];

    snprintf(head, sizeof head, "%.*s", (int)(length < sizeof head ? length : sizeof head - 1),
             name);
    for (unsigned i = 0; i < INFOS; i++) {
        unsigned d = options_distance(head, infos[i].name);

        if (!nearest || d < best) {
            nearest = &infos[i];
            best = d;
        }
    }
    put(t, "%s", PREFIX);
    put_clean(t, name, length > 64 ? 64 : length);
    put(t, ": unknown; ");
    if (best <= 2 || best <= strlen(nearest->name) / 2)
        put(t, "did you mean %s%s?", PREFIX, nearest->name);
    else
        put(t, "`handoff config` lists what there is; the nearest is %s%s", PREFIX, nearest->name);
}

static void put_bad(struct text *t, const struct option_info *info, const char *value,
                    const char *wrong)
{
    put(t, "%s%s=", PREFIX, info->name);
    put_value(t, value);
    put(t, ": %s; allowed: ", wrong);
    put_allowed(t, info);
}

/* -- the interface */

enum { LINE = 512 };

static void set_defaults(struct options *o)
{
    for (unsigned i = 0; i < INFOS; i++)
        (void)parse(&infos[i], infos[i].def, o);
}

/* One HANDOFF_ variable, `entry` being what follows the prefix. The first of two with the same
 * name counts, as in getenv. */
static int parse_entry(const char *entry, uint64_t *seen, void (*complain)(const char *))
{
    char line[LINE] = "";
    struct text t = {line, sizeof line, 0};
    size_t length = length_to(entry, '=');
    const struct option_info *info = find(entry, length);
    const char *value, *wrong;

    if (!entry[length] || is_private(entry, length))
        return 0;
    if (!info) {
        put_unknown(&t, entry, length);
        complain(line);
        return 1;
    }
    value = entry + length + 1;
    if (!*value || *seen >> (info - infos) & 1)
        return 0;
    *seen |= 1ull << (info - infos);
    wrong = parse(info, value, &options);
    if (!wrong)
        return 0;
    put_bad(&t, info, value, wrong);
    if (!options.strict)
        put(&t, *info->def ? "; using %s" : "; using none", info->def);
    complain(line);
    return 1;
}

int options_parse(char *const *envp, void (*complain)(const char *line))
{
    static const char strict[] = "HANDOFF_STRICT=";
    uint64_t seen = 0;
    char *const *first;
    int complaints = 0;

    _Static_assert(INFOS <= 64, "`seen` has a bit for each");
    set_defaults(&options);
    for (first = envp; *first; first++)
        if (!strncmp(*first, PREFIX, PREFIX_LENGTH))
            break;
    for (char *const *e = first; *e; e++)
        if (!strncmp(*e, strict, sizeof strict - 1)) {
            (void)parse_bool(*e + sizeof strict - 1, &options.strict);
            break;
        }
    for (char *const *e = first; *e; e++)
        if (!strncmp(*e, PREFIX, PREFIX_LENGTH))
            complaints += parse_entry(*e + PREFIX_LENGTH, &seen, complain);
    return complaints;
}

int options_set(struct options *o, const char *name, const char *value, char *buf,
                unsigned long size)
{
    struct text t = {buf, size, 0};
    const struct option_info *info = find(name, strlen(name));
    const char *wrong;

    if (size)
        *buf = 0;
    if (!info) {
        put_unknown(&t, name, strlen(name));
        return -1;
    }
    wrong = parse(info, *value ? value : info->def, o);
    if (!wrong)
        return 0;
    put_bad(&t, info, value, wrong);
    return -1;
}

unsigned long options_allowed(const char *name, char *buf, unsigned long size)
{
    struct text t = {buf, size, 0};
    const struct option_info *info = find(name, strlen(name));

    if (size)
        *buf = 0;
    if (info)
        put_allowed(&t, info);
    return t.length;
}

static void put_field(struct text *t, const struct option_info *info, const void *field)
{
    switch (info->kind) {
    case KIND_BOOL:
        put(t, "%d", *(const bool *)field);
        break;
    case KIND_INT:
        if (takes_auto(info) && !*(const int *)field)
            put(t, "auto");
        else
            put(t, "%d", *(const int *)field);
        break;
    case KIND_DURATION:
        put_duration(t, *(const int64_t *)field);
        break;
    case KIND_ENUM: {
        const char *p = info->values;

        for (int i = *(const int *)field; i > 0; i--)
            p += word_length(p) + 1;
        put(t, "%.*s", (int)word_length(p), p);
        break;
    }
    case KIND_STRING: {
        const char *s = *(const char *const *)field;

        put_clean(t, s, strlen(s));
        break;
    }
    case KIND_SIGNAL:
        put_signal(t, *(const int *)field);
        break;
    case KIND_DEBUG:
        put_debug(t, field);
        break;
    }
}

unsigned long options_format(const struct options *o, char *buf, unsigned long size)
{
    struct text t = {buf, size, 0};

    if (size)
        *buf = 0;
    for (unsigned i = 0; i < INFOS; i++) {
        put(&t, "%s=", infos[i].name);
        put_field(&t, &infos[i], (const char *)o + infos[i].offset);
        put(&t, "\n");
    }
    return t.length;
}
