/* A short lock for shim data: spins, then sleeps in the kernel, so that a holder that the kernel
 * preempted does not burn the others' time. Never held across a switch of user threads; taken
 * only in shim code, into which no handler of the program is delivered: so it cannot be met
 * held by the thread that wants it.
 */
#ifndef HANDOFF_LOCK_H
#define HANDOFF_LOCK_H

#include "atomic.h"
#include "base.h"

struct lock {
    uint32_t word; /* 0 free, 1 held, 2 held and somebody may sleep */
};

void lock_slow(struct lock *l);
void lock_wake(struct lock *l);

static inline void lock_take(struct lock *l)
{
    if (unlikely(!cas(&l->word, 0u, 1u)))
        lock_slow(l);
}
static inline bool lock_try(struct lock *l)
{
    return load_relaxed(&l->word) == 0 && cas(&l->word, 0u, 1u);
}
static inline void lock_drop(struct lock *l)
{
    if (unlikely(xchg(&l->word, 0u) == 2))
        lock_wake(l);
}
static inline bool lock_held(const struct lock *l)
{
    return load_relaxed(&l->word) != 0;
}

#endif
