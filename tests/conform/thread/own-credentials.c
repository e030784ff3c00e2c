/* Capabilities and the file system uid are of one thread (unlike setuid, for which glibc sees to all). */
#include <linux/capability.h>
#include <sys/fsuid.h>

#include "../t.h"

static sem_t go, back;

static uint32_t effective(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    CHECK_OK((int)syscall(SYS_capget, &header, data));
    return data[0].effective;
}

static void *others(void *arg)
{
    uint32_t all = *(uint32_t *)arg;
    for (int i = 0; i < 20; i++) {
        CHECK_OK(sem_wait(&go));
        CHECK_EQ(effective(), all);
        CHECK_EQ(setfsuid((uid_t)-1), 0);
        CHECK_OK(sem_post(&back));
    }
    return NULL;
}

static void pause_a_bit(void)
{
    CHECK_OK(sem_post(&go));
    CHECK_OK(sem_wait(&back));
    sched_yield();
}

static void *inherits(void *arg)
{
    CHECK_EQ(effective(), 0);
    return arg;
}

static void *drops(void *arg)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, gettid()};
    struct __user_cap_data_struct none[2] = {{0}};
    CHECK_OK((int)syscall(SYS_capset, &header, none));
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(effective(), 0);
        pause_a_bit();
    }
    t_join(t_go(inherits, NULL));
    return arg;
}

static void *fsuid(void *arg)
{
    CHECK_EQ(setfsuid(1234), 0);
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(setfsuid((uid_t)-1), 1234);
        pause_a_bit();
    }
    return arg;
}

int main(void)
{
    uint32_t all = effective();
    if (getuid() != 0 || !all)
        t_skip("not root");
    CHECK_OK(sem_init(&go, 0, 0));
    CHECK_OK(sem_init(&back, 0, 0));
    pthread_t helper = t_go(others, &all);
    t_join(t_go(drops, NULL));
    t_join(t_go(fsuid, NULL));
    t_join(helper);
    CHECK_EQ(effective(), all);
    CHECK_EQ(setfsuid((uid_t)-1), 0);
    return 0;
}
