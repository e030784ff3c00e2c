/* Looking for work without losing any: shim/sched/proc.c, section 1.
 *
 * Two procs. Worker 0 runs a user thread that readies two others on its own proc and then computes until all
 * work is done (or, -DROLE_OUTSIDE, it just looks for work). Worker 1 sleeps. Worker 2 comes back from a system call at any
 * time, takes an idle proc if there is one, and computes likewise; a thread from outside submits two user threads, one
 * with -DROLE_OUTSIDE a second one too. There is no sysmon, but with -DSYSMON.
 * Whatever waits in a queue must then be taken by a worker of its own accord as long as a proc is idle.
 * If it is not, everything stops, and the watcher says so.
 *
 * One step is one shared access, or what is done under sched.lock. What a store buffer may do is written out in the variants.
 *
 * Variants that must be found faulty:
 *   BUG_NO_FENCE      a submitter's looks are not ordered behind its put
 *   BUG_TAIL_LAGS     ready_local looks for idle procs while its store of the ring's tail is still in the store buffer
 *   BUG_NO_RECHECK    a worker does not look once more after it gave its proc back
 *   BUG_GIVES_UP      (ROLE_OUTSIDE) sched_wake_one finds no idle proc any more, takes nspinning back, and does not look again
 *   BUG_NO_CHAIN      (ROLE_OUTSIDE, HOGS: what is found computes until all have begun) the last spinner that finds work makes no other spin
 *   BUG_NEXT_ALONE    the exception: a user thread alone in `next` beside one that computes, without sysmon. By design:
 *                     NEXT_ALONE with SYSMON must pass.
 */
#define NONE 9
#define P 2
#define W 3
#if defined(BUG_NEXT_ALONE) || defined(NEXT_ALONE)
#define READIES 1
#else
#define READIES 2
#endif
#if defined(ROLE_OUTSIDE)
#define WORK 2
#else
#define WORK (1 + READIES)
#endif

byte gq, ring[P], nidle, nspin, done;
bit next[P], pidle[P], asleep[W], wake[W];
byte given[W];

#define WORK_SEEN (gq > 0 || ring[0] > 0 || ring[1] > 0 || next[0] || next[1])

/* Inside a step. */
inline idle_pop(to) {
    if
    :: pidle[0] -> to = 0; pidle[0] = 0; nidle--
    :: else -> if
        :: pidle[1] -> to = 1; pidle[1] = 0; nidle--
        :: else -> to = NONE
        fi
    fi
}

/* more: 1 while there is reason to go on, and 0 at the end; pr: NONE at the end */
inline wake_one(pr, more) {
    more = 1;
    do
    :: atomic { more && nidle == 0 -> more = 0 }
    :: atomic { !more -> break }
    :: atomic { more && nidle > 0 }
        if
        :: atomic { nspin != 0 -> more = 0 }
        :: atomic { nspin == 0 -> nspin = 1 } /* the CAS */
            atomic { idle_pop(pr) }
            if
            :: pr != NONE ->
                atomic { /* worker_for. If none sleeps yet one is on its way (the code would start another). */
                    if
                    :: asleep[0] -> asleep[0] = 0; given[0] = pr; wake[0] = 1
                    :: asleep[1] -> asleep[1] = 0; given[1] = pr; wake[1] = 1
                    :: asleep[2] -> asleep[2] = 0; given[2] = pr; wake[2] = 1
                    fi;
                    pr = NONE;
                    more = 0
                }
            :: else ->
                nspin--; /* RMW */
#ifdef BUG_GIVES_UP
                more = 0
#else
                atomic { more = WORK_SEEN } /* who submitted meanwhile trusted in us */
#endif
            fi
        fi
    od
}

inline submit(sp, sm) {
#ifdef BUG_NO_FENCE
    if /* the put is still in the store buffer while we look */
    :: atomic { nidle == 0 || nspin != 0 -> sm = 0 }
    :: atomic { else -> sm = 1 }
    fi;
    gq++;
    if :: sm -> wake_one(sp, sm) :: else fi
#else
    gq++;
    wake_one(sp, sm)
#endif
}

