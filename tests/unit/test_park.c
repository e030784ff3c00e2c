/* shim/sched/park.c: who wins a wait. */
#include "sched_setup.h"

#include <sched.h>
#include <pthread.h>

static void open_now(struct uthread *u, uint64_t seq)
{
    xchg(&u->waitw, seq << WAITW_SHIFT | WAITW_OPEN);
}

Test(wait, cannot_be_claimed_before_it_is_open_nor_twice_nor_when_past)
{
    sched_setup(1, 1);
    struct uthread *u = &threads[0];
    uint64_t seq = wait_open(u);
    cr_expect_not(wait_claim(u, seq, WAKE_EVENT));
    open_now(u, seq);
    cr_expect_not(wait_claim(u, seq - 1, WAKE_EVENT));
    cr_expect(wait_claim(u, seq, WAKE_SIGNAL));
    cr_expect_not(wait_claim(u, seq, WAKE_EVENT));
    cr_expect_eq(u->waitw & 15, WAKE_SIGNAL);
    cr_expect_eq(wait_open(u), seq + 1);
}

Test(wait, a_waker_too_early_leaves_a_mark)
{
    sched_setup(1, 1);
    struct uthread *u = &threads[0];
    uint64_t seq = wait_open(u);
    cr_expect_eq(wait_claim_or_mark(u, seq, WAKE_EVENT), CLAIM_MARKED);
    cr_expect_eq(u->wait_missed, seq);
}

Test(wait, a_late_mark_does_not_hide_a_newer_one)
{
    sched_setup(1, 1);
    struct uthread *u = &threads[0];
    uint64_t old = wait_open(u), seq = wait_open(u);
    cr_expect_eq(wait_claim_or_mark(u, seq, WAKE_EVENT), CLAIM_MARKED);
    cr_expect_eq(wait_claim_or_mark(u, old, WAKE_EVENT), CLAIM_NO);
    cr_expect_eq(u->wait_missed, seq);
}

/* Two wakers, the parking side between them: one claim per wait, and none is lost. */
enum { WAITS = 100000 };
static uint64_t opened, claims[2];
static uint32_t stop;

static void *waker(void *arg)
{
    struct uthread *u = &threads[0];
    uint64_t *n = arg, last = 0;
    while (!load_relaxed(&stop)) {
        uint64_t seq = load_acquire(&opened);
        if (seq == last) {
            sched_yield(); /* three threads, perhaps one CPU */
            continue;
        }
        last = seq;
        *n += wait_claim_or_mark(u, seq, WAKE_EVENT) == CLAIM_YES;
    }
    return NULL;
}

Test(wait, every_wait_ends_once, .timeout = 60)
{
    pthread_t t[2];
    sched_setup(1, 1);
    struct uthread *u = &threads[0];
    uint64_t own = 0;
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&t[i], NULL, waker, &claims[i]), 0);
    for (int i = 0; i < WAITS; i++) {
        uint64_t seq = wait_open(u);
        store_release(&opened, seq); /* linked: wakers find us from here on */
        open_now(u, seq);            /* park_g0 */
        if (load_acquire(&u->wait_missed) == seq)
            own += wait_claim(u, seq, WAKE_EVENT); /* poll_commit */
        while ((load_relaxed(&u->waitw) & 15) == WAITW_OPEN)
            sched_yield();
    }
    store_relaxed(&stop, 1u);
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    cr_expect_eq(own + claims[0] + claims[1], WAITS);
}
