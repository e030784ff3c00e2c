/* A close under a call that waits: shim/emul/fd.c (fd_wait, fd_event, fd_closing, make_ghost, fdcall_end).
 *
 * Number 0 means file A; a reader waits on it; a closer closes it and opens file B, which gets the number; a writer makes A readable.
 * Number 1 is the ghost; lock 2 guards the list of ghosts. One word per thing that the lock of a record guards; the kernel's side (which file a number means, which
 * registrations of the poller have an event to report) changes in single steps.
 *
 * Checked: a try after a wait is made on A (assert in `try`); when everything has stopped the reader is not parked over data in A; nobody
 * unlinks from a record that it does not hold (assert in `leave`); the ghost is closed when the reader has ended, and before that
 * never.
 *
 * Variants that must be found faulty:
 *   BUG_NO_TRYING_WAIT   fd_closing does not wait for those that are TRYING
 *   BUG_NO_GHOST         the waiter is left on the record
 *   BUG_NO_WATCH         the ghost is not registered with the poller: what came before is not reported again
 *   BUG_WOKEN_LEFT       only the ARMED move to the ghost, not the WOKEN
 *   BUG_NO_GEN           a call that has not waited yet does not compare the generation
 *   BUG_LIST_LATE        the ghost is put on the list once its lock is dropped: its waiter may have ended it by then
 */
#define NONE   0
#define ARMED  1
#define WOKEN  2
#define TRYING 3
#define A 1
#define B 2

bit lck[3], linked[2], on_list;
byte gen, calls;              /* of record 0; ghost_calls of record 1 */
byte edges[2], type_closing;
byte wstate, wrec, wfd;       /* the waiter; under the lock of wrec */
bit parked;                   /* park .. ready */
byte file[2];                 /* the kernel: what the number means */
bit data;                     /* in A */
bit reg[2], event_at[2];      /* the poller's registrations, and what they have to report */
bit ended, got, closed_first;

#define LOCK(r)   atomic { !lck[r] -> lck[r] = 1 }
#define UNLOCK(r) lck[r] = 0

inline make_ready() { atomic { assert(parked); parked = 0 } }

/* fd_event: under the record's lock */
inline deliver(r, g, mine)
{
    LOCK(r);
    if
    :: r == 1 || g == mine ->
        edges[r] = edges[r] + 1;
        if
        :: linked[r] && wrec == r && wstate == ARMED -> wstate = WOKEN; make_ready()
        :: else
        fi
    :: else
    fi;
    UNLOCK(r)
}

proctype collector()
{
    do
    :: atomic { event_at[0] -> event_at[0] = 0 }; deliver(0, 0, gen)
    :: atomic { event_at[1] -> event_at[1] = 0 }; deliver(1, 0, 0)
    od
}

proctype writer()
{
    atomic { data = 1; event_at[0] = reg[0]; event_at[1] = reg[1] }
}

proctype reader()
{
    byte rec = 0, fd = 0, mygen = gen, seen;
    bit waited = 0;

again:
    seen = edges[rec];
    /* try */
    if
    :: waited -> assert(file[fd] == A)
    :: !waited && file[fd] != A -> closed_first = 1; goto end /* closed before the call: another file's, or EBADF */
    :: else
    fi;
    atomic { if :: data && file[fd] == A -> got = 1; goto end :: else fi };
    /* fd_wait */
    LOCK(rec);
    if
#ifndef BUG_NO_GEN
    :: wstate == NONE && (gen != mygen || type_closing) -> UNLOCK(rec); closed_first = 1; goto end
#endif
    :: else
    fi;
    if /* netpoll_watch: reports at once what is there */
    :: !reg[rec] -> atomic { reg[rec] = 1; event_at[rec] = (data && file[fd] == A) }
    :: else
    fi;
    if
    :: edges[rec] != seen -> UNLOCK(rec); goto again
    :: else
    fi;
    if
    :: wstate == NONE -> wfd = fd; wrec = rec; linked[rec] = 1
    :: else
    fi;
    atomic { parked = 1; wstate = ARMED };
    UNLOCK(rec); /* commit */
    !parked;
    waited = 1;
    do /* lock_of */
    :: rec = wrec; LOCK(rec);
        if
        :: wrec == rec -> break
        :: else -> UNLOCK(rec)
        fi
    od;
    wstate = TRYING;
    fd = wfd;
    UNLOCK(rec);
    goto again;

end:
    if
    :: wstate != NONE ->
        do
        :: rec = wrec; LOCK(rec);
            if
            :: wrec == rec -> break
            :: else -> UNLOCK(rec)
            fi
        od;
        assert(linked[rec]);
        linked[rec] = 0;
        wstate = NONE;
        if
        :: rec == 1 ->
            calls--;
            assert(calls == 0);
            UNLOCK(1);
            LOCK(2); /* ghost_end */
            assert(on_list);
            on_list = 0;
            LOCK(1);
            reg[1] = 0; event_at[1] = 0;
            UNLOCK(1);
            file[1] = 0;
            UNLOCK(2)
        :: else -> UNLOCK(rec)
        fi
    :: else
    fi;
    ended = 1
}

proctype closer()
{
    LOCK(0);
    gen++;
    type_closing = 1;
#ifndef BUG_NO_TRYING_WAIT
    do
    :: linked[0] && wstate == TRYING -> UNLOCK(0); LOCK(0)
    :: else -> break
    od;
#endif
#ifndef BUG_NO_GHOST
    if
#ifdef BUG_WOKEN_LEFT
    :: linked[0] && wstate == ARMED ->
#else
    :: linked[0] ->
#endif
#ifndef BUG_LIST_LATE
        LOCK(2);
#endif
        file[1] = A; /* dup */
        reg[0] = 0; event_at[0] = 0;
        LOCK(1);
        linked[0] = 0;
        wfd = 1;
        calls++;
        linked[1] = 1;
        wrec = 1;
#ifndef BUG_NO_WATCH
        atomic { reg[1] = 1; event_at[1] = data };
#endif
#ifdef BUG_LIST_LATE
        UNLOCK(1);
        LOCK(2);
        on_list = 1;
#else
        on_list = 1;
        UNLOCK(1);
#endif
        UNLOCK(2)
    :: else
    fi;
#endif
    reg[0] = 0; event_at[0] = 0;
    UNLOCK(0);
    file[0] = 0; /* close */
    LOCK(0);
    type_closing = 0;
    UNLOCK(0);
    file[0] = B /* the number again */
}

init
{
    atomic { file[0] = A; run collector(); run reader(); run writer(); run closer() };
    timeout; /* everything has stopped */
    assert(ended);
    assert(got || closed_first);
    assert(file[1] == 0 && calls == 0 && !on_list)
}
