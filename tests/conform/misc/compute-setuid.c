/* Threads compute on CPUs that are short, others wake each other: whoever helps meanwhile with that changes its credentials with the
 * process, and a child forked then does without. */
#include "../t.h"
#include "../credentials.h"
#include "../crowd.h"
#include <sys/wait.h>

static void *computes(void *arg)
{
    volatile unsigned long x = 1;
    while (!stop)
        x = x * 6364136223846793005u + 1;
    return arg;
}

static void changes(void)
{
    CHECK_OK(setresgid(65534, 65534, 65534));
    CHECK_OK(setresuid(65534, 65534, 65534));
    t_all_run_as(65534);
}

static void forks(void)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        crowd(computes, computes, geteuid() == 0 ? changes : NULL);
        _exit(0);
    }
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
}

int main(void)
{
    crowd(computes, computes, forks);
    if (geteuid() == 0)
        crowd(computes, computes, changes);
    return 0;
}
