/* handoff config: the options, from the same table that the library is made from. */
#include "page_reader.h"
#include "shim/options.h"

#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

struct option_text {
    const char *name, *kind, *def, *help;
};

static const struct option_text texts[] = {
#define OPTION(field, name, kind, def, min, max, values, help) {name, #kind, def, help},
#include "shim/options.def"
#undef OPTION
};

enum { OPTIONS = sizeof texts / sizeof texts[0] };

enum output { OUTPUT_TEXT, OUTPUT_JSON, OUTPUT_NAMES, OUTPUT_MARKDOWN, OUTPUT_MAN };

static const char *or_none(const char *value)
{
    return *value ? value : "-";
}

/* The value of `name` in NAME=VALUE lines, clean; empty if it is not there. */
static char *value_in(const char *lines, const char *name, char *to, size_t size)
{
    size_t length = strlen(name);

    *to = 0;
    for (const char *p = lines; *p;) {
        size_t n = strcspn(p, "\n");

        if (n > length && !strncmp(p, name, length) && p[length] == '=')
            return clean_text(to, size, p + length + 1, n - length - 1);
        p += n + (p[n] == '\n');
    }
    return to;
}

static char *kind_text(const char *kind, char *to, size_t size)
{
    size_t i;

    for (i = 0; kind[i] && i + 1 < size; i++)
        to[i] = (char)tolower((unsigned char)kind[i]);
    to[i] = 0;
    return to;
}

/* -- the five outputs */

static void print_table(const char *lines)
{
    char value[512];

    printf("%-20s %-14s %-8s %s\n", "NAME", "VALUE", "DEFAULT", "MEANING");
    for (unsigned i = 0; i < OPTIONS; i++)
        printf("HANDOFF_%-12s %-14s %-8s %s\n", texts[i].name,
               or_none(value_in(lines, texts[i].name, value, sizeof value)), or_none(texts[i].def),
               texts[i].help);
}

static void print_one(unsigned i, const char *lines)
{
    char value[512], allowed[512];

    options_allowed(texts[i].name, allowed, sizeof allowed);
    printf("HANDOFF_%s\n  %s\n  value:   %s\n  default: %s\n  allowed: %s\n", texts[i].name,
           texts[i].help, or_none(value_in(lines, texts[i].name, value, sizeof value)),
           or_none(texts[i].def), allowed);
}

