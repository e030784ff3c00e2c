/* Parking and readying: shim/sched/park.c; fd_wait and fd_event of shim/emul/fd.c; wait_many of shim/emul/ready.c; uthread_poke.
 *
 * One user thread makes two waits on two descriptor records: each of the kind of fd_wait (one record, its lock held from the
 * compare until commit), or of wait_many (linked to a set of records before the wait opens). Each record has one
 * edge to come; there is one signal, and a timer that may fire once it is armed. Steps are shared accesses; a store
 * that is not followed by a barrier before the load that matters is written as a variant.
 *
 * All actors at once make too large a search: run it without each in turn (NO_EDGE: the second edge, NO_SIGNAL, NO_TIMER).
 *
 * Checked: nobody readies what is not saved (assert in `ready`); at most one ready per park (likewise); when everything
 * has stopped, the user thread is not parked over an edge that came after it looked, nor over a signal.
 *
 * Variants that must be found faulty:
 *   BUG_OPEN_EARLY       wait_open opens the wait at once: readied while still running
 *   BUG_ATTN_EARLY       park_g0 looks at attn before the wait is open (no barrier (1))
 *   BUG_ATTN_LATE        uthread_poke looks at the wait before attn is seen (no barrier (2))
 *   BUG_NO_SECOND_CLAIM  wait_claim_or_mark does not try again after the mark
 *   BUG_NO_COMMIT_LOOK   park_g0 does not look at the mark
 *   BUG_TIMER_LATE       park_g0 arms the timer after the wait is open: a signal may have set the user thread running already
 *   BUG_MARK_OVERWRITES  a mark for an older wait may replace that of a newer one
 *   BUG_NO_COMPARE       edges are not compared under the record's lock before linking
 */
#define PREP 1
#define OPEN 2
#define DONE 3
#define NREC 2
#define NWAIT 2

byte seq, wstate;     /* waitw: one word */
byte missed;          /* wait_missed */
bit attn;
bit saved, runnable;  /* ghosts */
byte timer_seq;       /* armed for; 0: not */
bit lck[NREC], linked[NREC], waiter_poll[NREC];
byte waiter_seq[NREC];
byte edges[NREC], seen[NREC];
bit watching[NREC];
bit parked;
byte go, by_lock;     /* from ctx_park to park_g0: which wait; 1 + the record whose lock commit drops */

#define LOCK(r)   atomic { !lck[r] -> lck[r] = 1 }
#define UNLOCK(r) lck[r] = 0

inline ready() {
    atomic {
        assert(saved && !runnable);
        runnable = 1
    }
}
inline claim(s, ok) { atomic { if :: wstate == OPEN && seq == s -> wstate = DONE; ok = 1 :: else -> ok = 0 fi } }

inline arm_timer(w) { atomic { assert(timer_seq == 0); timer_seq = w } } /* timer_arm's invariant */

/* wait_claim_or_mark */
inline claim_or_mark(s, ok) {
    claim(s, ok);
    if
    :: !ok ->
#ifdef BUG_MARK_OVERWRITES
        missed = s;
#else
        atomic { if :: missed < s -> missed = s :: else fi } /* only upwards */
#endif
#ifndef BUG_NO_SECOND_CLAIM
        claim(s, ok)
#endif
    :: else
    fi
}

inline withdraw(r) {
    if
    :: linked[r] -> atomic { !lck[r] -> linked[r] = 0 }
    :: else
    fi
}

