/* Written, then closed at once, under readers that wait for it: each gets what was written though the number is gone, and the connection
 * ends with the call. Meanwhile another thread closes ranges of numbers that nobody has. */
#include "../t.h"

enum { READERS = 60, ROUNDS = 12 };

static int ends[READERS][2];
static sem_t go[READERS], calls, done;
static volatile int over;
static int late;

static void *reads(void *arg)
{
    intptr_t i = (intptr_t)arg;
    for (int n = 0; n < ROUNDS; n++) {
        char byte = 0;
        CHECK_OK(sem_wait(&go[i]));
        CHECK_OK(sem_post(&calls));
        ssize_t r = read(ends[i][0], &byte, 1);
        if (r < 0 && errno == EBADF) { /* on a busy machine: called only after the close */
            __atomic_fetch_add(&late, 1, __ATOMIC_RELAXED);
        } else {
            CHECK_EQ(r, 1);
            CHECK_EQ(byte, 'x');
        }
        CHECK_OK(sem_post(&done));
    }
    return arg;
}

static void *ranges(void *arg)
{
    while (!over) {
        CHECK_OK(close_range(5000, ~0u, 0));
        sched_yield();
    }
    return arg;
}

int main(void)
{
    struct rlimit lim = {4096, 4096};
    pthread_t threads[READERS], closer;
    CHECK_OK(setrlimit(RLIMIT_NOFILE, &lim));
    CHECK_OK(sem_init(&calls, 0, 0));
    CHECK_OK(sem_init(&done, 0, 0));
    for (intptr_t i = 0; i < READERS; i++) {
        CHECK_OK(sem_init(&go[i], 0, 0));
        threads[i] = t_go(reads, (void *)i);
    }
    closer = t_go(ranges, NULL);
    for (int n = 0; n < ROUNDS; n++) {
        for (int i = 0; i < READERS; i++) {
            t_pair(ends[i]);
            CHECK_OK(sem_post(&go[i]));
        }
        for (int i = 0; i < READERS; i++)
            CHECK_OK(sem_wait(&calls));
        struct timespec t = {0, 50 * MSEC};
        nanosleep(&t, NULL); /* all of them wait by now */
        for (int i = 0; i < READERS; i++) {
            CHECK_EQ(write(ends[i][1], "x", 1), 1);
            CHECK_OK(close(ends[i][0]));
        }
        for (int i = 0; i < READERS; i++)
            CHECK_OK(sem_wait(&done));
        for (int i = 0; i < READERS; i++) {
            char byte;
            CHECK_EQ(read(ends[i][1], &byte, 1), 0);
            CHECK_OK(close(ends[i][1]));
        }
    }
    over = 1;
    t_join(closer);
    for (int i = 0; i < READERS; i++)
        t_join(threads[i]);
    CHECK(late < READERS * ROUNDS / 2);
    return 0;
}
