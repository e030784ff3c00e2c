/* shim/sched/contend.c: dispatches are put off where a lock comes and goes, and only there. */
#include "sched_setup.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

static uint32_t lock;
static bool over;

/* One thread has failed at the lock, another is about to run. */
static struct proc *setup(void)
{
    sched_setup(2, 4);
    for (int i = 0; i < 4; i++) {
        threads[i].futex.addr = &lock;
        threads[i].futex.lock = true;
        threads[i].pub->wait = WAIT_FUTEX;
    }
    return &sched.procs[0];
}
static bool look(struct proc *p)
{
    p->contended = &lock;
    const bool r = contend_look(p, &threads[0]);
    cr_assert_null(p->contended);
    return r;
}

static void *takes_and_drops(void *arg)
{
    while (!__atomic_load_n(&over, __ATOMIC_RELAXED))
        __atomic_fetch_xor(&lock, 1u, __ATOMIC_SEQ_CST);
    return arg;
}

Test(contend, a_lock_that_comes_and_goes_is_noticed)
{
    struct proc *p = setup();
    pthread_t t;
    cpu_set_t cpus;
    if (sched_getaffinity(0, sizeof cpus, &cpus) == 0 && CPU_COUNT(&cpus) < 2)
        cr_skip_test("a single CPU");
    cr_assert_eq(pthread_create(&t, NULL, takes_and_drops, NULL), 0);
    const time_t end = time(NULL) + 20; /* the other CPU may be busy */
    while (!p->st->lock_delays && time(NULL) < end)
        look(p);
    __atomic_store_n(&over, true, __ATOMIC_RELAXED);
    pthread_join(t, NULL);
    cr_expect(p->st->lock_delays);
}

Test(contend, one_that_stays_is_looked_at_less_and_less)
{
    for (uint32_t held = 0; held < 2; held++) {
        struct proc *p = setup();
        int looks = 0;
        lock = held ? 2 : 0;
        for (int i = 0; i < 1000; i++)
            looks += look(p);
        cr_expect_leq(looks, 9);
        cr_expect_geq(looks, 2);
        cr_expect_eq(p->st->lock_delays, 0);
    }
}

Test(contend, nobody_waits_where_there_is_something_better_to_do)
{
    struct proc *p = setup();
    cr_expect(look(p));
    p->contend_leave = 0;

    threads[0].futex.addr = &lock + 1; /* it waited for another */
    cr_expect_not(look(p));
    threads[0].futex.addr = &lock;
    threads[0].futex.lock = false; /* not a lock */
    cr_expect_not(look(p));
    threads[0].futex.lock = true;
    threads[0].pub->wait = WAIT_READ; /* that was long ago */
    cr_expect_not(look(p));
    threads[0].pub->wait = WAIT_FUTEX;

    cr_assert(runq_put_tail(p, &threads[1])); /* another of its kind */
    cr_expect(look(p));
    p->contend_leave = 0;
    threads[1].futex.addr = NULL; /* somebody who wants something else */
    cr_expect_not(look(p));
    bool inherit;
    cr_assert_eq(runq_get(p, &inherit), &threads[1]);

    sched.nidle_procs = 1; /* nobody runs elsewhere */
    cr_expect_not(look(p));
    sched.nidle_procs = 0;
    sched.crowded_until = UINT64_MAX / 2; /* other processes want the CPU */
    cr_expect_not(look(p));
    sched.crowded_until = 0;
    gq_put(&threads[2]);
    cr_expect_not(look(p));
}
