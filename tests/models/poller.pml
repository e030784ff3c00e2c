/* The poller's role: shim/sched/proc.c (worker_idle, proc_give, cover_timers), timer.c, netpoll/epoll.c.
 *
 * Two procs, two workers that have them, a third in the kernel. In some order they arm timers (at 1, 2 or 3; for ever is 4), begin
 * a wait that only the poller ends, look at the descriptors without blocking, give their proc away to block in
 * the kernel, come back and take an idle one; at last they idle, or compute on and on. No time passes and no
 * descriptor becomes ready: the question is only whether, when everything has come to rest, somebody polls if anybody must
 * be watched and no proc computes (then sysmon sees to it), and never beyond the first timer (in that sysmon trusts).
 *
 * Variants that must be found faulty:
 *   BUG_BREAK_ORDER   netpoll_collect lets the next break in before it empties the eventfd (edge triggered): a
 *                     break in between is emptied away, and no later one is written any more
 *   BUG_POLL_TAKES    a look without blocking takes the break that was meant for the blocked poller
 *   BUG_GIVE_NO_LOOK  proc_give, having found a poller, does not look again after the proc is idle
 *   BUG_NO_COVER      worker_idle does not break a poller that sleeps beyond its timers
 *   BUG_UNTIL_LATE    the poller reads the minima before it says that it will poll
 */
#define INF  4
#define NONE 9
#ifndef OPS
#define OPS 2
#endif

byte tmin[2] = INF;     /* procs' timer_min */
bit pidle[2];
byte npollwait, poll_until;
bit poller, breaking, efd, edge; /* efd: the eventfd's count; edge: epoll has it on its list */
bit blocked;
byte computing;

#define MIN (tmin[0] < tmin[1] -> tmin[0] : tmin[1])

inline break_poll() {
    if
    :: atomic { !breaking -> breaking = 1 } atomic { efd = 1; edge = 1 }
    :: atomic { breaking -> skip }
    fi
}
inline cover(m) {
    if
    :: atomic { m != INF && poller -> skip }
        if :: atomic { m < poll_until -> skip } break_poll() :: atomic { m >= poll_until -> skip } fi
    :: atomic { m == INF || !poller -> skip }
    fi
}
/* What follows a break that epoll_wait has reported. */
inline taken() {
#ifdef BUG_BREAK_ORDER
    breaking = 0;
    efd = 0
#else
    efd = 0;
    breaking = 0
#endif
}
/* epoll_wait(0), by anybody with a proc */
inline look() {
    if
#ifdef BUG_POLL_TAKES
    :: atomic { efd && edge -> edge = 0 } taken()
    :: atomic { !(efd && edge) -> edge = 0 }
#else
    :: skip /* level triggered, and left alone */
#endif
    fi
}

inline take() {
    atomic {
        m = 0;
        if
        :: pidle[0] -> pidle[0] = 0; p = 0
        :: else -> if :: pidle[1] -> pidle[1] = 0; p = 1 :: else -> p = NONE fi
        fi
    }
}

proctype worker(byte p; bit in_kernel)
{
    byte n, until, m;

    if :: in_kernel -> n++; goto kernel :: else fi;
work: /* user threads on proc p */
    if
    :: n == OPS -> goto idle
    :: else -> n++
    fi;
    if
    :: tmin[p] > 1 -> tmin[p]--; m = tmin[p]; cover(m) /* timer_arm; schedule: the next one runs */
    :: tmin[p] > 1 -> tmin[p]--; goto idle             /* timer_arm; nothing else to run */
    :: npollwait == 0 -> npollwait = 1
    :: npollwait > 0 -> look()
    :: goto give
    :: atomic { computing++; goto out }
    fi;
    goto work;

give: /* entersyscall_block: proc_give */
    if
    :: atomic { (npollwait > 0 || tmin[p] != INF) && !poller -> skip }
        goto idle /* worker_for: another worker takes p and idles. As good as doing it ourselves */
    :: else
    fi;
    pidle[p] = 1;
#ifndef BUG_GIVE_NO_LOOK
    if
    :: atomic { (npollwait > 0 || tmin[p] != INF) && !poller -> skip }
        /* sched_wake_one: whoever it wakes with an idle proc idles again, as we do here */
        take();
        if :: p != NONE -> goto idle :: else -> goto out fi
    :: else
    fi;
#endif
    m = tmin[p];
    cover(m);
kernel:
    if
    :: goto out /* stays there */
    :: take();  /* proc_regain */
        if :: p != NONE -> goto work :: else -> goto sleep fi
    fi;

idle: /* worker_idle */
    m = 0; until = 0;
    pidle[p] = 1;
    p = NONE;
    if
    :: atomic { (npollwait > 0 || MIN != INF) && !poller -> poller = 1 }
#ifdef BUG_UNTIL_LATE
        until = MIN;
#else
        poll_until = INF;
        until = MIN;
#endif
        poll_until = until;
        blocked = 1;
end_poll:
#ifdef BUG_BREAK_ORDER
        atomic { efd && edge -> edge = 0; blocked = 0 } /* edge triggered */
#else
#ifdef BUG_POLL_TAKES
        atomic { efd && edge -> edge = 0; blocked = 0 }
#else
        atomic { efd -> blocked = 0 }                   /* level triggered */
#endif
#endif
        taken();
        poll_until = 0;
        poller = 0;
        take();
        if :: p != NONE -> goto idle :: else fi /* schedule: finds nothing */
    :: else
    fi;
sleep:
#ifndef BUG_NO_COVER
    m = MIN;
    cover(m);
#endif
    skip; /* worker_sleep */
out:
    skip
}

active proctype watcher()
{
end:
    do
    :: timeout ->
        assert(!blocked || poll_until <= MIN);
        assert(blocked || computing || (npollwait == 0 && MIN == INF));
        break
    od
}

init {
    atomic {
        tmin[0] = INF;
        tmin[1] = INF;
        run worker(0, 0);
        run worker(1, 0);
        run worker(NONE, 1)
    }
}
