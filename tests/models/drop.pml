/* A descriptor whose edges nobody waits for is let go by the poller, and a read that came short need not ask the next time:
 * shim/emul/fd.c (fd_wait, fd_event, edge_in_vain), io.c (do_recv: `drained`), epoll.c (netpoll_watch).
 *
 * A writer makes data available, piece by piece; the kernel reports an edge for each to who is registered, and registering reports what
 * is there. A reader takes all, twice, and waits where there is nothing. The collector hands edges on; IN_VAIN for nobody end the registration.
 * One word per thing that the record's lock guards; the kernel's side changes in single steps.
 *
 * Checked: when everything has stopped the reader is not parked over data.
 *
 * Variants that must be found faulty:
 *   BUG_NO_WATCH_AGAIN   who waits does not register what was let go
 *   BUG_DROP_UNLOCKED    it is let go after the lock was left
 *   BUG_NO_COMPARE       who waits does not compare the count of edges under the lock
 *   BUG_SAMPLE_LATE      the count that a short read is remembered with is taken after the read
 * The last two want IN_VAIN=2: who was let go and registers again is told of what is there, which hides them.
 */
#define PIECES 4
#ifndef IN_VAIN
#define IN_VAIN 1
#endif

bit lck, watched, event, linked, parked, stopped;
byte edges, drained, idle; /* drained: edges + 1, 0 unknown */
byte data, written;
byte taken;

#define LOCK()   atomic { !lck -> lck = 1 }
#define UNLOCK() lck = 0

proctype writer()
{
    do
    :: written < PIECES -> atomic { data++; written++; event = event | watched }
    :: written == PIECES -> break
    od
}

inline let_go()
{
    atomic { watched = 0; event = 0 }
}

proctype collector()
{
    bit drop;
    do
    :: atomic { event -> event = 0 };
        drop = 0;
        LOCK();
        edges++;
        if
        :: linked -> atomic { linked = 0; parked = 0 }
        :: else -> idle++
        fi;
        if
        :: idle >= IN_VAIN && watched -> idle = 0; drained = 0; drop = 1
        :: else
        fi;
#ifndef BUG_DROP_UNLOCKED
        if
        :: drop -> let_go()
        :: else
        fi;
#endif
        UNLOCK();
#ifdef BUG_DROP_UNLOCKED
        if
        :: drop -> let_go()
        :: else
        fi
#endif
    od
}

proctype reader()
{
    byte seen, got;
    do
    :: taken == PIECES -> break
    :: else ->
        seen = edges;
        if
        :: drained == seen + 1 -> skip  /* nothing is there: no need to ask */
        :: else ->
            atomic { got = data; data = 0 }
            taken = taken + got;
            if
            :: got > 0 ->
#ifdef BUG_SAMPLE_LATE
                seen = edges;
#endif
                if
                :: watched -> drained = seen + 1
                :: else
                fi;
                goto next
            :: else
            fi
        fi;
        LOCK();
#ifdef BUG_NO_WATCH_AGAIN
        if
        :: !watched && edges == 0 -> atomic { watched = 1; event = (data > 0) }
        :: else
        fi;
#else
        if
        :: !watched -> atomic { watched = 1; event = (data > 0) }
        :: else
        fi;
#endif
        if
#ifndef BUG_NO_COMPARE
        :: edges != seen -> UNLOCK()
#endif
        :: else ->
            atomic { parked = 1; linked = 1 };
            idle = 0;
            UNLOCK();
            !parked
        fi;
next:   skip
    od;
    stopped = 1
}

init
{
    atomic { run writer(); run collector(); run reader() }
    timeout -> assert(stopped)
}
