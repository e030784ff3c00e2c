/* select for as many descriptors as may be open (getdtablesize(), as old programs do) with a set of FD_SETSIZE: the kernel looks
 * at no more than its table has, so what follows the set is neither read nor written. */
#include "../t.h"
#include <sys/select.h>

struct all {
    fd_set set;
    volatile int counters[1024];
};
static struct all *all;
static int ends[2];

static void *at_the_end_of_a_mapping(void *arg)
{
    long page = sysconf(_SC_PAGESIZE);
    char *m =
        mmap(NULL, (size_t)page * 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(m != MAP_FAILED);
    CHECK_OK(munmap(m + page, (size_t)page));
    fd_set *set = (fd_set *)(void *)(m + page - sizeof *set);
    struct timespec left = {10, 0};
    FD_SET(ends[1], set);
    CHECK_EQ(select(getdtablesize(), NULL, set, NULL, NULL), 1);
    CHECK(FD_ISSET(ends[1], set));
    CHECK_EQ(syscall(SYS_pselect6, getdtablesize(), NULL, set, NULL, &left, NULL), 1);
    CHECK(FD_ISSET(ends[1], set));
    CHECK_OK(munmap(m, (size_t)page));
    return arg;
}

static void *counts(void *arg)
{
    t_settle();
    for (int i = 0; i < 1024; i++)
        all->counters[i] = i + 1;
    CHECK_EQ(write(ends[1], "x", 1), 1);
    return arg;
}

int main(void)
{
    t_descriptors(4096);
    CHECK_OK(pipe(ends));
    t_join(t_go(at_the_end_of_a_mapping, NULL));
    all = calloc(1, sizeof *all);
    FD_SET(ends[0], &all->set);
    pthread_t thread = t_go(counts, NULL);
    CHECK_EQ(select(getdtablesize(), &all->set, NULL, NULL, NULL), 1);
    t_join(thread);
    for (int i = 0; i < 1024; i++)
        CHECK_EQ(all->counters[i], i + 1);
    free(all);
    return 0;
}
