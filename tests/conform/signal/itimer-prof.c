/* ITIMER_PROF and ITIMER_VIRTUAL signal the process, but for the thread that computes, not for main, which waits: so profilers
 * find out where the time goes. */
#include <sys/time.h>

#include "../t.h"

static pthread_t busy[2];
static _Atomic int in_busy[2], elsewhere, ready;

static void handler(int number)
{
    (void)number;
    pthread_t self = pthread_self();
    if (ready && pthread_equal(self, busy[0]))
        in_busy[0]++;
    else if (ready && pthread_equal(self, busy[1]))
        in_busy[1]++;
    else
        elsewhere++;
}

static void *computes(void *arg)
{
    int which = *(int *)arg;
    while (!ready)
        sched_yield();
    for (volatile unsigned long n = 0; in_busy[which] < 10; n++)
        ;
    return NULL;
}

static void shown(int timer, int number)
{
    static int index[2] = {0, 1};
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    CHECK_OK(sigaction(number, &action, NULL));
    ready = elsewhere = in_busy[0] = in_busy[1] = 0;
    for (int i = 0; i < 2; i++)
        busy[i] = t_go(computes, &index[i]);
    ready = 1;
    struct itimerval every = {{0, 1000}, {0, 1000}}, off = {{0, 0}, {0, 0}};
    CHECK_OK(setitimer(timer, &every, NULL));
    t_join(busy[0]);
    t_join(busy[1]);
    CHECK_OK(setitimer(timer, &off, NULL));
    CHECK(elsewhere <= 5 + (in_busy[0] + in_busy[1]) / 2);
    action.sa_handler = SIG_IGN;
    CHECK_OK(sigaction(number, &action, NULL));
}

int main(void)
{
    shown(ITIMER_PROF, SIGPROF);
    shown(ITIMER_VIRTUAL, SIGVTALRM);
    return 0;
}
