/* Threads that bind themselves and each other, unbind, wait for each other, make threads and end, all at once: nobody is
 * lost, and each reads what was last set, if nobody else may have. */
#include "../t.h"

enum { THREADS = 12, ROUNDS = 60 };
static cpu_set_t all, one;
static pthread_t threads[THREADS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t change = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t started, ending;
static long turn;

static void *child(void *arg)
{
    sched_yield();
    return arg;
}

static void *body(void *arg)
{
    int me = (int)(intptr_t)arg;
    uint32_t x = (uint32_t)me * 2654435761u + 1;
    pthread_barrier_wait(&started);
    for (int i = 0; i < ROUNDS; i++) {
        x = x * 1664525u + 1013904223u;
        const cpu_set_t *set = x >> 31 ? &all : &one;
        cpu_set_t got;
        switch (x >> 16 & 7) {
        case 0:
        case 1:
            CHECK_OK(sched_setaffinity(0, sizeof *set, set));
            break;
        case 2:
            CHECK_OK(pthread_setaffinity_np(threads[x >> 20 & 7], sizeof *set, set));
            break;
        case 3:
            CHECK_OK(pthread_getaffinity_np(threads[x >> 20 & 7], sizeof got, &got));
            CHECK(CPU_EQUAL(&got, &all) || CPU_EQUAL(&got, &one));
            break;
        case 4:
            t_join(t_go(child, NULL));
            break;
        case 5:
            sched_yield();
            break;
        default: { /* wait for the others to go on */
            CHECK_OK(pthread_mutex_lock(&lock));
            long seen = turn;
            struct timespec until;
            clock_gettime(CLOCK_REALTIME, &until);
            until = t_spec(until.tv_sec * NSEC + until.tv_nsec + 2 * MSEC);
            while (turn == seen && pthread_cond_timedwait(&change, &lock, &until) == 0)
                ;
            CHECK_OK(pthread_mutex_unlock(&lock));
        }
        }
        CHECK_OK(pthread_mutex_lock(&lock));
        turn++;
        CHECK_OK(pthread_cond_broadcast(&change));
        CHECK_OK(pthread_mutex_unlock(&lock));
    }
    pthread_barrier_wait(&ending);
    return arg;
}

int main(void)
{
    CHECK_OK(sched_getaffinity(0, sizeof all, &all));
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE && !CPU_COUNT(&one); i++)
        if (CPU_ISSET(i, &all))
            CPU_SET(i, &one);
    for (int round = 0; round < 3; round++) {
        CHECK_OK(pthread_barrier_init(&started, NULL, THREADS + 1));
        CHECK_OK(pthread_barrier_init(&ending, NULL, THREADS));
        turn = 0;
        for (int i = 0; i < THREADS; i++)
            threads[i] = t_go(body, (void *)(intptr_t)i);
        pthread_barrier_wait(&started);
        for (int i = 0; i < THREADS; i++)
            t_join(threads[i]);
        CHECK_EQ(turn, THREADS * ROUNDS);
        CHECK_OK(pthread_barrier_destroy(&started));
        CHECK_OK(pthread_barrier_destroy(&ending));
    }
    return 0;
}