proctype uthread()
{
    bit set0, set1, poll, again;

next:
    atomic {
        set0 = 0; set1 = 0; poll = 0; again = 0;
        if :: seq == NWAIT -> goto out :: else fi;
        if
        :: set0 = 1
        :: set1 = 1
        :: set0 = 1; poll = 1
        :: set1 = 1; poll = 1
        :: set0 = 1; set1 = 1; poll = 1
        fi
    }
    /* sample, then try the call: nothing there */
    atomic { seen[0] = edges[0]; seen[1] = edges[1]; watching[0] = set0; watching[1] = set1 }

    if
    :: atomic { !poll && set0 -> !lck[0]; if :: edges[0] != seen[0] -> goto back :: else -> lck[0] = 1 fi }
    :: atomic { !poll && set1 -> !lck[1]; if :: edges[1] != seen[1] -> goto back :: else -> lck[1] = 1 fi }
    :: else
    fi;
#ifdef BUG_OPEN_EARLY
    atomic { seq++; wstate = OPEN; saved = 0 }
#else
    atomic { seq++; wstate = PREP; saved = 0 }
#endif
    if
    :: !poll ->
        if
        :: set0 -> atomic { linked[0] = 1; waiter_seq[0] = seq; waiter_poll[0] = 0 }
        :: else -> atomic { linked[1] = 1; waiter_seq[1] = seq; waiter_poll[1] = 0 }
        fi
    :: else ->
        if
        :: set0 ->
            atomic { !lck[0]; /* the lock's whole span */
#ifndef BUG_NO_COMPARE
            again = (edges[0] != seen[0]);
#endif
            if :: !again -> linked[0] = 1; waiter_seq[0] = seq; waiter_poll[0] = 1 :: else fi }
        :: else
        fi;
        if
        :: set1 && !again ->
            atomic { !lck[1]; /* the lock's whole span */
#ifndef BUG_NO_COMPARE
            again = (edges[1] != seen[1]);
#endif
            if :: !again -> linked[1] = 1; waiter_seq[1] = seq; waiter_poll[1] = 1 :: else fi }
        :: else
        fi;
        if :: again -> goto awake :: else fi
    fi;
    atomic { parked = 1; saved = 1; go = seq; by_lock = (poll -> 0 : 1 + set1) } /* ctx_park: over to park_g0 */
end_parked:
    atomic { runnable -> runnable = 0; saved = 0; parked = 0 }
    timer_seq = 0; /* timer_disarm */
awake:
    withdraw(0);
    withdraw(1);
back: /* the way out of the hook: signals */
    atomic { watching[0] = 0; watching[1] = 0 }
    attn = 0;
    goto next;
out:
    skip
}

/* park_g0 of wait `s`, on that worker's scheduler stack: from the moment that the wait is open the user thread may run on. */
proctype g0(byte s)
{
    bit ok, signalled;
    byte drop;
    atomic { go == s -> drop = by_lock; go = 0 }
#ifndef BUG_TIMER_LATE
    if :: arm_timer(s) :: skip fi;
#endif
#ifdef BUG_ATTN_EARLY
    signalled = attn;
#endif
    wstate = OPEN; /* xchg: barrier (1) */
#ifdef BUG_TIMER_LATE
    if :: arm_timer(s) :: skip fi;
#endif
    if
    :: drop > 0 -> UNLOCK(drop - 1) /* commit */
    :: else
    fi;
#ifndef BUG_NO_COMMIT_LOOK
    if
    :: missed == s -> claim(s, ok); if :: ok -> ready(); ok = 0 :: else fi
    :: else
    fi;
#endif
#ifndef BUG_ATTN_EARLY
    signalled = attn;
#endif
    if
    :: signalled -> claim(s, ok); if :: ok -> ready() :: else fi
    :: else
    fi
}

/* fd_event: an edge of record r */
proctype edge(byte r)
{
    bit ok;
    byte s;
    atomic { !lck[r] -> lck[r] = 1; edges[r]++ }
    if
    :: atomic { linked[r] -> s = waiter_seq[r]; linked[r] = 0 }
        if
        :: waiter_poll[r] -> claim_or_mark(s, ok)
        :: else -> claim(s, ok)
        fi
    :: else
    fi;
    UNLOCK(r);
    if :: ok -> ready() :: else fi
}

/* uthread_poke */
proctype signal()
{
    bit ok;
    byte s, st;
#ifndef BUG_ATTN_LATE
    attn = 1; /* RMW: barrier (2) */
#endif
    atomic { s = seq; st = wstate }
#ifdef BUG_ATTN_LATE
    attn = 1;
#endif
    if
    :: st == OPEN -> claim(s, ok); if :: ok -> ready() :: else fi
    :: else /* it runs, and every way out of a hook looks at attn */
    fi
}

/* timers_run, of whatever worker */
proctype timer()
{
    bit ok;
    byte s;
end:
    atomic { timer_seq != 0 -> s = timer_seq; timer_seq = 0 }
    claim_or_mark(s, ok);
    if :: ok -> ready() :: else fi
}

active proctype watcher()
{
end:
    do
    :: timeout ->
        assert(!(parked && attn));
        assert(!(parked && watching[0] && edges[0] != seen[0]));
        assert(!(parked && watching[1] && edges[1] != seen[1]));
        break
    od
}

init {
    atomic {
        run uthread();
        run g0(1);
        run g0(2);
        run edge(0);
#ifndef NO_EDGE
        run edge(1);
#endif
#ifndef NO_SIGNAL
        run signal();
#endif
#ifndef NO_TIMER
        run timer()
#endif
    }
}
