/* The controlling terminal: threads wait on /dev/tty and on its other name; the interrupt character is a signal for the
 * process, which a waiting reader survives, or is ended by, as its handler says; Ctrl-S stops a writer and Ctrl-Q lets it
 * go on; the hang-up ends every wait, and is SIGHUP. */
#include "../t.h"
#include <pty.h>
#include <sys/prctl.h>
#include <termios.h>

enum { LONG = 30000 };

static int tty, slave, master, said[2];
static _Atomic int interrupts, hangups;
static sigset_t interrupt, hangup;

static void on_signal(int number)
{
    char byte = 's';
    if (number == SIGHUP)
        hangups++;
    else
        interrupts++;
    if (number == SIGINT && write(said[1], &byte, 1) != 1)
        _exit(1);
}

static void handle(int number, int flags)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};
    CHECK_OK(sigaction(number, &action, NULL));
}

static void say(char what)
{
    CHECK_EQ(write(said[1], &what, 1), 1);
}

/* Word of signals may come at any time. */
static void hear(char what)
{
    char byte = 0;
    do
        CHECK_EQ(read(said[0], &byte, 1), 1);
    while (byte == 's' && byte != what);
    CHECK_EQ(byte, what);
}

static void *reads(void *arg)
{
    char line[100];
    CHECK_EQ(read(arg ? tty : slave, line, sizeof line), 5);
    CHECK_OK(memcmp(line, "line\n", 5));
    return NULL;
}

static void *interrupted(void *arg)
{
    char line[100];
    struct pollfd p = {tty, POLLIN, 0};
    CHECK_OK(pthread_sigmask(SIG_UNBLOCK, &interrupt, NULL));
    say('r');
    CHECK_ERR(arg ? poll(&p, 1, -1) : read(tty, line, sizeof line), EINTR); /* one of them comes during the wait */
    say('d');
    return NULL;
}

static void *writes(void *arg)
{
    static char text[LONG];
    memset(text, 'x', LONG);
    say('w');
    CHECK_EQ(write(tty, text, LONG), LONG);
    return arg;
}

static void *until_hangup(void *arg)
{
    char line[100];
    struct pollfd p = {slave, POLLIN, 0};
    if (arg) {
        CHECK_EQ(poll(&p, 1, -1), 1);
        CHECK(p.revents & POLLHUP);
    } else {
        ssize_t n = read(tty, line, sizeof line);
        CHECK(n == 0 || (n < 0 && errno == EIO));
    }
    return NULL;
}

/* The program that has the terminal. Who has its other end is told by `said` what to do next. */
static void has_terminal(const char *name)
{
    pthread_t one, two;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    sigemptyset(&hangup);
    sigaddset(&hangup, SIGHUP);
    CHECK_OK(prctl(PR_SET_PDEATHSIG, SIGKILL)); /* out of the group that is ended if this hangs */
    CHECK_EQ(setsid(), getpid());
    CHECK((slave = open(name, O_RDWR)) >= 0); /* the session's from now on */
    CHECK((tty = open("/dev/tty", O_RDWR)) >= 0);
    struct termios t;
    CHECK_OK(tcgetattr(tty, &t));
    t.c_lflag &= ~(tcflag_t)(ECHO | ECHOCTL);
    t.c_oflag &= ~(tcflag_t)OPOST;
    CHECK_OK(tcsetattr(tty, TCSANOW, &t));
    handle(SIGHUP, SA_RESTART);

    one = t_go(reads, "tty");
    two = t_go(reads, NULL);
    t_settle();
    say('1'); /* two lines: one for each, whichever */
    t_join(one);
    t_join(two);

    handle(SIGINT, SA_RESTART);
    one = t_go(reads, "tty");
    t_settle();
    say('2');
    t_join(one);
    CHECK_EQ(interrupts, 1);

    handle(SIGINT, 0);
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &interrupt, NULL));
    t_join(t_go(interrupted, NULL));
    t_join(t_go(interrupted, "poll"));

    say('3');
    reads("tty"); /* what came before it has stopped the terminal */
    t_join(t_go(writes, NULL));

    CHECK_OK(pthread_sigmask(SIG_BLOCK, &hangup, NULL)); /* not theirs: poll is never restarted */
    one = t_go(until_hangup, NULL);
    two = t_go(until_hangup, "poll");
    CHECK_OK(pthread_sigmask(SIG_UNBLOCK, &hangup, NULL));
    t_settle();
    say('h');
    t_join(one);
    t_join(two);
    while (hangups == 0)
        sched_yield();
    _exit(0);
}

int main(void)
{
    char name[100], block[1000];
    if (openpty(&master, &slave, name, NULL, NULL) != 0)
        t_skip("no pseudo-terminals");
    CHECK_OK(pipe(said));
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        t_bound();
        close(master);
        close(slave);
        has_terminal(name);
    }
    close(said[1]);
    hear('1');
    CHECK_EQ(write(master, "line\nline\n", 10), 10);
    hear('2');
    CHECK_EQ(write(master, "\003", 1), 1);
    hear('s'); /* the character throws away what was typed before */
    CHECK_EQ(write(master, "line\n", 5), 5);
    for (int i = 0; i < 2; i++) {
        char byte = 0;
        hear('r');
        while (byte != 'd') {
            struct pollfd p = {said[0], POLLIN, 0};
            CHECK_EQ(write(master, "\003", 1), 1);
            if (poll(&p, 1, 1) == 1)
                CHECK_EQ(read(said[0], &byte, 1), 1);
        }
    }
    hear('3');
    CHECK_EQ(write(master, "\023line\n", 6), 6);
    hear('w');
    t_settle();
    struct pollfd p = {master, POLLIN, 0};
    CHECK_EQ(poll(&p, 1, 0), 0);
    CHECK_EQ(write(master, "\021", 1), 1);
    for (int left = LONG; left > 0;) {
        ssize_t n = read(master, block, sizeof block);
        CHECK(n > 0);
        left -= (int)n;
    }
    hear('h');
    CHECK_OK(close(slave));
    CHECK_OK(close(master));
    t_expect_exit(child, 0);
    return 0;
}
