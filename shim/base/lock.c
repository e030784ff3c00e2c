#include "lock.h"
#include "sys.h"

#include <linux/futex.h>

enum { SPINS = 200 };

cold void lock_slow(struct lock *l)
{
    for (int i = 0; i < SPINS; i++) {
        if (lock_try(l))
            return;
        cpu_relax();
    }
    while (!lock_try(l)) {
        uint32_t v = load_relaxed(&l->word);
        if (!(v & LOCK_HELD) || (!(v & LOCK_SLEEPERS) && !cas(&l->word, v, v | LOCK_SLEEPERS)))
            continue;
        /* Who drops it from now on sees that we may sleep; who did and has not seen it, that it is dropped is seen by the kernel, which compares. */
        if (membarrier() < 0) /* not registered: before activation */
            sys0(__NR_sched_yield);
        else
            sys6(__NR_futex, P(&l->word), FUTEX_WAIT_PRIVATE, LOCK_HELD | LOCK_SLEEPERS, 0, 0, 0);
    }
}

cold void lock_wake(struct lock *l)
{
    store_release(&((uint8_t *)&l->word)[1], (uint8_t)0); /* before they are woken: whoever sleeps after says so anew */
    sys6(__NR_futex, P(&l->word), FUTEX_WAKE_PRIVATE, INT32_MAX, 0, 0, 0);
}
