/* Taking a proc from a worker: shim/sched/proc.c, section 2.
 *
 * One worker with a store buffer (its plain stores reach memory later, in order; its own loads see them), one taker
 * (sysmon; there is only ever one), a pool of idle procs, and a user of idle procs. The worker goes through program
 * code, hooks, system calls that it is expected to leave soon (entersyscall), those that give the proc away
 * (entersyscall_block), and g0's giving back (worker_idle); whenever it comes back without a proc it takes an idle one.
 *
 * using[p] counts who touches proc p or believes it to be his. It must never exceed one.
 *
 * Variants that must be found faulty:
 *   BUG_NO_MEMBARRIER   the taker does not drain the worker's store buffer
 *   BUG_CLAIM_ONCE      proc_regain: a failed CAS from ASKED, then one look: what is not HELD is taken for LOST. (The taker may
 *                       have given up and asked again in between.)
 *   BUG_NO_PROC_CHECK   the taker does not look whether the worker still has the proc it came for
 *   BUG_NO_LOST         entersyscall_block gives the proc away without saying LOST
 *   BUG_ASKED_TO_LOST_STORE  the taker stores LOST instead of CASing it
 */
#define HELD  0
#define ASKED 1
#define LOST  2
#define NONE  9
#ifndef ROUNDS
#define ROUNDS 3
#endif
#ifndef TAKES
#define TAKES 3
#endif

#define A_HOOK  0
#define A_CLAIM 1
#define A_PROC  2
#define A_OWNER0 3 /* procs[0].worker */
#define A_OWNER1 4

byte mem[5]; /* claim HELD, hook 0, proc 0; procs[0].worker is set by init, before all else */
chan sb = [4] of { byte, byte }; /* the worker's store buffer */
byte claim_pending, claim_last;  /* for its own loads of claim */
bit idle[2];
byte using[2];
bit over;

/* The hardware: a store leaves the buffer. */
proctype drain()
{
    byte a, v;
end:
    do
    :: atomic { sb ? a, v -> mem[a] = v; if :: a == A_CLAIM -> claim_pending-- :: else fi; a = 0; v = 0 }
    od
}
/* A locked instruction, or an interrupt by membarrier: waits until the buffer is empty. */
#define FENCE (len(sb) == 0)
#define STORE(a, v) sb ! a, v
#define STORE_CLAIM(v) atomic { sb ! A_CLAIM, v; claim_pending++; claim_last = v }
#define CLAIM (claim_pending > 0 -> claim_last : mem[A_CLAIM])

inline use(q)   { atomic { assert(q != NONE); using[q]++; assert(using[q] == 1) } }
inline unuse(q) { using[q]-- }

