/* shim/sched/runq.c: whatever is put in comes out once, in order where one thread looks, and complete
 * where owners, thieves and the global queue work at once. */
#include "sched_setup.h"

#include <pthread.h>

Test(runq, first_in_first_out_and_next_goes_first)
{
    bool inherit;
    sched_setup(2, 300);
    struct proc *p = &sched.procs[0];
    for (int i = 0; i < 200; i++)
        cr_assert(runq_put_tail(p, &threads[i]));
    p->next = &threads[250];
    cr_expect_eq(runq_len(p), 201);
    cr_expect_eq(runq_get(p, &inherit), &threads[250]);
    cr_expect(inherit);
    for (int i = 0; i < 200; i++) {
        cr_assert_eq(runq_get(p, &inherit), &threads[i]);
        cr_assert_not(inherit);
    }
    cr_expect_null(runq_get(p, &inherit));
}

Test(runq, who_was_displaced_runs_before_the_next_slot_is_used_again)
{
    bool inherit;
    sched_setup(1, 20);
    struct proc *p = &sched.procs[0];
    cr_assert(runq_put_tail(p, &threads[0]));
    cr_expect_not(runq_put_next(p, &threads[1], true));
    cr_expect_eq(runq_get(p, &inherit), &threads[1]);
    cr_expect(inherit);
    /* one wakes three, and parks */
    cr_expect_not(runq_put_next(p, &threads[1], true));
    cr_expect(runq_put_next(p, &threads[2], true));
    cr_expect(runq_put_next(p, &threads[3], true));
    static const int then[] = {0, 1};
    for (int i = 0; i < 2; i++) { /* each of which wakes another */
        cr_expect_eq(runq_get(p, &inherit), &threads[then[i]]);
        cr_expect_not(inherit);
        cr_expect_not(runq_put_next(p, &threads[4 + i], true));
    }
    cr_expect_eq(runq_get(p, &inherit), &threads[5]);
    cr_expect(inherit);
    static const int rest[] = {2, 3, 4};
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(runq_get(p, &inherit), &threads[rest[i]]);
        cr_expect_not(inherit);
    }
    cr_expect_null(runq_get(p, &inherit));
    /* nothing is owed where nobody is left, stolen perhaps */
    cr_expect_not(runq_put_next(p, &threads[1], true));
    cr_expect(runq_put_next(p, &threads[2], true));
    cr_expect_eq(runq_take(p), &threads[2]);
    cr_expect_eq(runq_take(p), &threads[1]);
    cr_expect_not(runq_put_next(p, &threads[3], true));
    cr_expect_eq(runq_get(p, &inherit), &threads[3]);
    cr_expect(inherit);
    cr_assert(runq_put_tail(p, &threads[4]));
    cr_expect_not(runq_put_next(p, &threads[5], true));
    cr_expect_eq(runq_get(p, &inherit), &threads[5]);
    cr_expect(inherit);
}

Test(runq, who_is_displaced_by_a_timers_is_owed_nothing)
{
    bool inherit;
    sched_setup(1, 4);
    struct proc *p = &sched.procs[0];
    cr_assert(runq_put_tail(p, &threads[0]));
    cr_expect_not(runq_put_next(p, &threads[1], true));
    cr_expect(runq_put_next(p, &threads[2], false));
    cr_expect_eq(runq_get(p, &inherit), &threads[2]);
    cr_expect(inherit);
}

