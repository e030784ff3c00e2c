/* exit() in a thread runs the atexit handlers once, flushes stdio and gives the status; _exit in a
 * thread does neither. */
#include "../t.h"

static int status, hard;

static void at_end(void)
{
    fputs("handler ", stdout);
}

static void *ends(void *arg)
{
    fputs("text ", stdout);
    if (hard)
        _exit(status);
    exit(status);
    return arg;
}

int main(void)
{
    for (int i = 0; i < 4; i++) {
        int tube[2];
        CHECK_OK(pipe(tube));
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            t_bound();
            dup2(tube[1], 1);
            close(tube[0]);
            close(tube[1]);
            status = 30 + i;
            hard = i % 2;
            CHECK_OK(atexit(at_end));
            t_go(ends, NULL);
            pause();
        }
        close(tube[1]);
        char text[100] = "";
        ssize_t n, all = 0;
        while ((n = read(tube[0], text + all, sizeof text - 1 - (size_t)all)) > 0)
            all += n;
        close(tube[0]);
        t_expect_exit(pid, 30 + i);
        CHECK_OK(strcmp(text, i % 2 ? "" : "text handler "));
    }
    return 0;
}
