/* A short lock for shim data: spins, then sleeps in the kernel, so that a holder that the kernel
 * preempted does not burn the others' time. Never held across a switch of user threads; taken
 * only in shim code, into which no handler of the program is delivered: so it cannot be met
 * held by the thread that wants it.
 *
 * The word has a byte that says "held", and one that says "somebody may sleep". To drop it is a store of the one and a look at the other. There need be
 * no barrier between them: who is about to sleep makes all processors pass one (membarrier). The model: tests/models/lock.pml.
 */
#ifndef HANDOFF_LOCK_H
#define HANDOFF_LOCK_H

#include "atomic.h"
#include "base.h"

struct lock {
    uint32_t word; /* LOCK_HELD | LOCK_SLEEPERS */
};
#define LOCK_HELD     0x001u /* byte 0 */
#define LOCK_SLEEPERS 0x100u /* byte 1 */

void lock_slow(struct lock *l);
void lock_wake(struct lock *l);

static inline void lock_take(struct lock *l)
{
    if (unlikely(!cas(&l->word, 0u, LOCK_HELD)))
        lock_slow(l);
}
static inline bool lock_try(struct lock *l)
{
    uint32_t v = load_relaxed(&l->word);
    return !(v & LOCK_HELD) && cas(&l->word, v, v | LOCK_HELD);
}
/* A release, and no more: what follows may be done before others see it dropped. */
static inline void lock_drop_plain(struct lock *l)
{
    uint8_t *bytes = (uint8_t *)&l->word;
    store_release(&bytes[0], (uint8_t)0);
    fence_compiler(); /* pairs with the membarrier in lock_slow */
    if (unlikely(load_relaxed(&bytes[1])))
        lock_wake(l);
}
/* Likewise, and a full barrier. */
static inline void lock_drop(struct lock *l)
{
    uint8_t *bytes = (uint8_t *)&l->word;
    xchg(&bytes[0], (uint8_t)0);
    if (unlikely(load_relaxed(&bytes[1])))
        lock_wake(l);
}
static inline bool lock_held(const struct lock *l)
{
    return load_relaxed(&l->word) & LOCK_HELD;
}

#endif
