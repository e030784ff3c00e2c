/* Threads made by a constructor before main and by SIGEV_THREAD live beside the program's own. */
#include "../t.h"

static sem_t woke, fired;
static int ends[2];

static void *early(void *arg)
{
    char byte;
    CHECK_EQ(read(ends[0], &byte, 1), 1);
    CHECK_OK(sem_post(&woke));
    return arg;
}

__attribute__((constructor)) static void before_main(void)
{
    CHECK_OK(sem_init(&woke, 0, 0));
    CHECK_OK(sem_init(&fired, 0, 0));
    t_pair(ends);
    CHECK_OK(pthread_detach(t_go(early, NULL)));
}

static void on_timer(union sigval value)
{
    CHECK_EQ(value.sival_int, 5);
    CHECK_OK(sem_post(&fired));
}

int main(void)
{
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_value.sival_int = 5};
    event.sigev_notify_function = on_timer;
    CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
    struct itimerspec spec = {{0, 0}, {0, MSEC}};
    CHECK_OK(timer_settime(timer, 0, &spec, NULL));
    CHECK_OK(sem_wait(&fired));
    CHECK_OK(timer_delete(timer));
    CHECK_EQ(write(ends[1], "x", 1), 1);
    CHECK_OK(sem_wait(&woke));
    return 0;
}
