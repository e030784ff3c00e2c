/* The number of procs in use changes: shim/sched/proc.c, "How many".
 *
 * Three procs, of which two are in use at first, and two workers. Worker 0 has a proc and something to run; what runs may ready others on its own
 * proc, and goes into the kernel, where sysmon may take the proc. Sysmon also changes the number, twice, to anything. Workers look, give
 * back and sleep as in wakeup.pml, whose spinning is left out here.
 * When everything has come to rest, all work has been done, and as many procs are in use as were wanted last.
 *
 * One step is one shared access, or what is done under sched.lock.
 *
 * Variants that must be found faulty:
 *   BUG_NO_DRAIN      the queue of a proc that goes out of use is left as it is
 *   BUG_NO_SURPLUS    idle_push does not look at surplus: only who looks before its next user thread goes
 */
#define NONE 9
#define P 3
#define W 2
#define WORK 3

byte gq, ring[P], nidle, surplus, wanted = 2, made = 1, done;
bit need, pidle[P], unused[P], asleep[W], wake[W], insys[W];
byte own[W], given[W];

#define WORK_SEEN (gq > 0 || ring[0] > 0 || ring[1] > 0 || ring[2] > 0)
#define IN_USE (3 - unused[0] - unused[1] - unused[2])

/* Inside a step (under the lock). */
inline idle_pop(to) {
    if
    :: pidle[0] -> to = 0; pidle[0] = 0; nidle--
    :: else -> if
        :: pidle[1] -> to = 1; pidle[1] = 0; nidle--
        :: else -> if
            :: pidle[2] -> to = 2; pidle[2] = 0; nidle--
            :: else -> to = NONE
            fi
        fi
    fi
}
inline idle_push(q) {
    if
#ifndef BUG_NO_SURPLUS
    :: surplus > 0 -> surplus--; unused[q] = 1
#endif
    :: else -> pidle[q] = 1; nidle++
    fi
}

inline drain(q) {
#ifndef BUG_NO_DRAIN
    do
    :: atomic { ring[q] > 0 -> ring[q]--; gq++ }
    :: atomic { ring[q] == 0 -> break }
    od;
#endif
    assert(!unused[q] || ring[q] == 0) /* it may be in use again */
}

/* An idle proc and a sleeping worker are put together, if there are both (these two are all that MAX_WORKERS allows). One step
 * here; wakeup.pml has the protocol by which submitters and sleepers do not miss each other. */
inline wake_one(q) {
    atomic {
        if
        :: nidle > 0 && (asleep[0] || asleep[1]) ->
            idle_pop(q);
            if
            :: asleep[0] -> asleep[0] = 0; given[0] = q; wake[0] = 1
            :: else -> asleep[1] = 0; given[1] = q; wake[1] = 1
            fi;
            q = NONE;
            need = 0
        :: nidle > 0 && !(asleep[0] || asleep[1]) -> /* no worker to be had: what idle procs have, all may have */
            need = 1;
            if :: pidle[0] -> gq = gq + ring[0]; ring[0] = 0 :: else fi;
            if :: pidle[1] -> gq = gq + ring[1]; ring[1] = 0 :: else fi;
            if :: pidle[2] -> gq = gq + ring[2]; ring[2] = 0 :: else fi
        :: else
        fi
    }
}

