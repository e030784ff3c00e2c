/* Non-private futexes match by file and offset: two mappings of one file at two addresses are one
 * futex. */
#include "futex.h"

static void *waits(void *arg)
{
    CHECK_EQ(futex(arg, FUTEX_WAIT, 0, NULL, NULL, 0), 0);
    return NULL;
}

int main(void)
{
    int fd = memfd_create("futex", 0);
    CHECK(fd >= 0);
    CHECK_OK(ftruncate(fd, 4096));
    uint32_t *one = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    uint32_t *two = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(one != MAP_FAILED && two != MAP_FAILED && one != two);
    pthread_t thread = t_go(waits, one);
    while (futex(two, FUTEX_WAKE, 1, NULL, NULL, 0) == 0)
        sched_yield();
    t_join(thread);
    return 0;
}