proctype worker()
{
    byte n, p = 0; /* p: w->proc as the worker knows it */
    bit blocked;

again:
    /* program code: hook is 0 */
    if
    :: n == ROUNDS -> goto out
    :: else -> n++
    fi;
    /* hook_enter, exitsyscall */
    STORE(A_HOOK, 1);
    if
    :: atomic { CLAIM != HELD -> skip }
        /* proc_regain */
#ifdef BUG_CLAIM_ONCE
        if
        :: atomic { FENCE && mem[A_CLAIM] == ASKED -> mem[A_CLAIM] = HELD; goto have }
        :: atomic { FENCE && mem[A_CLAIM] != ASKED -> skip }
        fi;
        if
        :: atomic { mem[A_CLAIM] == HELD -> goto have }
        :: else
        fi;
#else
        do
        :: atomic { FENCE && mem[A_CLAIM] == ASKED -> mem[A_CLAIM] = HELD; goto have }
        :: atomic { mem[A_CLAIM] == HELD -> goto have }
        :: atomic { mem[A_CLAIM] == LOST -> break }
        od;
#endif
        p = NONE;
        STORE(A_PROC, NONE);
acquire: /* an idle proc: idle_take (locked), or a waker's gift; then proc_acquire's plain stores */
        atomic {
            FENCE;
            if
            :: idle[0] -> idle[0] = 0; p = 0
            :: idle[1] -> idle[1] = 0; p = 1
            :: over && !idle[0] && !idle[1] -> goto out
            fi
        }
        STORE(A_OWNER0 + p, 1);
        STORE(A_PROC, p);
        STORE_CLAIM(HELD)
    :: atomic { CLAIM == HELD -> skip }
    fi;
have:
    /* in a hook: the proc is ours */
    use(p);
    if
    :: unuse(p); STORE(A_HOOK, 0) /* hook_exit, entersyscall */
    :: /* entersyscall_block */
        STORE(A_PROC, NONE);
#ifndef BUG_NO_LOST
        atomic { FENCE; mem[A_CLAIM] = LOST } /* xchg */
#endif
        STORE(A_OWNER0 + p, 0);
        unuse(p);
        atomic { FENCE; idle[p] = 1 }         /* proc_give: locked */
        p = NONE;
        STORE(A_HOOK, 0)
    :: /* parks; g0 finds nothing: worker_idle */
        STORE(A_PROC, NONE);
        STORE_CLAIM(LOST);
        STORE(A_OWNER0 + p, 0);
        unuse(p);
        atomic { FENCE; idle[p] = 1 } /* lock_drop */
        p = NONE;
        goto acquire
    fi;
    goto again;
out:
    skip
}

/* proc_take */
proctype sysmon()
{
    byte n, p, got;
    do
    :: n < TAKES ->
        n++;
        got = NONE;
        if :: p = 0 :: p = 1 fi;
        if
        :: mem[A_OWNER0 + p] == 1 ->
            if
            :: atomic { mem[A_CLAIM] == HELD -> mem[A_CLAIM] = ASKED }
#ifndef BUG_NO_MEMBARRIER
                FENCE;
#endif
                if
                :: mem[A_HOOK] == 0 ->
                    if
#ifndef BUG_NO_PROC_CHECK
                    :: mem[A_PROC] == p ->
#else
                    :: true ->
#endif
#ifdef BUG_ASKED_TO_LOST_STORE
                        if
                        :: atomic { mem[A_CLAIM] == ASKED -> skip } mem[A_CLAIM] = LOST; got = p
                        :: else
                        fi
#else
                        if
                        :: atomic { mem[A_CLAIM] == ASKED -> mem[A_CLAIM] = LOST; got = p }
                        :: else
                        fi
#endif
#ifndef BUG_NO_PROC_CHECK
                    :: else
#endif
                    fi
                :: else
                fi;
                if
                :: got != NONE ->
                    mem[A_OWNER0 + p] = 0;
                    use(p);
                    unuse(p);
                    idle[p] = 1 /* proc_give */
                :: else ->
                    atomic { if :: mem[A_CLAIM] == ASKED -> mem[A_CLAIM] = HELD :: else fi }
                fi
            :: atomic { mem[A_CLAIM] != HELD -> skip }
            fi
        :: else
        fi
    :: else -> break
    od;
    over = 1
}

/* Another worker, which uses idle procs for a while. */
proctype other()
{
    byte n, p;
end:
    do
    :: n < 2 ->
        atomic {
            if
            :: idle[0] -> idle[0] = 0; p = 0
            :: idle[1] -> idle[1] = 0; p = 1
            fi;
            n++
        }
        use(p);
        unuse(p);
        idle[p] = 1
    :: else -> break
    od
}

/* At the end nobody has lost a proc: each is idle, or the worker's. */
proctype watcher()
{
end:
    do
    :: timeout -> assert((idle[0] || (mem[A_PROC] == 0 && mem[A_OWNER0] == 1)) &&
                         (idle[1] || (mem[A_PROC] == 1 && mem[A_OWNER1] == 1))); break
    od
}

init {
    atomic {
        mem[A_OWNER0] = 1;
        idle[1] = 1;
        run drain();
        run worker();
        run sysmon();
        run other();
        run watcher()
    }
}
