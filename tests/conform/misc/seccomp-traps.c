/* A process whose filter traps a call that its handler of SIGSYS answers instead (a sandbox's broker): the call's result is the
 * handler's, in a filter set before the first thread and in one set after it. */
#include "../t.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <ucontext.h>

static __thread volatile int traps;

static void handler(int number, siginfo_t *info, void *context)
{
    ucontext_t *user = context;
    (void)number;
    CHECK_EQ(info->si_code, 1); /* SYS_SECCOMP */
    CHECK_EQ(info->si_syscall, SYS_access);
    CHECK_EQ(user->uc_mcontext.gregs[REG_RAX], SYS_access);
    CHECK_EQ(strcmp((const char *)user->uc_mcontext.gregs[REG_RDI], "/somewhere"), 0);
    user->uc_mcontext.gregs[REG_RAX] = user->uc_mcontext.gregs[REG_RSI] == R_OK ? 0 : -EXDEV;
    traps++;
}

static void confine(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_access, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0)
        t_skip("no seccomp filters here");
}

static void *calls(void *arg)
{
    traps = 0;
    for (int i = 1; i <= 10; i++) {
        CHECK_ERR(access("/somewhere", F_OK), EXDEV);
        CHECK_OK(access("/somewhere", R_OK));
        CHECK_EQ(traps, 2 * i);
        sched_yield();
    }
    return arg;
}

static void *nothing(void *arg)
{
    return arg;
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    CHECK_OK(sigaction(SIGSYS, &action, NULL));
    for (int threads_first = 0; threads_first < 2; threads_first++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            t_bound();
            if (threads_first)
                t_join(t_go(nothing, NULL));
            confine();
            pthread_t one = t_go(calls, NULL), two = t_go(calls, NULL);
            calls(NULL);
            t_join(one);
            t_join(two);
            _exit(3);
        }
        int status = t_wait(child);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
            return 77;
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 3)
            t_fail(__FILE__, __LINE__, "threads first %d: wait status %#x", threads_first, status);
    }
    return 0;
}
