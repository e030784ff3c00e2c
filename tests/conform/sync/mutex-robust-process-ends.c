/* The owner of a robust process-shared mutex is a thread of a process with several, main or another, that ends while it holds it: by exit, by
 * a signal, by a fault of another thread, by SIGKILL. A waiter in another process gets EOWNERDEAD. Whoever made the mutex: but for
 * the last two it is a process that knows nothing of the others. */
#include "robust.h"

enum way { EXIT, SIGNAL, FAULT, MANY, KILL_MAIN, KILL, WAYS };

static int go[2];

#define MAKERS 6
static pthread_barrier_t barrier;

static void *makes(void *arg)
{
    pthread_mutex_t *mine = lock + 1 + (intptr_t)arg;
    pthread_barrier_wait(&barrier);
    mutex_init(mine);
    return NULL;
}

/* The first of their kind in this process, by several threads at once. */
static void make_many(void)
{
    pthread_t threads[MAKERS];
    CHECK_OK(pthread_barrier_init(&barrier, NULL, MAKERS));
    for (intptr_t i = 0; i < MAKERS; i++)
        threads[i] = t_go(makes, (void *)i);
    for (int i = 0; i < MAKERS; i++)
        t_join(threads[i]);
}

static void own_and_die(enum way way)
{
    char byte;
    if (way == MANY)
        make_many();
    t_go(way == KILL_MAIN ? nothing : owner, NULL);
    if (way == KILL_MAIN)
        owner(NULL);
    CHECK_EQ(read(go[0], &byte, 1), 1);
    if (way == EXIT)
        exit(3);
    if (way == SIGNAL)
        kill(getpid(), SIGTERM);
    if (way == FAULT)
        *(volatile int *)NULL = 1;
    for (;;)
        pause();
}

/* By this process, or by one that ends at once. */
static void make(enum way way)
{
    pid_t pid = way < KILL_MAIN ? fork() : 0;
    CHECK(pid >= 0);
    if (pid == 0)
        lock_init();
    if (pid == 0 && way < KILL_MAIN)
        _exit(0);
    if (pid)
        t_expect_exit(pid, 0);
}

int main(void)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    lock_map();
    CHECK_OK(pipe(go));
    for (enum way way = EXIT; way < WAYS; way++) {
        char byte = 'g';
        make(way);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            t_bound();
            own_and_die(way);
        }
        CHECK_EQ(read(ends[0], &byte, 1), 1);
        pthread_t thread = t_go(waiter, NULL);
        t_settle();
        if (way >= MANY)
            CHECK_OK(kill(pid, SIGKILL));
        else
            CHECK_EQ(write(go[1], &byte, 1), 1);
        if (way == EXIT)
            t_expect_exit(pid, 3);
        else
            t_expect_signal(pid, way == SIGNAL ? SIGTERM : way == FAULT ? SIGSEGV : SIGKILL);
        CHECK_EQ((intptr_t)t_join(thread), EOWNERDEAD);
    }
    return 0;
}
