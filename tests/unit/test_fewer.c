/* shim/sched/fewer.c: so many procs stay in use as get the most done, whatever the load does meanwhile. */
#include "sched_setup.h"

enum { MS = 1000000 };

static int64_t now = 1000 * (int64_t)MS;

/* What all procs together dispatch in a millisecond while n are in use. */
typedef uint64_t load(uint32_t n);

static load *calls_of; /* likewise; NULL: two for each dispatch */

/* For so many ms, as sysmon does it. Returns for how many of them each number was in use, in thousandths. */
static void run(load *of, int ms, unsigned used[17])
{
    int64_t end = now + (int64_t)ms * MS, total = 0;
    int64_t at[17] = {0};
    while (now < end) {
        int64_t in = fewer_look(now);
        if (in > 10 * MS)
            in = 10 * MS;
        const uint32_t n = sched.nprocs;
        const uint64_t rate = of(n);
        for (uint32_t i = 0; i < n; i++)
            sched.procs[i].st->dispatches += rate * (uint64_t)in / MS / n;
        sched.workers[0].emuls += (uint32_t)((calls_of ? calls_of(n) : rate * 2) * (uint64_t)in / MS);
        /* What workers would do, of which there are none: take procs into use, and give them up. */
        for (uint32_t i = 0; i < sched.nprocs_most; i++)
            sched.procs[i].unused = i >= n;
        sched.surplus = sched.nidle_procs = 0;
        sched.idle_procs = NULL;
        now += in;
        at[n] += in;
        total += in;
    }
    for (int n = 0; n <= 16; n++)
        used[n] = (unsigned)(at[n] * 1000 / total);
}

static void setup(uint32_t n)
{
    sched_setup(n, 1);
    static struct worker one; /* whose calls are counted */
    one = (struct worker){0};
    sched.workers = &one;
    sched.nworkers = 1;
    fewer_reset();
    sched.crowded_until = 0;
    calls_of = NULL;
}

static void setup_crowded(uint32_t n)
{
    setup(n);
    sched.crowded_until = tsc_now() + (uint64_t)ns_to_tsc(1000 * NSEC_PER_SEC);
}

/* Turns of 10 us; +- 30 %, as the kernel and others have it. */
static uint64_t noisy(uint64_t rate)
{
    static uint64_t x = 1;
    x = x * 6364136223846793005u + 1442695040888963407u;
    return rate * (700 + (x >> 33) % 601) / 1000;
}
static uint64_t clients_need_the_cpu(uint32_t n)
{
    return noisy(n == 1 ? 170 : 130);
}
static uint64_t other_has_share(uint32_t n)
{
    return noisy(n == 1 ? 70 : 100);
}
static uint64_t same_for_all(uint32_t n)
{
    return noisy(n > 0 ? 100 : 0);
}
static uint64_t three_of_four(uint32_t n)
{
    return noisy(n == 3 ? 140 : n == 4 ? 100 : 45 * n);
}

static uint64_t in_the_way(uint32_t n)
{
    return n == 1 ? 2900 : n == 2 ? 1900 : 1500;
}
static uint64_t independent(uint32_t n)
{
    return 5000 * n;
}
static uint64_t as_good(uint32_t n)
{
    return n == 1 ? 2100 : 1900;
}
static uint64_t long_turns(uint32_t n)
{
    return n == 1 ? 290 : 190;
}
static uint64_t best_of_four(uint32_t n)
{
    return n == 4 ? 90000 : n > 4 ? 360000 / n : 20000 * n;
}

Test(fewer, one_where_two_are_in_each_others_way)
{
    unsigned used[17];
    setup(2);
    run(in_the_way, 3000, used);
    cr_expect_gt(used[1], 960, "%u", used[1]);
}

Test(fewer, all_where_each_does_its_part)
{
    unsigned used[17];
    setup(2);
    run(independent, 10000, used);
    cr_expect_gt(used[2], 990, "%u", used[2]);
}

Test(fewer, all_where_it_hardly_matters)
{
    unsigned used[17];
    setup(2);
    run(as_good, 10000, used);
    cr_expect_gt(used[2], 990, "%u", used[2]);
}

Test(fewer, no_trial_where_turns_are_long)
{
    unsigned used[17];
    setup(2);
    run(long_turns, 3000, used);
    cr_expect_eq(used[2], 1000, "%u", used[2]);
}

