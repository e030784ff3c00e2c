/* A process that sees no /proc makes its first thread: text is written another way, and nothing that is looked up there is to be had. */
#include <sched.h>
#include <sys/mount.h>

#include "../t.h"

static sem_t to, back;

static void *answers(void *arg)
{
    for (int i = 0; i < 1000; i++) {
        CHECK_OK(sem_wait(&to));
        CHECK_OK(sem_post(&back));
    }
    return arg;
}

static void *nothing(void *arg)
{
    return arg;
}

int main(void)
{
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 || umount2("/proc", MNT_DETACH) != 0)
        t_skip("no mount namespace to be had");
    CHECK(access("/proc/self", F_OK) != 0);
    CHECK_OK(sem_init(&to, 0, 0));
    CHECK_OK(sem_init(&back, 0, 0));
    pthread_t thread = t_go(answers, NULL);
    for (int i = 0; i < 1000; i++) {
        CHECK_OK(sem_post(&to));
        CHECK_OK(sem_wait(&back));
    }
    t_join(thread);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        t_join(t_go(nothing, NULL));
        _exit(0);
    }
    t_expect_exit(child, 0);
    return 0;
}
