/* pkeys(7): each thread has rights of its own for each protection key; a new one has its creator's. A handler begins with the default, no access but by
 * key 0, and what it interrupts goes on with its own. */
#include "../t.h"
#include <sys/syscall.h>

enum { THREADS = 6, ROUNDS = 300 };
static int key, other;
static volatile char *page;
static sem_t ping[THREADS];
static volatile int seen = -1, stop;
static volatile char *volatile faulted;

static void handler(int number)
{
    (void)number;
    seen = pkey_get(key);
    pkey_set(key, 0); /* for itself only */
}

static void mends(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    CHECK_EQ(info->si_code, 4 /* SEGV_PKUERR */);
    seen = pkey_get(key);
    faulted = info->si_addr;
    CHECK_OK(pkey_mprotect((void *)page, 4096, PROT_READ | PROT_WRITE, other));
}

static long inline_nanosleep(long ns)
{
    struct timespec t = {0, ns};
    long r;
    __asm__ volatile("syscall" : "=a"(r) : "0"(SYS_nanosleep), "D"(&t), "S"(0) : "rcx", "r11", "memory");
    return r;
}

static void *blocks(void *arg)
{
    long i = (long)arg;
    int mine = (int)(i % 3);
    CHECK_EQ(pkey_get(key), PKEY_DISABLE_WRITE); /* inherited */
    CHECK_OK(pkey_set(key, (unsigned)mine));
    for (int n = 0; n < ROUNDS; n++) {
        CHECK_OK(sem_post(&ping[(i + 1) % THREADS]));
        CHECK_OK(sem_wait(&ping[i]));
        CHECK_EQ(pkey_get(key), mine);
        if (n % 50 == 0) {
            inline_nanosleep(1000);
            CHECK_EQ(pkey_get(key), mine);
            usleep(10);
            CHECK_EQ(pkey_get(key), mine);
        }
        mine = (mine + 1) % 3;
        CHECK_OK(pkey_set(key, (unsigned)mine));
    }
    return arg;
}

static void *computes(void *arg)
{
    CHECK_OK(pkey_set(key, PKEY_DISABLE_WRITE));
    while (!stop)
        CHECK_EQ(pkey_get(key), PKEY_DISABLE_WRITE);
    return arg;
}

static void *sleeps(void *arg)
{
    CHECK_OK(pkey_set(key, 0));
    while (!stop) {
        usleep(1000000);
        CHECK_EQ(pkey_get(key), 0);
    }
    return arg;
}

static void hit(pthread_t t)
{
    seen = -1;
    CHECK_OK(pthread_kill(t, SIGUSR1));
    while (seen == -1)
        sched_yield();
    CHECK_EQ(seen, PKEY_DISABLE_ACCESS);
}

int main(void)
{
    pthread_t t[THREADS], one, two;
    struct sigaction a = {.sa_handler = handler}, m = {.sa_sigaction = mends, .sa_flags = SA_SIGINFO};
    key = pkey_alloc(0, 0);
    if (key < 0)
        t_skip("no protection keys");
    CHECK_OK(sigaction(SIGUSR1, &a, NULL));
    CHECK_OK(sigaction(SIGSEGV, &m, NULL));
    for (int i = 0; i < THREADS; i++)
        CHECK_OK(sem_init(&ping[i], 0, 0));
    CHECK_OK(pkey_set(key, PKEY_DISABLE_WRITE));
    for (long i = 0; i < THREADS; i++)
        t[i] = t_go(blocks, (void *)i);
    for (int i = 0; i < THREADS; i++)
        t_join(t[i]);
    CHECK_EQ(pkey_get(key), PKEY_DISABLE_WRITE);

    other = pkey_alloc(0, 0); /* one that comes when there are threads */
    CHECK(other > 0);
    one = t_go(computes, NULL);
    two = t_go(sleeps, NULL);
    t_settle();
    for (int n = 0; n < 20; n++) {
        hit(one);
        hit(two);
        seen = -1;
        CHECK_OK(raise(SIGUSR1));
        CHECK_EQ(seen, PKEY_DISABLE_ACCESS);
        CHECK_EQ(pkey_get(key), PKEY_DISABLE_WRITE);
    }
    stop = 1;
    CHECK_OK(pthread_kill(two, SIGUSR1));
    t_join(one);
    t_join(two);

    page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    CHECK_OK(pkey_mprotect((void *)page, 4096, PROT_READ | PROT_WRITE, key));
    CHECK_EQ(page[5], 0);
    page[7] = 'x'; /* a fault, which the handler mends */
    CHECK(faulted == page + 7);
    CHECK_EQ(seen, PKEY_DISABLE_ACCESS);
    CHECK_EQ(pkey_get(key), PKEY_DISABLE_WRITE);
    CHECK_EQ(page[7], 'x');
    return 0;
}