Test(runq, a_full_ring_moves_half_to_the_global_queue)
{
    bool inherit;
    sched_setup(1, 300);
    struct proc *p = &sched.procs[0];
    for (int i = 0; i < RUNQ_SIZE; i++)
        cr_assert(runq_put_tail(p, &threads[i]));
    cr_expect_not(runq_put_tail(p, &threads[RUNQ_SIZE]));
    cr_expect_eq(runq_len(p), RUNQ_SIZE / 2);
    cr_expect_eq(sched.gq_len, RUNQ_SIZE / 2 + 1);
    cr_expect_eq(stats->global_runq, sched.gq_len);
    cr_expect_eq(runq_get(p, &inherit), &threads[RUNQ_SIZE / 2]);
    /* The global queue: the older half, then the one that found no room. */
    cr_expect_eq(gq_get(p, 1), &threads[0]);
    int n = 0;
    for (struct uthread *u = sched.gq_head; u; u = u->next)
        n++;
    cr_expect_eq(n, (int)sched.gq_len);
    cr_expect_eq(stats->global_runq, sched.gq_len);
    cr_expect_eq(sched.gq_tail, &threads[RUNQ_SIZE]);
}

Test(runq, a_thief_takes_half_and_next_only_when_told)
{
    struct uthread *u = NULL;
    sched_setup(2, 16);
    struct proc *p = &sched.procs[0], *v = &sched.procs[1];
    for (int i = 0; i < 7; i++)
        runq_put_tail(v, &threads[i]);
    cr_expect_eq(runq_steal(p, v, false, &u), 4);
    cr_expect_eq(u, &threads[3]);
    cr_expect_eq(runq_len(p), 3);
    cr_expect_eq(runq_len(v), 3);
    bool inherit;
    while (runq_get(v, &inherit))
        ;
    v->next = &threads[9];
    cr_expect_eq(runq_steal(p, v, false, &u), 0);
    cr_expect_eq(runq_steal(p, v, true, &u), 1);
    cr_expect_eq(u, &threads[9]);
    cr_expect_eq(u->wake_soon, 1);
    cr_expect_null(v->next);
}

/* One owner per proc puts, gets and, when empty, steals; each user thread carries a count of its rounds. */
enum { OWNERS = 4, EACH = 400, ROUNDS = 600 };
static uint32_t live, twice;
static uint32_t rounds[OWNERS * EACH], held[OWNERS * EACH];

static void *owner(void *arg)
{
    struct proc *p = arg;
    bool inherit;
    while (load_relaxed(&live)) {
        struct uthread *u = runq_get(p, &inherit);
        if (!u)
            u = gq_get(p, RUNQ_SIZE / 2);
        for (uint32_t i = 1; !u && i < OWNERS; i++)
            if (!runq_steal(p, &sched.procs[(p->index + i) % OWNERS], proc_random(p) & 1, &u))
                u = NULL;
        if (!u)
            continue;
        uint32_t i = u->index;
        if (xchg(&held[i], 1u))
            store_relaxed(&twice, 1u);
        bool more = ++rounds[i] < ROUNDS;
        store_release(&held[i], 0u);
        if (!more)
            add_fetch(&live, -1u);
        else if (proc_random(p) % 3 == 0) {
            struct uthread *old = xchg(&p->next, u);
            if (old)
                runq_put_tail(p, old);
        } else if (proc_random(p) % 16 == 0)
            gq_put(u);
        else
            runq_put_tail(p, u);
    }
    return NULL;
}

Test(runq, owners_and_thieves_lose_and_double_nothing, .timeout = 60)
{
    pthread_t t[OWNERS];
    sched_setup(OWNERS, OWNERS * EACH);
    live = OWNERS * EACH;
    for (uint32_t i = 0; i < OWNERS * EACH; i++)
        runq_put_tail(&sched.procs[i % 2], &threads[i]); /* beyond the rings: the global queue */
    for (int i = 0; i < OWNERS; i++)
        cr_assert_eq(pthread_create(&t[i], NULL, owner, &sched.procs[i]), 0);
    for (int i = 0; i < OWNERS; i++)
        pthread_join(t[i], NULL);
    cr_expect_not(twice);
    for (uint32_t i = 0; i < OWNERS * EACH; i++)
        cr_assert_eq(rounds[i], ROUNDS);
    cr_expect_eq(sched.gq_len, 0);
    for (int i = 0; i < OWNERS; i++)
        cr_expect_eq(runq_len(&sched.procs[i]), 0);
}
