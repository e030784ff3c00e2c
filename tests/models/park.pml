/* Parking and readying: shim/sched/park.c; fd_wait and fd_event of shim/emul/fd.c; wait_many of shim/emul/ready.c; uthread_poke.
 *
 * One user thread makes two waits on two descriptor records: each of the kind of fd_wait (one record, its lock held from the
 * compare until commit), or of wait_many (linked to a set of records before the wait opens). Each record has one
 * edge to come; there is one signal, and a timer that may fire once it is armed. Steps are shared accesses. park_g0's stores
 * lie in its processor's store buffer, which passes them on in order, at any time; a locked instruction of its own, or membarrier by others, waits
 * until it is empty.
 *
 * All actors at once make too large a search: run it without each in turn (NO_EDGE: the second edge, NO_SIGNAL, NO_TIMER).
 *
 * Checked: nobody readies what is not saved (assert in `ready`); at most one ready per park (likewise); when everything
 * has stopped, the user thread is not parked over an edge that came after it looked, nor over a signal.
 *
 * Variants that must be found faulty:
 *   BUG_OPEN_EARLY       wait_open opens the wait at once: readied while still running
 *   BUG_ATTN_EARLY       park_g0 looks at attn before it opens the wait
 *   BUG_ATTN_LATE        uthread_poke looks at the wait before attn is seen
 *   BUG_POKE_NO_BARRIER  uthread_poke does without membarrier
 *   BUG_POKE_ONCE        ... or does not look at the wait again after it
 *   BUG_POKE_ATTN_ONCE   ... or does not set attn again when it has ended a wait, which may be a later one than attn was set in
 *   BUG_NO_SECOND_CLAIM  wait_claim_or_mark does not try again after the mark
 *   BUG_MARK_NO_BARRIER  ... or without membarrier between
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
bit by_signal;         /* ghost: a signal ended the wait: whoever comes back from it must see attn (else an internal error goes to the program) */
bit saved, runnable;  /* ghosts */
byte timer_seq;       /* armed for; 0: not */
bit lck[NREC], linked[NREC], waiter_poll[NREC];
byte waiter_seq[NREC];
byte edges[NREC], seen[NREC];
bit watching[NREC];
bit parked;
byte go, by_lock;     /* from ctx_park to park_g0: which wait; 1 + the record whose lock commit drops */

/* The store buffers of the two park_g0: the wait opened, then the lock dropped */
byte buf_open[NWAIT + 1], buf_unlock[NWAIT + 1];
#define EMPTY(i) (buf_open[i] == 0 && buf_unlock[i] == 0)
#define MEMBARRIER (EMPTY(1) && EMPTY(2))

active proctype hardware()
{
end:
    do
    :: atomic { buf_open[1] -> wstate = OPEN; buf_open[1] = 0 }
    :: atomic { buf_open[2] -> wstate = OPEN; buf_open[2] = 0 }
    :: atomic { !buf_open[1] && buf_unlock[1] -> lck[buf_unlock[1] - 1] = 0; buf_unlock[1] = 0 }
    :: atomic { !buf_open[2] && buf_unlock[2] -> lck[buf_unlock[2] - 1] = 0; buf_unlock[2] = 0 }
    od
}

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
#ifndef BUG_MARK_NO_BARRIER
        MEMBARRIER;
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
    atomic { watching[0] = 0; watching[1] = 0; assert(!by_signal || attn); by_signal = 0 }
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
    buf_open[s] = 1;
#ifdef BUG_TIMER_LATE
    if :: arm_timer(s) :: skip fi;
#endif
    if
    :: drop > 0 -> buf_unlock[s] = drop /* commit */
    :: else
    fi;
#ifndef BUG_NO_COMMIT_LOOK
    if
    :: missed == s -> EMPTY(s); claim(s, ok); if :: ok -> ready(); ok = 0 :: else fi
    :: else
    fi;
#endif
#ifndef BUG_ATTN_EARLY
    signalled = attn;
#endif
    if
    :: signalled -> EMPTY(s); claim(s, ok); if :: ok -> by_signal = 1; ready() :: else fi
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

inline end_wait(s, ok)
{
    claim(s, ok);
    if
    :: ok ->
        by_signal = 1;
#ifndef BUG_POKE_ATTN_ONCE
        attn = 1;
#endif
        ready()
    :: else
    fi
}

/* uthread_poke */
proctype signal()
{
    bit ok;
    byte s, st;
#ifndef BUG_ATTN_LATE
    attn = 1; /* RMW */
#endif
    atomic { s = seq; st = wstate }
#ifdef BUG_ATTN_LATE
    attn = 1;
#endif
    if
    :: st == OPEN -> end_wait(s, ok)
    :: else ->
#ifndef BUG_POKE_NO_BARRIER
        MEMBARRIER;
#endif
#ifndef BUG_POKE_ONCE
        atomic { s = seq; st = wstate }
        if
        :: st == OPEN -> end_wait(s, ok)
        :: else /* it runs, and every way out of a hook looks at attn */
        fi
#endif
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
