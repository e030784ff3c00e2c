/* A handler without SA_RESTART ends read, sem_wait, nanosleep, accept and poll with EINTR; with it
 * read, accept and sem_wait go on. */
#include "../t.h"

static _Atomic int hits, at;
static int ends[2], listener;
static sem_t sem;

static void handler(int number)
{
    (void)number;
    hits++;
}

static long wait_in(int call)
{
    char byte;
    struct timespec hour = {3600, 0}, left = {0, 0};
    struct pollfd p = {ends[0], POLLIN, 0};
    long rc;
    switch (call) {
    case 0:
        return read(ends[0], &byte, 1);
    case 1:
        return accept(listener, NULL, NULL);
    case 2:
        return sem_wait(&sem);
    case 3:
        return recv(ends[0], &byte, 1, MSG_WAITALL);
    case 4:
        return poll(&p, 1, -1);
    case 5:
        rc = nanosleep(&hour, &left);
        CHECK(left.tv_sec >= 3500 && left.tv_sec <= 3600);
        return rc;
    case 6:
        errno = clock_nanosleep(CLOCK_MONOTONIC, 0, &hour, NULL);
        return errno ? -1 : 0;
    default:
        return pause();
    }
}

static void *body(void *arg)
{
    int call = (int)(intptr_t)arg;
    at = call;
    errno = 0;
    CHECK_EQ(wait_in(call), -1);
    CHECK_EQ(errno, EINTR);
    at = -1;
    return NULL;
}

static void *restarts(void *arg)
{
    int call = (int)(intptr_t)arg;
    at = call;
    long rc = wait_in(call);
    CHECK_GE(rc, 0);
    at = -1;
    return NULL;
}

int main(void)
{
    struct sockaddr_in address;
    struct sigaction action = {.sa_handler = handler};
    t_pair(ends);
    listener = t_listen(&address, 4);
    CHECK_OK(sem_init(&sem, 0, 0));
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    for (int call = 0; call < 8; call++) {
        pthread_t thread = t_go(body, (void *)(intptr_t)call);
        while (at != call)
            sched_yield();
        while (at != -1) { /* it may be a moment before the wait: again until it was hit there */
            pthread_kill(thread, SIGUSR1);
            struct timespec tick = {0, 200000};
            nanosleep(&tick, NULL);
        }
        t_join(thread);
    }
    action.sa_flags = SA_RESTART;
    CHECK_OK(sigaction(SIGUSR1, &action, NULL));
    for (int call = 0; call < 4; call++) {
        pthread_t thread = t_go(restarts, (void *)(intptr_t)call);
        while (at != call)
            sched_yield();
        for (int i = 0; i < 5; i++) {
            int before = hits;
            CHECK_OK(pthread_kill(thread, SIGUSR1));
            while (hits == before)
                sched_yield();
        }
        CHECK_EQ(at, call);
        if (call == 1)
            close(t_connect(&address));
        else if (call == 2)
            CHECK_OK(sem_post(&sem));
        else
            CHECK_EQ(write(ends[1], "x", 1), 1);
        t_join(thread);
    }
    return 0;
}
