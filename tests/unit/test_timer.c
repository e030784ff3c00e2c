/* shim/sched/timer.c against a list, and against threads that disarm while others fire. */
#include "sched_setup.h"

#include <sched.h>
#include <pthread.h>

enum { N = 700 };
static int64_t due[N]; /* the model: when, or INT64_MAX */

static void open_wait(struct uthread *u)
{
    uint64_t seq = wait_open(u);
    u->waitw = seq << WAITW_SHIFT | WAITW_OPEN;
}
static uint64_t seq_of(struct uthread *u)
{
    return u->waitw >> WAITW_SHIFT;
}

static int64_t model_min(void)
{
    int64_t min = INT64_MAX;
    for (int i = 0; i < N; i++)
        min = due[i] < min ? due[i] : min;
    return min;
}

static void heap_is_sound(struct proc *p)
{
    for (uint32_t i = 0; i < p->ntimers; i++) {
        cr_assert_eq(p->timers[i].timer->index, (int32_t)i);
        if (i)
            cr_assert_leq(p->timers[(i - 1) / 4].latest, p->timers[i].latest);
    }
    cr_assert_eq(p->timer_min, p->ntimers ? p->timers[0].latest : INT64_MAX);
}

/* What timers_run readied is in the global queue, in order. */
static uint32_t collect(int64_t now)
{
    uint32_t n = 0;
    int64_t last = INT64_MIN;
    while (sched.gq_head) {
        struct uthread *u = sched.gq_head;
        sched.gq_head = u->next;
        cr_assert_leq(due[u->index], now);
        cr_assert_geq(due[u->index], last);
        last = due[u->index];
        cr_assert_eq(u->waitw & 15, WAKE_TIMEOUT);
        due[u->index] = INT64_MAX;
        n++;
    }
    sched.gq_tail = NULL;
    sched.gq_len = 0;
    return n;
}

Test(timer, random_arming_disarming_and_firing_agrees_with_a_list, .timeout = 60)
{
    sched_setup(1, N);
    struct proc *p = &sched.procs[0];
    int64_t now = 1000;
    srandom(4711);
    for (int i = 0; i < N; i++)
        due[i] = INT64_MAX;
    for (int step = 0; step < 60000; step++) {
        int i = (int)(random() % N);
        struct uthread *u = &threads[i];
        switch (random() % 8) {
        default:
            if (due[i] != INT64_MAX)
                break;
            due[i] = now + random() % 4000; /* ties too */
            open_wait(u);
            timer_arm(p, u, seq_of(u), due[i], 0);
            break;
        case 5: case 6:
            timer_disarm(&u->timer);
            cr_assert_lt(u->timer.index, 0);
            due[i] = INT64_MAX;
            break;
        case 7:
            now += random() % 60;
            uint32_t fired = timers_run(p, now), late = 0;
            cr_assert_eq(collect(now), fired);
            for (int k = 0; k < N; k++)
                late += due[k] <= now;
            cr_assert_eq(late, 0);
        }
        cr_assert_eq(p->timer_min, model_min());
        if (step % 64 == 0)
            heap_is_sound(p);
    }
}

Test(timer, one_that_comes_too_late_readies_nobody)
{
    sched_setup(1, 2);
    struct proc *p = &sched.procs[0];
    struct uthread *u = &threads[0];
    open_wait(u);
    timer_arm(p, u, seq_of(u), 10, 0);
    cr_assert(wait_claim(u, seq_of(u), WAKE_EVENT));
    cr_expect_eq(timers_run(p, 20), 0);
    cr_expect_eq(sched.gq_len, 0);
    cr_expect_eq(u->waitw & 15, WAKE_EVENT);
    cr_expect_lt(u->timer.index, 0);
    /* nor one armed for an earlier wait */
    open_wait(u);
    timer_arm(p, u, seq_of(u) - 1, 30, 0);
    cr_expect_eq(timers_run(p, 40), 0);
    cr_expect_eq(u->waitw & 15, WAITW_OPEN);
}