Test(fewer, no_trial_beside_one_that_computes)
{
    unsigned used[17];
    setup(2);
    int64_t end = now + 500 * MS;
    for (; now < end; now += 2 * MS) {
        fewer_look(now);
        cr_assert_eq(sched.nprocs, 2u);
        sched.procs[0].st->dispatches += 20000; /* and procs[1] none */
    }
    run(in_the_way, 500, used);
    cr_expect_gt(used[1], 900, "%u", used[1]);
}

Test(fewer, half_and_half_again_down_to_what_is_best)
{
    unsigned used[17];
    setup(16);
    run(best_of_four, 3000, used);
    cr_expect_gt(used[4], 900, "%u", used[4]);
}

Test(fewer, soon_all_again_when_the_load_changes)
{
    unsigned used[17];
    setup(2);
    run(in_the_way, 100, used);
    cr_assert_eq(sched.nprocs, 1u);
    run(long_turns, 20, used);
    cr_expect_eq(sched.nprocs, 2u);
    run(in_the_way, 300, used);
    cr_expect_eq(sched.nprocs, 1u);
}

Test(fewer, what_is_wanted_changes)
{
    unsigned used[17];
    setup(4);
    run(in_the_way, 100, used);
    cr_assert_eq(sched.nprocs, 1u);
    procs_wanted(2);
    cr_expect_eq(sched.nprocs, 2u);
    run(independent, 3000, used);
    cr_expect_gt(used[2], 970, "%u", used[2]);
    procs_wanted(4);
    cr_expect_eq(sched.nprocs, 4u);
}

Test(fewer, one_where_the_clients_need_the_other_cpu)
{
    unsigned used[17];
    setup_crowded(2);
    run(clients_need_the_cpu, 2000, used);
    run(clients_need_the_cpu, 20000, used);
    cr_expect_gt(used[1], 850, "%u", used[1]);
}

Test(fewer, all_where_two_have_the_larger_share)
{
    unsigned used[17];
    setup_crowded(2);
    run(other_has_share, 20000, used);
    cr_expect_gt(used[2], 960, "%u", used[2]);
}

Test(fewer, trials_are_few_where_it_is_the_same)
{
    unsigned used[17];
    setup_crowded(2);
    run(same_for_all, 20000, used);
    cr_expect_gt(used[2], 750, "%u", used[2]);
}

Test(fewer, three_of_four_where_that_is_best)
{
    unsigned used[17];
    setup_crowded(4);
    run(three_of_four, 2000, used);
    run(three_of_four, 20000, used);
    cr_expect_gt(used[3], 850, "%u", used[3]);
}

Test(fewer, no_trial_where_nobody_waits_for_a_cpu)
{
    unsigned used[17];
    setup(2);
    run(clients_need_the_cpu, 5000, used);
    cr_expect_eq(used[2], 1000, "%u", used[2]);
}

Test(fewer, all_again_once_two_do_more)
{
    unsigned used[17];
    setup_crowded(2);
    run(clients_need_the_cpu, 2000, used);
    cr_assert_eq(sched.nprocs, 1u);
    run(other_has_share, 1000, used);
    run(other_has_share, 20000, used);
    cr_expect_gt(used[2], 900, "%u", used[2]);
}

/* A request is recv and send; where its thread had to wait, a recv that found nothing and poll, too. With one proc more threads wait, and as much gets done. */
static uint64_t requests;
static uint64_t all_wait(uint32_t n)
{
    requests = noisy(300);
    return n == 1 ? requests / 10 : requests / 12;
}
static uint64_t calls_where_all_wait(uint32_t n)
{
    return requests / 5 + 2 * (n == 1 ? requests / 10 : requests / 12);
}

Test(fewer, waits_are_not_work)
{
    unsigned used[17];
    setup_crowded(2);
    calls_of = calls_where_all_wait;
    run(all_wait, 20000, used);
    cr_expect_gt(used[2], 900, "%u", used[2]);
}

static uint64_t few_dispatches(uint32_t n)
{
    return n == 1 ? 8 : 4;
}

Test(fewer, no_trial_where_hardly_anybody_waits)
{
    unsigned used[17];
    setup_crowded(2);
    calls_of = clients_need_the_cpu;
    run(few_dispatches, 5000, used);
    cr_expect_eq(used[2], 1000, "%u", used[2]);
}
