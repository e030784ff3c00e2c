/* A thread that a library makes in its constructor is like those of a program that makes its first in main: the ids of
 * both are of the same kind. (Natively they are below pid_max, at most 2^22; handoff's user threads are above that. A
 * process that stayed native because of the library's thread had the wrong one.) */
#include "../t.h"

pid_t early_thread(void);

static void *body(void *arg)
{
    *(pid_t *)arg = (pid_t)syscall(SYS_gettid);
    return NULL;
}

int main(int argc, char **argv)
{
    pid_t id = 0;
    const char *virtual = getenv("CONFORM_EARLY");
    if (virtual) {
        CHECK_EQ(early_thread() > 1 << 22, atoi(virtual));
        t_join(t_go(body, &id));
        CHECK_EQ(id > 1 << 22, atoi(virtual));
        return 0;
    }
    t_join(t_go(body, &id));
    CHECK_OK(setenv("CONFORM_EARLY", id > 1 << 22 ? "1" : "0", 1));
    execv("/proc/self/exe", argv);
    (void)argc;
    CHECK(!"execv");
}
