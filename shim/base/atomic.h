/* Atomic accesses, the ordering in the name. Every release names, at its use, the acquire it
 * pairs with. RMW operations (xchg, cas, add, or, and) are full barriers on every target we have.
 */
#ifndef HANDOFF_ATOMIC_H
#define HANDOFF_ATOMIC_H

#define load_relaxed(p)     __atomic_load_n((p), __ATOMIC_RELAXED)
#define load_acquire(p)     __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define store_seq(p, v)     __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define xchg(p, v)          __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
#define add_fetch(p, v)     __atomic_add_fetch((p), (v), __ATOMIC_SEQ_CST)
#define fetch_add(p, v)     __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST)
#define fetch_or(p, v)      __atomic_fetch_or((p), (v), __ATOMIC_SEQ_CST)
#define fetch_and(p, v)     __atomic_fetch_and((p), (v), __ATOMIC_SEQ_CST)
#define fence_full()        __atomic_thread_fence(__ATOMIC_SEQ_CST)
/* Orders for the compiler only: the other side of an asymmetric (membarrier) pair. */
#define fence_compiler()    __atomic_signal_fence(__ATOMIC_SEQ_CST)
#define cpu_relax()         __builtin_ia32_pause()

/* True when *p was `expect` and is now `v`. */
#define cas(p, expect, v)                                                                          \
    ({                                                                                             \
        __typeof__(*(p)) cas_expect_ = (expect);                                                   \
        __atomic_compare_exchange_n((p), &cas_expect_, (v), 0, __ATOMIC_SEQ_CST,                   \
                                    __ATOMIC_SEQ_CST);                                             \
    })

#endif
