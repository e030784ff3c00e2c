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
    while (xchg(&l->word, 2u) != 0)
        sys6(__NR_futex, P(&l->word), FUTEX_WAIT_PRIVATE, 2, 0, 0, 0);
}

cold void lock_wake(struct lock *l)
{
    sys6(__NR_futex, P(&l->word), FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
}
