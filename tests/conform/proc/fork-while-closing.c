/* A child forked while other threads close descriptors under readers has what is open in the table, and nothing that keeps a closed file open. */
#include "../t.h"

enum { CLOSERS = 4, READERS = 6, FORKS = 150, LOW = 200, LIMIT = 1024 };

static volatile int stop;

struct reader {
    sem_t go, done;
    int fd;
};

static void *reads(void *arg)
{
    struct reader *r = arg;
    for (;;) {
        char byte;
        CHECK_OK(sem_wait(&r->go));
        if (r->fd < 0)
            return arg;
        ssize_t n = read(r->fd, &byte, 1); /* EBADF: the close came first; or the number means another's by now */
        CHECK(n == 1 || n == 0 || errno == EBADF || errno == EAGAIN);
        CHECK_OK(sem_post(&r->done));
    }
}

static void *closes(void *arg)
{
    struct reader readers[READERS];
    pthread_t threads[READERS];
    int pairs[READERS][2];
    for (int i = 0; i < READERS; i++) {
        CHECK_OK(sem_init(&readers[i].go, 0, 0));
        CHECK_OK(sem_init(&readers[i].done, 0, 0));
        threads[i] = t_go(reads, &readers[i]);
    }
    while (!stop) {
        for (int i = 0; i < READERS; i++) {
            struct timeval limit = {0, 200000};
            t_pair(pairs[i]);
            for (int end = 0; end < 2; end++)
                CHECK_OK(setsockopt(pairs[i][end], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
            readers[i].fd = pairs[i][0];
            CHECK_OK(sem_post(&readers[i].go));
        }
        for (int i = 0; i < 5; i++)
            sched_yield();
        for (int i = 0; i < READERS; i++)
            CHECK_OK(close(pairs[i][0]));
        for (int i = 0; i < READERS; i++)
            CHECK_OK(close(pairs[i][1])); /* which ends what still reads */
        for (int i = 0; i < READERS; i++)
            CHECK_OK(sem_wait(&readers[i].done));
    }
    for (int i = 0; i < READERS; i++) {
        readers[i].fd = -1;
        CHECK_OK(sem_post(&readers[i].go));
        t_join(threads[i]);
    }
    return arg;
}

int main(void)
{
    struct rlimit lim = {LIMIT, LIMIT};
    pthread_t t[CLOSERS];
    CHECK_OK(setrlimit(RLIMIT_NOFILE, &lim));
    for (int i = 0; i < CLOSERS; i++)
        t[i] = t_go(closes, NULL);
    t_settle();
    for (int n = 0; n < FORKS; n++) {
        pid_t child = fork();
        if (child == 0) {
            int kept = 0;
            for (int fd = LOW; fd < LIMIT; fd++)
                kept += fcntl(fd, F_GETFD) >= 0;
            _exit(kept);
        }
        int status;
        CHECK(child > 0);
        CHECK_EQ(waitpid(child, &status, 0), child);
        CHECK_EQ(status, 0);
    }
    stop = 1;
    for (int i = 0; i < CLOSERS; i++)
        t_join(t[i]);
    return 0;
}
