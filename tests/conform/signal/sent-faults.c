/* SIGSEGV and other signals of faults that another process sends to one with threads, which compute or wait: handled, ignored or
 * deadly, as any other signal. */
#include "../t.h"

static const int numbers[] = {SIGSEGV, SIGFPE, SIGTRAP};
enum { HANDLED, IGNORED, DEFAULT, HOWS };
static int ends[2];
static volatile int hits;
static pid_t sender;

static void handler(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    CHECK_EQ(info->si_code, SI_USER);
    CHECK_EQ(info->si_pid, sender);
    hits++;
    t_write_all(ends[1], "h", 1);
}

static void *ends_it(void *arg)
{
    char byte;
    t_write_all(ends[1], "r", 1);
    CHECK_EQ(read(ends[1], &byte, 1), 1);
    CHECK_EQ(hits, (intptr_t)arg == HANDLED);
    _exit(3);
}

static void target(int number, int how, int computes)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART};
    t_bound();
    CHECK_OK(close(ends[0]));
    if (how != HANDLED)
        action.sa_handler = how == IGNORED ? SIG_IGN : SIG_DFL;
    CHECK_OK(sigaction(number, &action, NULL));
    t_go(ends_it, (void *)(intptr_t)how);
    for (;;)
        if (!computes)
            pause();
}

int main(void)
{
    char byte;
    struct rlimit no_core = {0, 0};
    CHECK_OK(setrlimit(RLIMIT_CORE, &no_core));
    sender = getpid();
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        for (int how = 0; how < HOWS; how++)
            for (int computes = 0; computes < 2; computes++) {
                t_pair(ends);
                pid_t child = fork();
                CHECK(child >= 0);
                if (child == 0)
                    target(numbers[i], how, computes);
                CHECK_OK(close(ends[1]));
                t_read_all(ends[0], &byte, 1);
                CHECK_EQ(byte, 'r');
                t_settle();
                CHECK_OK(kill(child, numbers[i]));
                if (how == HANDLED) {
                    t_read_all(ends[0], &byte, 1);
                    CHECK_EQ(byte, 'h');
                }
                if (how == DEFAULT) {
                    t_expect_signal(child, numbers[i]);
                } else {
                    t_write_all(ends[0], "x", 1);
                    t_expect_exit(child, 3);
                }
                CHECK_OK(close(ends[0]));
            }
    return 0;
}
