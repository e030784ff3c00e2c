/* Wired user threads: shim/sched/wire.c.
 *
 * Two procs, or one. User thread u is wired; its home is being born while somebody readies it for the first time. It parks and is readied
 * TURNS times by a waker that may come as soon as the wait is open, then ends, and with it its home. Worker O looks for work, and
 * hands u over. A change of credentials runs at any time: it counts the kernel threads there are, and waits for each. Another
 * worker is born when the slot may be used again.
 *
 * One step is one shared access, or what is done under a lock.
 *
 * Variants that must be found faulty:
 *   BUG_WAKE_FIRST   the hand-over sets wake before given
 *   BUG_BIRTH_TAKES  a home takes a proc that it finds given when it is born, though wake tells of it, too
 *   BUG_KEEP         (PROCS=1) a home sleeps with its proc
 *   BUG_WAKE_LATE    wake is cleared after given was taken and u ran
 *   BUG_NO_ALIVE     the slot is used again as soon as it is in the list
 *   BUG_NO_LOCK      an ending home takes itself off the count of kernel threads without the lock of births
 */
#define TURNS 3
#ifndef PROCS
#define PROCS 2
#endif

bit queued, given, wake, parked;
byte idle = PROCS; /* procs that are nobody's */
byte ran;
bit ended, listed, on_stack, alive, reused;
bit ktid = 1, birth_lock, due;

/* A proc is idle, given, O's or home's. */
bit o_has, h_has;
#define NONE_LOST (idle + given + o_has + h_has == PROCS)

active proctype waker() {
    byte n = 0;
    atomic { queued = 1 } /* the first time: it was just made */
    do
    :: n < TURNS - 1 -> atomic { parked -> parked = 0; queued = 1; n++ } /* the claim, and the queue */
    :: else -> break
    od
}

active proctype O() {
    do
    :: atomic { idle > 0 && queued -> idle--; o_has = 1; assert(NONE_LOST) }
        atomic { /* from the queue */
            assert(queued);
            queued = 0
        }
#ifdef BUG_WAKE_FIRST
        wake = 1;
        atomic { assert(!given); given = 1; o_has = 0 }
#else
        atomic { assert(!given); given = 1; o_has = 0 }
        wake = 1
#endif
    :: atomic { ended -> break }
    od
}

active proctype home() {
    bit last = 0;
    on_stack = 1;
    alive = 1;
#ifdef BUG_BIRTH_TAKES
    if
    :: atomic { given -> given = 0; h_has = 1 }
    :: !given
    fi;
#endif
    do
    :: /* wire_wait: the proc, if any, to others; sleep */
#ifndef BUG_KEEP
        if
        :: atomic { h_has -> h_has = 0; idle++ }
        :: !h_has
        fi;
#endif
        wake;
#ifndef BUG_WAKE_LATE
        wake = 0;
#endif
        atomic { assert(given); given = 0; h_has = 1; assert(NONE_LOST) }
        ran++;
#ifdef BUG_WAKE_LATE
        if
        :: ran < TURNS -> parked = 1
        :: else
        fi;
        wake = 0;
        if
        :: ran == TURNS -> break
        :: else
        fi
#else
        if
        :: ran < TURNS -> parked = 1 /* park_g0: from here on it may be readied, and handed over */
        :: else -> break
        fi
#endif
    od;
    /* worker_end */
    atomic { h_has = 0; idle++ };
#ifdef BUG_NO_LOCK
    ktid = 0;
#else
    do /* lock_take(&worker_birth): a poke is answered meanwhile */
    :: atomic { due -> due = 0 }
    :: atomic { !birth_lock && !due -> birth_lock = 1; break }
    od;
    ktid = 0;
    birth_lock = 0;
#endif
    listed = 1;
    on_stack = 0; /* the last instruction there */
    alive = 0;    /* the kernel */
    ended = 1
}

/* signal_all_workers: count under the lock, poke, wait for all. */
active proctype credentials() {
    atomic { !birth_lock -> birth_lock = 1 }
    if
    :: ktid ->
        due = 1;
        do /* in on_poke, wherever home is, but not when it has ended */
        :: atomic { due && ktid && on_stack -> due = 0 }
        :: !due -> break
        od
    :: !ktid
    fi;
    birth_lock = 0
}

active proctype birth() {
#ifdef BUG_NO_ALIVE
    atomic { listed -> assert(!on_stack); reused = 1 }
#else
    atomic { listed && !alive -> assert(!on_stack); reused = 1 }
#endif
}

/* When nothing goes on any more: everybody ran, and the procs are there. */
active proctype watcher() {
    timeout;
    assert(ran == TURNS && ended && reused && idle == PROCS && !birth_lock)
}
