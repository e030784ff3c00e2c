/* A thread in the background reads from its terminal: the process is stopped, and reads on when it is continued in the foreground; a
 * handler of SIGTTIN ends the read instead; who ignores the signal is told EIO. */
#include "../t.h"
#include <pty.h>
#include <utmp.h>

enum { STOPS, HANDLES, IGNORES };
static int master, slave;

static void on_signal(int number)
{
    (void)number;
}

static void *reads(void *arg)
{
    char byte = 0;
    int what = (int)(intptr_t)arg;
    if (what == STOPS) {
        CHECK_EQ(read(0, &byte, 1), 1);
        CHECK_EQ(byte, 'a');
    } else
        CHECK_ERR(read(0, &byte, 1), what == HANDLES ? EINTR : EIO);
    return NULL;
}

static void in_background(int what)
{
    struct sigaction action = {.sa_handler = what == HANDLES ? on_signal : SIG_IGN};
    t_bound();
    CHECK_OK(setpgid(0, 0));
    if (what == HANDLES || what == IGNORES)
        CHECK_OK(sigaction(SIGTTIN, &action, NULL));
    t_join(t_go(reads, (void *)(intptr_t)what));
    _exit(0);
}

/* The leader of the session, and its terminal's foreground. */
static void leads(int what)
{
    int status;
    t_bound();
    CHECK_OK(close(master));
    CHECK_OK(login_tty(slave));
    signal(SIGTTOU, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        in_background(what);
    }
    if (what == STOPS) {
        CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
        CHECK(WIFSTOPPED(status));
        CHECK_EQ(WSTOPSIG(status), SIGTTIN);
        CHECK_OK(tcsetpgrp(0, child));
        CHECK_OK(kill(child, SIGCONT));
    }
    t_expect_exit(child, 0);
    _exit(0);
}

static void case_of(int what)
{
    CHECK_OK(openpty(&master, &slave, NULL, NULL, NULL));
    CHECK_EQ(write(master, "a\n", 2), 2);
    pid_t leader = fork();
    CHECK(leader >= 0);
    if (leader == 0)
        leads(what);
    CHECK_OK(close(slave));
    t_expect_exit(leader, 0);
    CHECK_OK(close(master));
}

int main(void)
{
    case_of(STOPS);
    case_of(HANDLES);
    case_of(IGNORES);
    return 0;
}
