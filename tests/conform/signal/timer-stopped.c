/* When the call that stops a timer has returned, its handler does not run any more: neither after setitimer, alarm, timer_settime
 * and timer_delete, nor is the default action taken when the handler is removed. */
#include <sys/time.h>

#include "../t.h"

static volatile sig_atomic_t hits, allowed;
static sem_t done;

static void handler(int number)
{
    (void)number;
    CHECK(allowed);
    hits++;
}

static void *idle(void *arg)
{
    CHECK_OK(sem_wait(&done));
    return arg;
}

static void spin(int64_t ns)
{
    int64_t end = t_now(CLOCK_MONOTONIC) + ns;
    while (t_now(CLOCK_MONOTONIC) < end)
        ;
}

int main(void)
{
    const struct sigaction act = {.sa_handler = handler, .sa_flags = SA_RESTART}, dfl = {.sa_handler = SIG_DFL};
    struct itimerval every = {{0, 100}, {0, 100}}, once = {{0, 0}, {0, 100}}, off = {{0, 0}, {0, 0}};
    struct itimerspec every_ns = {{0, 100000}, {0, 100000}}, off_ns = {{0, 0}, {0, 0}};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
    CHECK_OK(sem_init(&done, 0, 0));
    sigset_t alrm;
    sigemptyset(&alrm);
    sigaddset(&alrm, SIGALRM);
    CHECK_OK(pthread_sigmask(SIG_BLOCK, &alrm, NULL)); /* for the other, from its first moment on */
    pthread_t other = t_go(idle, NULL);
    CHECK_OK(pthread_sigmask(SIG_UNBLOCK, &alrm, NULL));
    for (int i = 0; i < 400; i++) {
        timer_t timer;
        CHECK_OK(sigaction(SIGALRM, &act, NULL));
        allowed = 1;
        switch (i % 4) {
        case 0:
            CHECK_OK(setitimer(ITIMER_REAL, &every, NULL));
            spin(100000 + i * 500);
            CHECK_OK(setitimer(ITIMER_REAL, &off, NULL));
            break;
        case 1:
            CHECK_OK(setitimer(ITIMER_REAL, &once, NULL));
            spin(90000 + i * 50);
            alarm(0);
            break;
        default:
            CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
            CHECK_OK(timer_settime(timer, 0, &every_ns, NULL));
            spin(100000 + i * 500);
            if (i % 4 == 2)
                CHECK_OK(timer_settime(timer, 0, &off_ns, NULL));
            CHECK_OK(timer_delete(timer));
            break;
        }
        allowed = 0;
        if (i % 8 < 4)
            CHECK_OK(sigaction(SIGALRM, &dfl, NULL));
        spin(50000);
    }
    /* Not stopped: what came before the handler was removed was handled. */
    allowed = 1;
    for (int i = 0; i < 100; i++) {
        CHECK_OK(sigaction(SIGALRM, &act, NULL));
        CHECK_OK(setitimer(ITIMER_REAL, &once, NULL));
        spin(150000);
        const struct sigaction ignore = {.sa_handler = SIG_IGN};
        CHECK_OK(sigaction(SIGALRM, &ignore, NULL));
    }
    CHECK_GE(hits, 100);
    CHECK_OK(sem_post(&done));
    t_join(other);
    return 0;
}