proctype worker(byte id; bit runs)
{
    byte q = NONE;
    bit t;

    if
    :: runs -> goto begin
    :: else -> goto sleep
    fi;

schedule:
    if
    :: surplus > 0 -> /* shed: the look without the lock, then under it */
        atomic {
            if
            :: surplus > 0 -> surplus--; q = own[id]; unused[q] = 1; own[id] = NONE
            :: else -> q = NONE
            fi
        }
        if
        :: q != NONE -> drain(q); q = NONE; wake_one(q); goto idle
        :: else
        fi
    :: else
    fi;
    atomic { if :: ring[own[id]] > 0 -> ring[own[id]]--; goto begin :: else fi }
    atomic { if :: gq > 0 -> gq--; goto begin :: else fi }
    atomic { /* who has the only proc steals from nobody */
        if
        :: wanted > 1 && ring[0] > 0 -> ring[0]--; goto begin
        :: wanted > 1 && ring[1] > 0 -> ring[1]--; goto begin
        :: wanted > 1 && ring[2] > 0 -> ring[2]--; goto begin
        :: else
        fi
    }

idle:
    atomic {
        if
        :: own[id] != NONE && gq > 0 -> goto schedule
        :: own[id] != NONE && gq == 0 -> q = own[id]; own[id] = NONE; idle_push(q); q = NONE; t = 1
        :: own[id] == NONE -> t = 0
        fi
    }
    if
    :: atomic { t && WORK_SEEN -> t = 0; idle_pop(q); own[id] = q; q = NONE }
        if :: own[id] != NONE -> goto schedule :: else fi
    :: atomic { else -> t = 0 }
    fi;
    atomic {
        if
        :: nidle > 0 && (gq > 0 || need) -> need = 0; idle_pop(q); own[id] = q; q = NONE; goto schedule
        :: else -> asleep[id] = 1
        fi
    }
sleep:
end_sleep:
    atomic { wake[id] -> wake[id] = 0; own[id] = given[id]; given[id] = NONE; goto schedule }

begin:
    if /* it readies another */
    :: atomic { made < WORK -> made++; ring[own[id]]++ }
        wake_one(q)
    :: skip
    fi;
    insys[id] = 1;
    atomic { /* back: proc_regain, if it was taken */
        insys[id] = 0;
        if
        :: own[id] == NONE -> idle_pop(q); own[id] = q; q = NONE
        :: else
        fi
    }
    if
    :: own[id] == NONE -> gq++; wake_one(q); goto idle /* it waits for a proc, to end then */
    :: else -> done++; goto schedule
    fi
}

proctype sysmon()
{
    byte q = NONE, n, i, resizes;
end:
    do
    :: atomic { insys[0] && own[0] != NONE -> q = own[0]; own[0] = NONE } goto give
    :: atomic { insys[1] && own[1] != NONE -> q = own[1]; own[1] = NONE } goto give
    :: resizes < 2 -> goto resize
    od;

give: /* proc_give */
    atomic { idle_push(q) }
    if :: unused[q] -> drain(q) :: else fi;
    q = NONE;
    wake_one(q);
    goto end;

resize:
    resizes++;
    if :: n = 1 :: n = 2 :: n = 3 fi;
    atomic {
        i = IN_USE; /* that is: wanted + surplus */
        assert(i == wanted + surplus);
        wanted = n;
        do
        :: i > n && nidle > 0 -> idle_pop(q); unused[q] = 1; q = NONE; i--
        :: else -> break
        od;
        if :: i > n -> surplus = i - n :: else -> surplus = 0 fi;
        n = 0;
        do
        :: i < wanted && n < P ->
            if
            :: unused[n] -> unused[n] = 0; idle_push(n); i++
            :: else
            fi;
            n++
        :: else -> break
        od;
        assert(IN_USE == wanted + surplus)
    }
    n = 0;
    do
    :: n < P -> if :: unused[n] -> drain(n) :: else fi; n++
    :: n == P -> break
    od;
    wake_one(q);
    n = 0;
    goto end
}

active proctype watcher()
{
end:
    do
    :: timeout ->
        assert(!WORK_SEEN && done == made);
        assert(surplus == 0 && IN_USE == wanted && nidle == wanted);
        break
    od
}

init {
    atomic {
        unused[2] = 1;
        pidle[1] = 1;
        nidle = 1;
        own[0] = 0;
        own[1] = NONE;
        asleep[1] = 1;
        run sysmon();
        run worker(0, 1);
        run worker(1, 0)
    }
}
