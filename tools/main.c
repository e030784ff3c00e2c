/* handoff: the command. Finds the subcommand and gives it the rest. */
#include "tool.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef HANDOFF_VERSION
#define HANDOFF_VERSION "unknown"
#endif

static const struct subcommand *const commands[] = {
    &command_run, &command_check, &command_stat, &command_threads, &command_ps, &command_config,
};

enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void print_overview(FILE *to)
{
    fprintf(to, "usage: handoff SUBCOMMAND ...\n"
                "Runs unmodified pthread programs M:N: many user threads on a few kernel threads.\n"
                "\n");
    for (unsigned i = 0; i < COMMANDS; i++)
        fprintf(to, "  handoff %s\n      %s\n", commands[i]->synopsis, commands[i]->summary);
    fprintf(to, "\n"
                "  handoff help SUBCOMMAND      more about one of these\n"
                "  handoff --version\n");
}

static const struct subcommand *find_command(const char *name)
{
    for (unsigned i = 0; i < COMMANDS; i++)
        if (!strcmp(commands[i]->name, name))
            return commands[i];
    return NULL;
}

static int unknown_command(const char *name)
{
    const char *names[COMMANDS + 2];
    const char *nearest;

    for (unsigned i = 0; i < COMMANDS; i++)
        names[i] = commands[i]->name;
    names[COMMANDS] = "help";
    names[COMMANDS + 1] = NULL;
    nearest = nearest_word(name, names);
    if (nearest)
        complain("unknown subcommand %s; did you mean handoff %s?", name, nearest);
    else
        complain("unknown subcommand %s; handoff --help lists them (to start a program: handoff "
                 "run %s)",
                 name, name);
    return STATUS_USAGE;
}

static int show_help(const char *name)
{
    const struct subcommand *c = name ? find_command(name) : NULL;

    if (name && !c)
        return unknown_command(name);
    if (c)
        print_help(c);
    else
        print_overview(stdout);
    return finish_output(STATUS_OK);
}

/* A caller may have closed some of the first three descriptors. Hold their places with one that
 * refuses writes and reads, so that no file of ours gets there, and leave an exec'ed program what
 * the caller gave. */
static void hold_standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0) {
            int got = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

            if (got != fd && got >= 0)
                close(got);
        }
}

static int global_option(const char *option)
{
    static const char *const names[] = {"help", "version", NULL};
    const char *nearest;

    if (!strcmp(option, "--help") || !strcmp(option, "-h"))
        return show_help(NULL);
    if (!strcmp(option, "--version") || !strcmp(option, "-V")) {
        puts("handoff " HANDOFF_VERSION);
        return finish_output(STATUS_OK);
    }
    nearest = nearest_word(option + strspn(option, "-"), names);
    if (nearest)
        complain("unknown option %s; did you mean --%s?", option, nearest);
    else
        complain("unknown option %s before a subcommand; see handoff --help", option);
    return STATUS_USAGE;
}

int main(int argc, char **argv)
{
    const struct subcommand *c;

    hold_standard_descriptors();
    if (argc < 2) {
        complain("a subcommand is missing; see handoff --help");
        return STATUS_USAGE;
    }
    c = find_command(argv[1]);
    if (c)
        return c->main(argc - 1, argv + 1);
    if (argv[1][0] == '-')
        return global_option(argv[1]);
    if (!strcmp(argv[1], "help"))
        return show_help(argv[2]);
    return unknown_command(argv[1]);
}
