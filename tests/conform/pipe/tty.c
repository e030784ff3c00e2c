/* A reader on a pseudo-terminal waits for a line. */
#include "../t.h"
#include <pty.h>

static int master, slave;

static void *reads(void *arg)
{
    char line[100];
    CHECK_EQ(read(slave, line, sizeof line), 6);
    CHECK_OK(memcmp(line, "hello\n", 6));
    return arg;
}

int main(void)
{
    char name[100];
    if (openpty(&master, &slave, name, NULL, NULL) != 0)
        t_skip("no pseudo-terminals");
    pthread_t thread = t_go(reads, NULL);
    t_settle();
    CHECK_EQ(write(master, "hel", 3), 3);
    t_settle();
    CHECK_EQ(write(master, "lo\n", 3), 3);
    t_join(thread);
    return 0;
}