/* ready_local on the proc `own`. */
inline ready_local(own, rp, rm) {
    if
    :: atomic { !next[own] -> next[own] = 1 } /* alone: wakes nobody */
    :: atomic { next[own] -> skip }           /* xchg; the old one goes to the ring */
#ifdef BUG_TAIL_LAGS
        atomic { nidle == 0 || nspin != 0 -> skip }
        ring[own]++
#else
        ring[own]++; /* and a fence */
        wake_one(rp, rm)
#endif
    fi
}

proctype worker(byte id; byte p; byte start)
{
    bit spin, t;
    byte q = NONE;

    if
    :: start == 1 -> goto in_hook
    :: start == 2 -> goto in_sys
    :: else -> goto sleep
    fi;

in_hook:
    ready_local(p, q, t);
#if READIES > 1
    ready_local(p, q, t);
#endif
    (done == WORK);
    goto schedule;

in_sys: /* proc_regain */
    atomic { idle_pop(p); if :: p == NONE -> goto idle :: else fi }
    (done == WORK);

schedule:
    atomic {
        if
        :: p == NONE -> goto idle
        :: else -> if
            :: next[p] -> next[p] = 0; goto found
            :: else -> if
                :: ring[p] > 0 -> ring[p]--; goto found
                :: else
                fi
            fi
        fi
    }
    atomic { if :: gq > 0 -> gq--; goto found :: else fi }
    if
    :: atomic { spin || 2 * nspin < P - nidle -> if :: !spin -> spin = 1; nspin++ :: else fi }
        atomic {
            if
            :: ring[1 - p] > 0 -> ring[1 - p]--; goto found
            :: else -> if
                :: next[1 - p] -> next[1 - p] = 0; goto found /* old enough by now */
                :: else
                fi
            fi
        }
        atomic { if :: gq > 0 -> gq--; goto found :: else fi }
    :: else
    fi;

idle:
    atomic { /* under the lock */
        if
        :: p != NONE && gq > 0 -> goto schedule
        :: p != NONE && gq == 0 -> pidle[p] = 1; nidle++; p = NONE; t = 1
        :: p == NONE -> t = 0
        fi
    }
    if :: atomic { spin -> spin = 0; nspin-- } :: else fi;
#ifndef BUG_NO_RECHECK
    if
    :: atomic { t && WORK_SEEN -> t = 0 }
        atomic { idle_pop(p) }
        if :: p != NONE -> atomic { spin = 1; nspin++; goto schedule } :: else fi
    :: atomic { else -> t = 0 }
    fi;
#endif
    atomic { /* the last look, under the lock; else among the sleepers */
        t = 0;
        if
        :: nidle > 0 && gq > 0 -> idle_pop(p); goto schedule
        :: else -> asleep[id] = 1
        fi
    }
sleep:
end_sleep:
    atomic { wake[id] -> wake[id] = 0; p = given[id]; given[id] = 0; spin = 1; goto schedule }

found:
    if
    :: atomic { spin -> spin = 0; nspin--; t = (nspin == 0) } /* RMW */
#ifndef BUG_NO_CHAIN
        if :: t -> wake_one(q, t) :: else fi;
#endif
        t = 0
    :: else
    fi;
    done++;
#ifdef HOGS
    (done == WORK); /* computes until all have begun */
#endif
    goto schedule
}

proctype submitter()
{
    byte p = NONE;
    bit more;
    submit(p, more)
}

#ifdef SYSMON
active proctype sysmon()
{
    byte p = NONE;
    bit more;
end:
    do
    :: atomic { nidle > 0 && nspin == 0 && WORK_SEEN -> skip }
        wake_one(p, more)
    od
}
#define LOST (done < WORK)
#else
#ifdef BUG_NEXT_ALONE
#define LOST (done < WORK)
#else
#define LOST (done + next[0] + next[1] < WORK)
#endif
#endif

active proctype watcher()
{
end:
    do
    :: timeout -> assert(!LOST || nidle == 0); break
    od
}

init {
    atomic {
        pidle[1] = 1;
        nidle = 1;
        asleep[1] = 1;
#ifdef ROLE_OUTSIDE
        wake[0] = 1;
        nspin = 1;
        run worker(0, NONE, 0);
        run submitter();
        run submitter();
#else
        run worker(0, 0, 1);
        run submitter();
#endif
        run worker(1, NONE, 0);
        run worker(2, NONE, 2)
    }
}