Test(timer, who_may_wait_longer_is_woken_with_others)
{
    sched_setup(1, 5);
    struct proc *p = &sched.procs[0];
    static const int64_t when[5] = {100, 104, 108, 90, 150}, slack[5] = {10, 100, 100, 100, 0};
    for (int i = 0; i < 5; i++) {
        open_wait(&threads[i]);
        timer_arm(p, &threads[i], seq_of(&threads[i]), when[i], slack[i]);
        due[i] = when[i];
    }
    heap_is_sound(p);
    cr_expect_eq(p->timer_min, 110);       /* 0's latest */
    cr_expect_eq(timers_run(p, 109), 0);   /* nobody has to look yet */
    cr_expect_eq(timers_run(p, 110), 1);   /* then comes 4, not before 150 */
    cr_expect_eq(threads[3].waitw & 15, WAITW_OPEN);
    cr_expect_eq(p->timer_min, 150);
    cr_expect_eq(timers_run(p, 150), 4);   /* with it the three that need not yet */
    cr_expect_eq(p->timer_min, INT64_MAX);
    open_wait(&threads[0]);
    timer_arm(p, &threads[0], seq_of(&threads[0]), INT64_MAX - 5, 100);
    cr_expect_eq(p->timer_min, INT64_MAX - 5);
}

Test(timer, the_earliest_of_all_procs)
{
    sched_setup(3, 3);
    cr_expect_eq(timers_min(), INT64_MAX);
    for (int i = 0; i < 3; i++) {
        open_wait(&threads[i]);
        timer_arm(&sched.procs[i], &threads[i], seq_of(&threads[i]), 50 - i, 0);
    }
    cr_expect_eq(timers_min(), 48);
    timer_disarm(&threads[2].timer);
    cr_expect_eq(timers_min(), 49);
}

/* Sleepers that are woken by others now and then, their timers on whatever proc, while a thread fires. */
enum { SLEEPERS = 4, SLEEPS = 20000 };
static uint32_t stop, wrong;
static int64_t clock_now = 1;

static void *fire(void *arg)
{
    while (!load_relaxed(&stop)) {
        int64_t now = __atomic_add_fetch(&clock_now, 1, __ATOMIC_SEQ_CST);
        for (uint32_t i = 0; i < sched.nprocs; i++)
            timers_run(&sched.procs[i], now);
        sched_yield(); /* more threads than CPUs */
    }
    return arg;
}

static void *sleeper(void *arg)
{
    struct uthread *u = arg;
    for (int i = 0; i < SLEEPS; i++) {
        open_wait(u);
        uint64_t seq = seq_of(u);
        timer_arm(&sched.procs[i % 2], u, seq, load_relaxed(&clock_now) + 2, 0);
        if (i % 3)
            wait_claim(u, seq, WAKE_EVENT);
        while ((load_relaxed(&u->waitw) & 15) == WAITW_OPEN)
            sched_yield();
        if ((load_relaxed(&u->waitw) & 15) == WAKE_TIMEOUT) { /* it was or is about to be readied: once */
            uint32_t n = 0;
            while (!n) {
                lock_take(&sched.lock);
                for (struct uthread **at = &sched.gq_head; *at; at = &(*at)->next)
                    if (*at == u) {
                        *at = u->next;
                        n++;
                        break;
                    }
                sched.gq_tail = sched.gq_head;
                while (sched.gq_tail && sched.gq_tail->next)
                    sched.gq_tail = sched.gq_tail->next;
                sched.gq_len -= n;
                lock_drop(&sched.lock);
                if (!n)
                    sched_yield();
            }
        }
        timer_disarm(&u->timer);
        if (load_relaxed(&u->timer.index) >= 0)
            store_relaxed(&wrong, 1u);
    }
    return NULL;
}

Test(timer, disarming_while_another_thread_fires, .timeout = 60)
{
    pthread_t f, t[SLEEPERS];
    sched_setup(2, SLEEPERS);
    cr_assert_eq(pthread_create(&f, NULL, fire, NULL), 0);
    for (int i = 0; i < SLEEPERS; i++)
        cr_assert_eq(pthread_create(&t[i], NULL, sleeper, &threads[i]), 0);
    for (int i = 0; i < SLEEPERS; i++)
        pthread_join(t[i], NULL);
    store_relaxed(&stop, 1u);
    pthread_join(f, NULL);
    cr_expect_not(wrong);
    cr_expect_eq(sched.gq_len, 0);
    for (int i = 0; i < 2; i++)
        cr_expect_eq(sched.procs[i].ntimers, 0);
}
