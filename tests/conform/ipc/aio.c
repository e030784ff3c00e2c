/* Many threads in io_getevents and io_pgetevents, each for events of its own; a minimum of several that come one by one; a time limit with
 * fewer; a handler ends it, also of a signal that only the mask given with the call lets in. */
/* conform: also HANDOFF_MAX_WORKERS=16 */
/* conform: also HANDOFF_MAX_WORKERS=1 HANDOFF_PROCS=1 */
#include "../t.h"
#include <linux/aio_abi.h>
#include <sys/eventfd.h>

enum { THREADS = 100 };

static int events[THREADS][2];
static aio_context_t contexts[THREADS];
static _Atomic int passed;
static volatile int done;

static long getevents(aio_context_t context, long least, struct io_event *to, struct timespec *limit)
{
    return syscall(SYS_io_getevents, context, least, 4L, to, limit);
}

/* The same by io_pgetevents, with the mask given. */
static long pgetevents(aio_context_t context, long least, struct io_event *to, struct timespec *limit, const sigset_t *mask)
{
    struct {
        const sigset_t *mask;
        size_t size;
    } set = {mask, 8};
    return syscall(SYS_io_pgetevents, context, least, 4L, to, limit, &set);
}

static void submit(int i, int which)
{
    struct iocb cb = {.aio_data = (uint64_t)which, .aio_lio_opcode = IOCB_CMD_POLL, .aio_fildes = (uint32_t)events[i][which],
                      .aio_buf = POLLIN};
    struct iocb *list = &cb;
    CHECK_EQ(syscall(SYS_io_submit, contexts[i], 1L, &list), 1);
}

static void happens(int i, int which)
{
    uint64_t one = 1;
    CHECK_EQ(write(events[i][which], &one, sizeof one), sizeof one);
}

static void *waits(void *arg)
{
    int i = (int)(intptr_t)arg;
    struct io_event got[4];
    struct timespec hour = {3600, 0};
    submit(i, 0);
    submit(i, 1);
    if (i % 3)
        CHECK_EQ(getevents(contexts[i], 2, got, i % 2 ? &hour : NULL), 2);
    else
        CHECK_EQ(pgetevents(contexts[i], 2, got, i % 2 ? &hour : NULL, NULL), 2);
    CHECK_EQ(got[0].data + got[1].data, 1);
    CHECK(got[0].res == POLLIN && got[1].res == POLLIN);
    passed++;
    return NULL;
}

static void handler(int number)
{
    (void)number;
}

static void *interrupted(void *arg)
{
    struct io_event got[4];
    CHECK_ERR(getevents(contexts[0], 1, got, arg), EINTR);
    done = 1;
    return NULL;
}

static _Atomic int handled;
static void counts(int number)
{
    sigset_t now;
    sigfillset(&now);
    CHECK_OK(pthread_sigmask(SIG_SETMASK, NULL, &now));
    CHECK(!sigismember(&now, SIGUSR2));
    handled += number == SIGUSR2;
}

/* SIGUSR2 is blocked, but in the call. */
static void *masked(void *arg)
{
    struct io_event got[4];
    struct timespec tick = {0, 5 * MSEC}, hour = {3600, 0};
    sigset_t blocked, open, now;
    (void)arg;
    sigemptyset(&open);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR2);
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &blocked, NULL));
    CHECK_OK(pthread_kill(pthread_self(), SIGUSR2));
    CHECK_EQ(pgetevents(contexts[1], 1, got, &tick, NULL), 0); /* no mask: blocked */
    CHECK_EQ(handled, 0);
    CHECK_ERR(pgetevents(contexts[1], 1, got, &hour, &open), EINTR);
    CHECK_EQ(handled, 1);
    CHECK_OK(pthread_sigmask(SIG_SETMASK, NULL, &now));
    CHECK(sigismember(&now, SIGUSR2));
    CHECK_EQ(pgetevents(contexts[1], 1, got, &tick, &open), 0);
    CHECK_OK(pthread_sigmask(SIG_SETMASK, NULL, &now));
    CHECK(sigismember(&now, SIGUSR2));
    done = 1;
    CHECK_ERR(pgetevents(contexts[1], 1, got, NULL, &open), EINTR); /* another thread's */
    CHECK_EQ(handled, 2);
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    struct timespec tick = {0, 20 * MSEC}, hour = {3600, 0};
    struct io_event got[4];
    for (int i = 0; i < THREADS; i++) {
        if (syscall(SYS_io_setup, 4, &contexts[i]) != 0)
            t_skip("no asynchronous I/O");
        for (int k = 0; k < 2; k++)
            CHECK_GE(events[i][k] = eventfd(0, 0), 0);
    }
    for (intptr_t i = 0; i < THREADS; i++)
        threads[i] = t_go(waits, (void *)i);
    t_settle();
    for (int i = THREADS; i-- > 0;)
        happens(i, 1);
    t_settle();
    CHECK_EQ(passed, 0);
    for (int i = 0; i < THREADS; i++)
        happens(i, 0);
    for (int i = 0; i < THREADS; i++)
        t_join(threads[i]);
    CHECK_EQ(passed, THREADS);

    int64_t before = t_now(CLOCK_MONOTONIC);
    CHECK_EQ(getevents(contexts[0], 1, got, &tick), 0);
    CHECK_GE(t_now(CLOCK_MONOTONIC) - before, 20 * MSEC);
    submit(0, 0); /* still readable: at once */
    CHECK_EQ(getevents(contexts[0], 2, got, &tick), 1);
    CHECK_EQ(getevents(contexts[0], 0, got, NULL), 0);
    CHECK_ERR(getevents(contexts[0], 5, got, NULL), EINVAL);
    CHECK_ERR(getevents(contexts[0], 1, got, t_bad()), EFAULT);

    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    for (int k = 0; k < 2; k++) {
        done = 0;
        pthread_t thread = t_go(interrupted, k ? &hour : NULL);
        while (!done) {
            struct timespec pause = {0, 300000};
            pthread_kill(thread, SIGUSR1);
            nanosleep(&pause, NULL);
        }
        t_join(thread);
    }
    struct sigaction count = {.sa_handler = counts, .sa_flags = SA_RESTART, .sa_mask = {{0}}};
    count.sa_flags |= SA_NODEFER;
    CHECK_OK(sigaction(SIGUSR2, &count, NULL));
    done = 0;
    pthread_t thread = t_go(masked, NULL);
    while (!done)
        t_settle();
    CHECK_OK(pthread_kill(thread, SIGUSR2));
    t_join(thread);
    CHECK_ERR(syscall(SYS_io_pgetevents, contexts[0], 1L, 4L, got, NULL, t_bad()), EFAULT);
    return 0; /* io_destroy waits for all CPUs, a hundred times: the end of the process does it at once */
}
