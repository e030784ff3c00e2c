/* select and pselect6 beyond FD_SETSIZE and to the letter: sets of thousands of bits, the time left
 * written back (to both, by the system calls), a timeout in read-only memory, exceptional
 * conditions, numbers of bits too large. */
#include "../t.h"
#include <sys/select.h>
#include <sys/time.h>

#define BITS 4096
typedef unsigned long bits[BITS / 64];

static void set_bit(unsigned long *set, int n)
{
    set[n / 64] |= 1UL << (n % 64);
}

static int count_bits(const unsigned long *set)
{
    int n = 0;
    for (int i = 0; i < BITS / 64; i++)
        n += __builtin_popcountl(set[i]);
    return n;
}

static int high[2], low[2];
static sem_t go;

static long raw_select(int n, void *in, void *out, void *except, struct timeval *tv)
{
    return syscall(SYS_select, n, in, out, except, tv);
}

static void *writes(void *arg)
{
    struct timespec pause = {0, 5 * MSEC};
    (void)arg;
    for (int i = 0; i < 4; i++) {
        while (sem_wait(&go) != 0)
            ;
        nanosleep(&pause, NULL);
        CHECK_EQ(write(high[1], "x", 1), 1);
    }
    return NULL;
}

static void *body(void *arg)
{
    bits in = {0}, out = {0}, except = {0};
    char byte;
    set_bit(in, high[0]);
    set_bit(in, low[0]);
    set_bit(out, high[1]);
    CHECK_EQ(raw_select(BITS, in, out, except, NULL), 1); /* only the writable one */
    CHECK_EQ(count_bits(in), 0);
    CHECK_EQ(count_bits(out), 1);

    struct timeval tv = {10, 0};
    set_bit(in, high[0]);
    set_bit(in, low[0]);
    sem_post(&go);
    CHECK_EQ(raw_select(high[0] + 1, in, NULL, except, &tv), 1);
    CHECK_EQ(count_bits(in), 1);
    CHECK(in[high[0] / 64] >> (high[0] % 64) & 1);
    CHECK(tv.tv_sec <= 9 && tv.tv_usec >= 0);
    CHECK_EQ(read(high[0], &byte, 1), 1);

    struct timespec left = {10, 0};
    sem_post(&go);
    CHECK_EQ(syscall(SYS_pselect6, BITS, in, NULL, NULL, &left, NULL), 1);
    CHECK(left.tv_sec <= 9); /* how much less, depends: the writer may have been quicker than we */
    CHECK_EQ(read(high[0], &byte, 1), 1);

    struct pollfd p = {high[0], POLLIN, 0};
    left = (struct timespec){10, 0};
    sem_post(&go);
    CHECK_EQ(syscall(SYS_ppoll, &p, 1, &left, NULL, 8), 1);
    CHECK(left.tv_sec <= 9); /* how much less, depends: the writer may have been quicker than we */
    CHECK_EQ(read(high[0], &byte, 1), 1);

    /* a timeout where nothing can be written back */
    struct timeval *page =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    page->tv_sec = 10;
    CHECK_OK(mprotect(page, 4096, PROT_READ));
    sem_post(&go);
    CHECK_EQ(raw_select(BITS, in, NULL, NULL, page), 1);
    CHECK_EQ(page->tv_sec, 10);
    CHECK_EQ(read(high[0], &byte, 1), 1);

    /* run out: nothing is left, and the sets are empty */
    tv = (struct timeval){0, 3000};
    CHECK_EQ(raw_select(BITS, in, NULL, NULL, &tv), 0);
    CHECK_EQ(tv.tv_sec, 0);
    CHECK_EQ(tv.tv_usec, 0);
    CHECK_EQ(count_bits(in), 0);
    left = (struct timespec){0, 3 * MSEC};
    set_bit(in, low[0]);
    CHECK_EQ(syscall(SYS_pselect6, BITS, in, NULL, NULL, &left, NULL), 0);
    CHECK_EQ(left.tv_sec, 0);
    CHECK_EQ(left.tv_nsec, 0);

    /* microseconds beyond a second are carried; negative ones are errors */
    tv = (struct timeval){0, 1000};
    CHECK_EQ(raw_select(0, NULL, NULL, NULL, &tv), 0);
    tv = (struct timeval){-1, 0};
    CHECK_ERR(raw_select(0, NULL, NULL, NULL, &tv), EINVAL);
    tv = (struct timeval){0, -1};
    CHECK_ERR(raw_select(0, NULL, NULL, NULL, &tv), EINVAL);
    left = (struct timespec){0, NSEC};
    CHECK_ERR(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &left, NULL), EINVAL);
    CHECK_ERR(raw_select(-1, in, NULL, NULL, NULL), EINVAL);
    CHECK_ERR(raw_select(BITS, t_bad(), NULL, NULL, NULL), EFAULT);
    CHECK_ERR(raw_select(BITS, in, NULL, NULL, t_bad()), EFAULT);
    memset(in, 0, sizeof in);
    set_bit(in, 3001); /* not open */
    CHECK_ERR(raw_select(BITS, in, NULL, NULL, NULL), EBADF);
    CHECK(in[3001 / 64] >> (3001 % 64) & 1); /* left as it was */
    /* bits beyond the table of descriptors are not looked at */
    unsigned char *all = calloc(1, (1 << 21) / 8);
    tv = (struct timeval){0, 0};
    set_bit((unsigned long *)all, low[1]);
    CHECK_EQ(raw_select(1 << 21, NULL, all, NULL, &tv), 1);
    CHECK_ERR(raw_select(1 << 21, NULL, NULL, NULL, t_bad()), EFAULT);
    free(all);
    return arg;
}

static int tcp[2];

/* urgent data is the exceptional condition, for both at once */
static void *urgent(void *arg)
{
    fd_set in, except;
    FD_ZERO(&in);
    FD_ZERO(&except);
    FD_SET(tcp[0], &in);
    FD_SET(tcp[0], &except);
    if (arg) {
        CHECK_EQ(select(tcp[0] + 1, NULL, NULL, &except, NULL), 1);
    } else {
        CHECK_EQ(select(tcp[0] + 1, &in, NULL, &except, NULL), FD_ISSET(tcp[0], &in) ? 2 : 1);
        CHECK(FD_ISSET(tcp[0], &except));
    }
    return NULL;
}

int main(void)
{
    int ends[2];
    t_descriptors(BITS);
    t_pair(low);
    t_pair(ends);
    CHECK_EQ(high[0] = fcntl(ends[0], F_DUPFD, 3000), 3000);
    CHECK_EQ(dup2(ends[1], 3500), high[1] = 3500);
    close(ends[0]);
    close(ends[1]);
    CHECK_OK(sem_init(&go, 0, 0));
    pthread_t writer = t_go(writes, NULL);
    t_join(t_go(body, NULL));
    t_join(writer);
    t_tcp(tcp);
    pthread_t one = t_go(urgent, NULL), two = t_go(urgent, tcp);
    t_settle();
    CHECK_EQ(send(tcp[1], "!", 1, MSG_OOB), 1);
    t_join(one);
    t_join(two);
    return 0;
}
