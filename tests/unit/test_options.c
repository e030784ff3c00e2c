/* The options: what each kind takes and refuses, and the words of the complaints. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "shim/options.h"

static char lines[8][600];
static int count;

static void collect(const char *line)
{
    if (count < 8)
        snprintf(lines[count], sizeof lines[0], "%s", line);
    count++;
}

static int parse_list(char *const *environment)
{
    count = 0;
    memset(lines, 0, sizeof lines);
    return options_parse(environment, collect);
}

#define PARSE(...) parse_list((char *const[]){__VA_ARGS__, NULL})

static int set(const char *name, const char *value)
{
    char line[600];

    return options_set(&options, name, value, line, sizeof line);
}

static const char *formatted(const char *name)
{
    static char buf[4096], value[256];
    const char *p;

    options_format(&options, buf, sizeof buf);
    p = strstr(buf, name);
    cr_assert(p != NULL);
    snprintf(value, sizeof value, "%.*s", (int)strcspn(p, "\n"), p);
    return value;
}

Test(options, defaults_without_any_variable)
{
    cr_assert(eq(int, PARSE("PATH=/bin", "HANDOFFS=1", "HANDOFF=2"), 0));
    cr_assert(options.enable);
    cr_assert(eq(int, options.procs, 0));
    cr_assert(eq(int, options.max_workers, 1024));
    cr_assert(eq(i64, options.retake, 20000));
    cr_assert(eq(i64, options.preempt, 10000000));
    cr_assert(eq(int, options.log, LOG_WARN));
    cr_assert(eq(str, (char *)options.match, ""));
    cr_assert(eq(int, options.dump_signal, 0));
    cr_assert(eq(i64, options.debug.chaos, -1));
    cr_assert(eq(i64, options.debug.schedtrace, 0));
    cr_assert(not(options.debug.dormant));
}

Test(options, every_default_formats_to_itself)
{
    static const struct {
        const char *name, *text;
    } defaults[] = {
#define OPTION(field, name, kind, def, min, max, values, help) {name, def},
#include "shim/options.def"
#undef OPTION
    };

    PARSE("A=b");
    for (size_t i = 0; i < sizeof defaults / sizeof defaults[0]; i++) {
        char line[128];

        snprintf(line, sizeof line, "%s=%s", defaults[i].name, defaults[i].text);
        cr_assert(eq(str, (char *)formatted(defaults[i].name), line));
    }
}

Test(options, parsing_starts_from_the_defaults_again)
{
    PARSE("HANDOFF_PROCS=7", "HANDOFF_DEBUG=chaos=3");
    cr_assert(eq(int, options.procs, 7));
    PARSE("A=b");
    cr_assert(eq(int, options.procs, 0));
    cr_assert(eq(i64, options.debug.chaos, -1));
}

Test(options, a_good_value_of_each_kind)
{
    cr_assert(eq(int,
                 PARSE("HANDOFF_ENABLE=off", "HANDOFF_PROCS=2", "HANDOFF_RETAKE=1.5ms",
                       "HANDOFF_LOG=Debug", "HANDOFF_MATCH=a*,b", "HANDOFF_DUMP_SIGNAL=SIGUSR1",
                       "HANDOFF_DEBUG=schedtrace=1000,chaos=0,dormant,arch_prctl"),
                 0));
    cr_assert(not(options.enable));
    cr_assert(eq(int, options.procs, 2));
    cr_assert(eq(i64, options.retake, 1500000));
    cr_assert(eq(int, options.log, LOG_DEBUG));
    cr_assert(eq(str, (char *)options.match, "a*,b"));
    cr_assert(eq(int, options.dump_signal, SIGUSR1));
    cr_assert(eq(i64, options.debug.schedtrace, 1000));
    cr_assert(eq(i64, options.debug.chaos, 0));
    cr_assert(options.debug.dormant);
    cr_assert(options.debug.arch_prctl);
    cr_assert(eq(str, (char *)formatted("RETAKE"), "RETAKE=1.5ms"));
    cr_assert(eq(str, (char *)formatted("LOG"), "LOG=debug"));
    cr_assert(eq(str, (char *)formatted("DUMP_SIGNAL"), "DUMP_SIGNAL=USR1"));
    cr_assert(eq(str, (char *)formatted("DEBUG"), "DEBUG=schedtrace=1000,chaos=0,dormant,arch_prctl"));
}

Test(options, a_bad_value_is_one_line_and_the_default)
{
    cr_assert(eq(int, PARSE("HANDOFF_PROCS=abc"), 1));
    cr_assert(
        eq(str, lines[0], "HANDOFF_PROCS=abc: not a number; allowed: auto, 1..1024; using auto"));
    cr_assert(eq(int, options.procs, 0));
    cr_assert(eq(int, PARSE("HANDOFF_RETAKE=20"), 1));
    cr_assert(eq(str, lines[0],
                 "HANDOFF_RETAKE=20: no unit; allowed: 1us..10s, with its unit: ns, us, ms or s; "
                 "using 20us"));
    cr_assert(eq(i64, options.retake, 20000));
    cr_assert(eq(int, PARSE("HANDOFF_LOG=loud"), 1));
    cr_assert(eq(str, lines[0],
                 "HANDOFF_LOG=loud: not a choice; allowed: none, error, warn, info, debug; using "
                 "warn"));
}

Test(options, strict_promises_no_default)
{
    cr_assert(eq(int, PARSE("HANDOFF_PROCS=abc", "HANDOFF_STRICT=1"), 1));
    cr_assert(options.strict);
    cr_assert(eq(str, lines[0], "HANDOFF_PROCS=abc: not a number; allowed: auto, 1..1024"));
}

Test(options, an_unknown_name_gets_the_nearest)
{
    cr_assert(eq(int, PARSE("HANDOFF_PROC=3"), 1));
    cr_assert(eq(str, lines[0], "HANDOFF_PROC: unknown; did you mean HANDOFF_PROCS?"));
    PARSE("HANDOFF_PRCOS=3");
    cr_assert(eq(str, lines[0], "HANDOFF_PRCOS: unknown; did you mean HANDOFF_PROCS?"));
    PARSE("HANDOFF_MAXWORKERS=3");
    cr_assert(eq(str, lines[0], "HANDOFF_MAXWORKERS: unknown; did you mean HANDOFF_MAX_WORKERS?"));
    PARSE("HANDOFF_XYZZY_FROBNICATE_THE_LOT=3");
    cr_assert(strstr(lines[0], "HANDOFF_XYZZY_FROBNICATE_THE_LOT: unknown; `handoff config`") !=
              NULL);
}

Test(options, the_commands_own_variable_is_no_option)
{
    cr_assert(eq(int, PARSE("HANDOFF_LIBRARY=/x/libhandoff.so", "HANDOFF_KEEP_PAGE=12"), 0));
}

Test(options, an_empty_value_counts_as_unset)
{
    cr_assert(eq(int, PARSE("HANDOFF_PROCS=", "HANDOFF_LOG="), 0));
    cr_assert(eq(int, options.procs, 0));
}

Test(options, the_first_of_two_equal_names_counts)
{
    cr_assert(eq(int, PARSE("HANDOFF_PROCS=3", "HANDOFF_PROCS=4"), 0));
    cr_assert(eq(int, options.procs, 3));
}

Test(options, control_characters_and_length_cannot_break_the_line)
{
    char value[3000] = "HANDOFF_PROCS=\n\033[31m";

    memset(value + strlen(value), 'x', 2900);
    cr_assert(eq(int, PARSE(value), 1));
    cr_assert(strpbrk(lines[0], "\n\033") == NULL);
    cr_assert(lt(sz, strlen(lines[0]), 200));
    cr_assert(strstr(lines[0], "...: not a number; allowed: auto, 1..1024") != NULL);
}

Test(options, numbers)
{
    static const char *const good[] = {"1", "1024", "auto", "AUTO", "007"};
    static const char *const bad[] = {
        "0", "-1", "1025", "99999999999999999999", "1.5", "1 ", " 1", "0x10", "+1", "1e3", "--1"};

    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_assert(zero(int, set("PROCS", good[i])), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert(eq(int, set("PROCS", bad[i]), -1), "%s", bad[i]);
    cr_assert(eq(int, set("MAX_WORKERS", "auto"), -1));
    cr_assert(eq(int, set("MAX_WORKERS", "0"), -1));
}

Test(options, durations)
{
    static const struct {
        const char *text;
        int64_t ns;
    } good[] = {{"20us", 20000},      {"1.5ms", 1500000},
                {"1s", 1000000000},   {"1000ns", 1000},
                {".5ms", 500000},     {"10s", 10000000000},
                {"0.0000015s", 1500}, {"1.0000000000000000000001us", 1000}};
    static const char *const bad[] = {"20",
                                      "us",
                                      "1.us",
                                      "1,5ms",
                                      "20 us",
                                      "20US",
                                      "20m",
                                      "-1us",
                                      "11s",
                                      "999ns",
                                      "0us",
                                      "nan",
                                      "1e3us",
                                      "99999999999999999999s",
                                      "9223372036854775807s",
                                      "."};

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        cr_assert(zero(int, set("RETAKE", good[i].text)), "%s", good[i].text);
        cr_assert(eq(i64, options.retake, good[i].ns), "%s", good[i].text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert(eq(int, set("RETAKE", bad[i]), -1), "%s", bad[i]);
}

Test(options, a_formatted_duration_parses_to_itself)
{
    PARSE("A=b");
    for (int64_t ns = 1000; ns < 10000000000; ns = ns * 7 / 3 + 1) {
        options.retake = ns;
        char value[64];

        snprintf(value, sizeof value, "%s", formatted("RETAKE") + strlen("RETAKE="));
        cr_assert(zero(int, set("RETAKE", value)), "%s", value);
        cr_assert(eq(i64, options.retake, ns), "%s", value);
    }
}

Test(options, signals)
{
    static const struct {
        const char *text;
        int number;
    } good[] = {{"0", 0},       {"USR1", SIGUSR1}, {"SIGUSR2", SIGUSR2}, {"sigquit", SIGQUIT},
                {"10", 10},     {"64", 64},        {"RTMIN", -1},        {"SIGRTMIN+3", -2},
                {"RTMAX-1", 63}};
    static const char *const bad[] = {"KILL",   "STOP",       "9",       "65",
                                      "-1",     "32",         "RTMIN-1", "RTMIN+99",
                                      "RTMIN+", "SIGSIGUSR1", "FOO",     "RTMIN+-1"};

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int want = good[i].number == -1   ? SIGRTMIN
                   : good[i].number == -2 ? SIGRTMIN + 3
                                          : good[i].number;

        cr_assert(zero(int, set("DUMP_SIGNAL", good[i].text)), "%s", good[i].text);
        cr_assert(eq(int, options.dump_signal, want), "%s", good[i].text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert(eq(int, set("DUMP_SIGNAL", bad[i]), -1), "%s", bad[i]);
}

Test(options, debug_lists)
{
    static const char *const bad[] = {
        "chaos",         "schedtrace", "schedtrace=0", "chaos=x", "dormant=1", "arch_prctl=1",
        "schedtraces=1", "chaos=",     "chaos=-1",     "dorm",    "=1"};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert(eq(int, set("DEBUG", bad[i]), -1), "%s", bad[i]);
    cr_assert(zero(int, set("DEBUG", "chaos=42")));
    cr_assert(eq(i64, options.debug.chaos, 42));
    cr_assert(eq(i64, options.debug.schedtrace, 0));
}

Test(options, a_refused_value_changes_nothing)
{
    PARSE("A=b");
    set("DEBUG", "chaos=1");
    set("DEBUG", "dormant,chaos");
    cr_assert(eq(i64, options.debug.chaos, 1));
    cr_assert(not(options.debug.dormant));
}

Test(options, format_fits_any_buffer)
{
    char buf[64];

    PARSE("A=b");
    for (unsigned long size = 0; size <= sizeof buf; size++) {
        memset(buf, 'x', sizeof buf);
        unsigned long n = options_format(&options, buf, size);

        cr_assert(size ? n < size && strlen(buf) == n : n == 0);
    }
}

Test(options, distance)
{
    cr_assert(eq(u32, options_distance("procs", "PROCS"), 0));
    cr_assert(eq(u32, options_distance("proc", "procs"), 1));
    cr_assert(eq(u32, options_distance("prcos", "procs"), 1));
    cr_assert(eq(u32, options_distance("", "procs"), 5));
    cr_assert(eq(u32, options_distance("kitten", "sitting"), 3));
}

Test(options, text_outlives_the_environment)
{
    char entry[] = "HANDOFF_LOG_FILE=/tmp/log";

    cr_assert(eq(int, PARSE(entry), 0));
    memset(entry, 'x', sizeof entry - 1); /* as programs do that show a title in ps */
    cr_assert(eq(str, (char *)options.log_file, "/tmp/log"));
}
