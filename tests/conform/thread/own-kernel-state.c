/* What Linux keeps per thread: changed by one, it holds for that one over its waits, for the threads it makes, and for no other.
 * Working directory (unshare CLONE_FS), personality, no_new_privs, seccomp filters, the parent-death signal. */
#include <stdbool.h>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/personality.h>
#include <sys/prctl.h>

#include "../t.h"

static char home[PATH_MAX];
static int first;
static sem_t go, back;

static void pause_a_bit(void)
{
    struct timespec tick = {0, 1000};
    nanosleep(&tick, NULL);
    CHECK_OK(sem_post(&go));
    CHECK_OK(sem_wait(&back));
    sched_yield();
}

static bool filtered(void)
{
    errno = 0;
    return syscall(SYS_sysfs, 3) == -1 && errno == EXDEV;
}

/* This thread is as the process was at first. */
static void untouched(void)
{
    char cwd[PATH_MAX];
    int signal = -1;
    CHECK(getcwd(cwd, sizeof cwd));
    CHECK_OK(strcmp(cwd, home));
    CHECK_EQ(personality(0xffffffff), first);
    CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
    CHECK_OK(prctl(PR_GET_PDEATHSIG, &signal));
    CHECK_EQ(signal, 0);
    CHECK(!filtered());
}

static void *answers(void *arg)
{
    for (int i = 0; i < 30; i++) {
        CHECK_OK(sem_wait(&go));
        untouched();
        CHECK_OK(sem_post(&back));
    }
    return arg;
}

static void changed(void)
{
    char cwd[PATH_MAX];
    CHECK(getcwd(cwd, sizeof cwd));
    CHECK_OK(strcmp(cwd, "/"));
    CHECK_EQ(personality(0xffffffff), first | ADDR_NO_RANDOMIZE);
    CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
    CHECK(filtered());
}

static void *inherits(void *arg)
{
    int signal = -1;
    changed();
    CHECK_OK(prctl(PR_GET_PDEATHSIG, &signal));
    CHECK_EQ(signal, 0);
    pause_a_bit();
    changed();
    return arg;
}

static void *changes(void *arg)
{
    int signal = 0;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sysfs, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EXDEV),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {4, code};
    CHECK_OK(unshare(CLONE_FS));
    CHECK_OK(chdir("/"));
    CHECK_EQ(personality((unsigned long)(first | ADDR_NO_RANDOMIZE)), first);
    CHECK_OK(prctl(PR_SET_PDEATHSIG, SIGUSR1));
    CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    CHECK_OK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
    for (int i = 0; i < 5; i++) {
        changed();
        CHECK_OK(prctl(PR_GET_PDEATHSIG, &signal));
        CHECK_EQ(signal, SIGUSR1);
        pause_a_bit();
    }
    t_join(t_go(inherits, NULL));
    pid_t child = fork();
    if (child == 0) {
        changed();
        _exit(0);
    }
    t_expect_exit(child, 0);
    return arg;
}

int main(void)
{
    CHECK(getcwd(home, sizeof home));
    if (strcmp(home, "/") == 0) {
        CHECK_OK(chdir("/tmp"));
        strcpy(home, "/tmp");
    }
    first = personality(0xffffffff);
    if (first & ADDR_NO_RANDOMIZE)
        t_skip("the process has ADDR_NO_RANDOMIZE already");
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 0)
        t_skip("the process has no_new_privs already");
    CHECK_OK(sem_init(&go, 0, 0));
    CHECK_OK(sem_init(&back, 0, 0));
    pthread_t helper = t_go(answers, NULL);
    for (int i = 0; i < 5; i++)
        t_join(t_go(changes, NULL));
    t_join(helper);
    untouched();
    return 0;
}