static void print_json(int only, const char *lines)
{
    json_t *all = json_array();
    char value[512], allowed[512], kind[16];

    for (unsigned i = 0; i < OPTIONS; i++) {
        if (only >= 0 && (unsigned)only != i)
            continue;
        options_allowed(texts[i].name, allowed, sizeof allowed);
        json_array_append_new(
            all, json_pack("{s:s+, s:s, s:s, s:s, s:s, s:s}", "name", "HANDOFF_", texts[i].name,
                           "kind", kind_text(texts[i].kind, kind, sizeof kind), "value",
                           value_in(lines, texts[i].name, value, sizeof value), "default",
                           texts[i].def, "allowed", allowed, "help", texts[i].help));
    }
    json_dumpf(all, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(all);
}

static void print_markdown(void)
{
    char allowed[512];

    printf("# Options\n"
           "\n"
           "<!-- Made by `handoff config --markdown` from shim/options.def. Do not edit: a test "
           "compares. -->\n"
           "\n"
           "Options are environment variables; `handoff run -o NAME=VALUE CMD` sets one for a "
           "command.\n"
           "They are read once, while the program loads. `handoff config` shows the values in "
           "effect here,\n"
           "`handoff config PID` those of a process.\n"
           "\n"
           "A bad value or an unknown `HANDOFF_` name is reported in one line and the default "
           "used; with\n"
           "`HANDOFF_STRICT=1` the program exits with status 125 instead, and so does "
           "`handoff run -o` with such a one. An empty value counts as unset.\n"
           "\n"
           "`HANDOFF_LIBRARY`, read by the `handoff` command only, is the path of "
           "`libhandoff.so` to use.\n");
    for (unsigned i = 0; i < OPTIONS; i++) {
        options_allowed(texts[i].name, allowed, sizeof allowed);
        printf("\n## HANDOFF_%s\n\n%c%s.\n\n- Default: %s%s%s\n- Allowed: %s\n", texts[i].name,
               toupper((unsigned char)texts[i].help[0]), texts[i].help + 1,
               *texts[i].def ? "`" : "", *texts[i].def ? texts[i].def : "none",
               *texts[i].def ? "`" : "", allowed);
    }
}

/* The list of the manual page, mdoc(7). */
static void print_man(void)
{
    char allowed[512];

    puts(".Bl -tag -width Ds");
    for (unsigned i = 0; i < OPTIONS; i++) {
        options_allowed(texts[i].name, allowed, sizeof allowed);
        printf(".It Ev HANDOFF_%s\n%c%s.\nAllowed: %s.\nDefault: %s.\n", texts[i].name,
               toupper((unsigned char)texts[i].help[0]), texts[i].help + 1, allowed,
               *texts[i].def ? texts[i].def : "none");
    }
    puts(".El");
}

/* -- the command */

/* The option called `word`, with or without HANDOFF_, in any case; complains if there is none. */
static int find_option(const char *word)
{
    const char *names[OPTIONS + 1];
    const char *nearest;

    if (!strncasecmp(word, "HANDOFF_", 8))
        word += 8;
    for (unsigned i = 0; i < OPTIONS; i++) {
        if (!strcasecmp(word, texts[i].name))
            return (int)i;
        names[i] = texts[i].name;
    }
    names[OPTIONS] = NULL;
    nearest = nearest_word(word, names);
    if (nearest)
        complain("no option HANDOFF_%s; did you mean HANDOFF_%s?", word, nearest);
    else
        complain("no option HANDOFF_%s; `handoff config` lists them", word);
    return -1;
}

static int lines_of_process(pid_t pid, char *lines, size_t size)
{
    struct process p;
    struct page page;
    char why[1024];

    if (process_read(pid, &p) || p.zombie)
        return complain("no process %d", (int)pid);
    if (page_open(&page, &p, why, sizeof why))
        return complain("%s", why);
    snprintf(lines, size, "%s", page.h.options);
    page_close(&page);
    return 0;
}

static void warn(const char *line)
{
    complain("%s", line);
}

static void ignore(const char *line)
{
    (void)line;
}

static void print(enum output output, int only, const char *lines)
{
    switch (output) {
    case OUTPUT_TEXT:
        if (only >= 0)
            print_one((unsigned)only, lines);
        else
            print_table(lines);
        break;
    case OUTPUT_JSON:
        print_json(only, lines);
        break;
    case OUTPUT_NAMES:
        for (unsigned i = 0; i < OPTIONS; i++)
            puts(texts[i].name);
        break;
    case OUTPUT_MARKDOWN:
        print_markdown();
        break;
    case OUTPUT_MAN:
        print_man();
        break;
    }
}

static int main_config(int argc, char **argv)
{
    static const struct flag flags[] = {{"json", 0, FLAG_ALONE},
                                        {"names", 0, FLAG_ALONE},
                                        {"markdown", 0, FLAG_ALONE},
                                        {"man", 0, FLAG_ALONE},
                                        {0}};
    enum output output = OUTPUT_TEXT;
    char lines[8192] = "";
    struct args a;
    const char *word = NULL;
    int arg, only = -1;
    pid_t pid;

    args_init(&a, &command_config, flags, argc, argv);
    while ((arg = args_next(&a)) != ARG_END) {
        if (arg == ARG_STOP)
            return a.status;
        if (arg != ARG_WORD)
            output = (enum output)(arg + 1);
        else if (word)
            return usage_error(&command_config, "one NAME or PID at a time, not also %s", a.value);
        else
            word = a.value;
    }
    if (word && parse_pid(word, &pid)) {
        if (lines_of_process(pid, lines, sizeof lines))
            return STATUS_NO;
    } else {
        if (word && (only = find_option(word)) < 0)
            return STATUS_USAGE;
        options_parse(environ, output <= OUTPUT_JSON ? warn : ignore);
        options_format(&options, lines, sizeof lines);
    }
    print(output, only, lines);
    return finish_output(STATUS_OK);
}

const struct subcommand command_config = {
    .name = "config",
    .synopsis = "config [NAME|PID] [--json|--names|--markdown]",
    .summary = "The options: their values here or in a process, defaults, what is allowed",
    .help = "Without an argument, every option with the value it has in this environment; with\n"
            "NAME, all about one; with PID, the values that the process was started with.\n"
            "\n"
            "      --json      an array of objects\n"
            "      --names     the bare names\n"
            "      --markdown  the text of docs/options.md\n"
            "      --man       the list in the manual page\n"
            "\n"
            "Exit status: 0; 1 there is no such process or it has no statistics; 2 usage.\n",
    .usage_status = STATUS_USAGE,
    .main = main_config,
};
