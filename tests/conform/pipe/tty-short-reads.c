/* A raw terminal that wants five characters at least (VMIN), and a read of two: it returns when two are there, though poll does not tell
 * of them. */
#include "../t.h"
#include <pty.h>
#include <termios.h>

static int master, slave;

static void *reads_two(void *arg)
{
    char two[2];
    CHECK_EQ(read(slave, two, 2), 2);
    CHECK_EQ(two[0], 'a');
    return arg;
}

int main(void)
{
    struct termios t;
    CHECK_OK(openpty(&master, &slave, NULL, NULL, NULL));
    CHECK_OK(tcgetattr(slave, &t));
    cfmakeraw(&t);
    t.c_cc[VMIN] = 5;
    t.c_cc[VTIME] = 0;
    CHECK_OK(tcsetattr(slave, TCSANOW, &t));
    pthread_t reader = t_go(reads_two, NULL);
    CHECK_EQ(write(master, "a", 1), 1);
    t_settle();
    CHECK_EQ(write(master, "b", 1), 1);
    t_join(reader);
    return 0;
}
