/* A process that confines itself before its first thread: what it does not call is answered with SIGSYS, and its handler for that
 * ends it; or kills it at once. It makes threads nevertheless, whatever the call was. (Chromium's renderers: handoff's own calls killed them.) */
#include "../t.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

static void handler(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    t_fail(__FILE__, __LINE__, "SIGSYS: system call %d", info->si_syscall);
}

static void confine(unsigned call, unsigned action)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        t_skip("no seccomp filters here");
}

static pthread_barrier_t all;
static int ends[2];

static void *body(void *arg)
{
    char byte;
    CHECK(pthread_barrier_wait(&all) >= PTHREAD_BARRIER_SERIAL_THREAD);
    CHECK_EQ(read(ends[0], &byte, 1), 1);
    return arg;
}

static void threads(void)
{
    pthread_t thread[10];
    CHECK_OK(pthread_barrier_init(&all, NULL, 11));
    t_pair(ends);
    for (int i = 0; i < 10; i++)
        thread[i] = t_go(body, NULL);
    CHECK(pthread_barrier_wait(&all) >= PTHREAD_BARRIER_SERIAL_THREAD);
    t_settle();
    for (int i = 0; i < 10; i++)
        CHECK_EQ(write(ends[1], "x", 1), 1);
    for (int i = 0; i < 10; i++)
        t_join(thread[i]);
}

int main(void)
{
    static const unsigned calls[] = {
        SYS_membarrier, SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait, SYS_eventfd2, SYS_openat, SYS_mkdir,
        SYS_rt_sigtimedwait, SYS_ftruncate, SYS_rt_tgsigqueueinfo, SYS_memfd_create, SYS_sched_getaffinity,
        SYS_readlink, SYS_sigaltstack, SYS_arch_prctl, SYS_newfstatat, SYS_io_uring_setup, SYS_sched_getattr,
        SYS_getsockopt, SYS_fstat, SYS_poll, SYS_recvfrom, SYS_ioctl, SYS_fcntl, SYS_prctl, SYS_set_tid_address,
        SYS_kill, SYS_tgkill, SYS_lstat, SYS_close_range, SYS_prlimit64, SYS_getrusage, SYS_timer_create,
        SYS_getdents64, SYS_gettid, SYS_epoll_pwait2, SYS_mincore,
    };
    static const unsigned actions[] = {SECCOMP_RET_TRAP, SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_ERRNO | ENOSYS, SECCOMP_RET_KILL_PROCESS};
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    CHECK_OK(sigaction(SIGSYS, &action, NULL));
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        for (size_t k = 0; k < sizeof actions / sizeof *actions; k++) {
            if (calls[i] == SYS_prctl && actions[k] == SECCOMP_RET_KILL_PROCESS) /* the call that tells of filters */
                continue;
            pid_t child = fork();
            CHECK(child >= 0);
            if (child == 0) {
                t_bound();
                confine(calls[i], actions[k]);
                threads();
                _exit(0);
            }
            int status = t_wait(child);
            if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
                return 77;
            if (status != 0)
                t_fail(__FILE__, __LINE__, "call %u, action %#x: wait status %#x", calls[i], actions[k], status);
        }
    return 0;
}
