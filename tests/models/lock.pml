/* The lock of the shim: shim/base/lock.h and lock.c.
 *
 * The word has a byte `held` and a byte `flag` (somebody may sleep). lock_drop_plain stores 0 to `held` and then looks at `flag`, with no barrier
 * between: the look may come first. So who is about to sleep sets `flag` and makes every processor pass a barrier (membarrier) before the
 * kernel compares the word.
 *
 * Each thread takes and drops the lock ROUNDS times. Its plain stores lie in a store buffer, which passes them on in order at any time;
 * locked instructions, and the kernel's futex calls, wait until it is empty. A thread that finds the lock held sleeps at once (the
 * spinning before adds nothing).
 *
 * Checked: one holder at a time; when everything has stopped, nobody sleeps.
 *
 * Variants that must be found faulty:
 *   BUG_NO_MEMBARRIER  who is about to sleep does without it
 *   BUG_FLAG_LATE      `flag` is set after it
 *   BUG_WAKE_ONE       one sleeper is woken, though `flag` was cleared for all
 *   BUG_CLEAR_LATE     `flag` is cleared after the sleepers were woken
 *   BUG_LOSES_FLAG     who takes the lock clears `flag`
 */
#ifndef THREADS
#define THREADS 3
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif

bit held, flag;
byte holders;
bit sleeping[THREADS], ended[THREADS];
/* of each thread: a store of 0 to `held`, then one to `flag`, not yet in memory */
bit buf_held[THREADS], buf_flag[THREADS];
#define EMPTY(i) (!buf_held[i] && !buf_flag[i])
#if THREADS == 3
#define MEMBARRIER (EMPTY(0) && EMPTY(1) && EMPTY(2))
#else
#define MEMBARRIER (EMPTY(0) && EMPTY(1))
#endif

active proctype hardware()
{
    byte i;
end:
    do
    :: atomic { buf_held[0] -> held = 0; buf_held[0] = 0 }
    :: atomic { buf_held[1] -> held = 0; buf_held[1] = 0 }
    :: atomic { !buf_held[0] && buf_flag[0] -> flag = 0; buf_flag[0] = 0 }
    :: atomic { !buf_held[1] && buf_flag[1] -> flag = 0; buf_flag[1] = 0 }
#if THREADS == 3
    :: atomic { buf_held[2] -> held = 0; buf_held[2] = 0 }
    :: atomic { !buf_held[2] && buf_flag[2] -> flag = 0; buf_flag[2] = 0 }
#endif
    od
}

inline wake_all()
{
    sleeping[0] = 0;
    sleeping[1] = 0;
#if THREADS == 3
    sleeping[2] = 0
#endif
}
inline wake_one()
{
    if
    :: sleeping[0] -> sleeping[0] = 0
    :: sleeping[1] -> sleeping[1] = 0
#if THREADS == 3
    :: sleeping[2] -> sleeping[2] = 0
#endif
    :: else
    fi
}

proctype thread(byte me)
{
    byte round;
    bit seen_flag;
    do
    :: round == ROUNDS -> break
    :: else ->
take:
        atomic { EMPTY(me);
            if
            :: !held -> held = 1;
#ifdef BUG_LOSES_FLAG
                flag = 0;
#endif
                goto taken
            :: else
            fi
        }
#ifdef BUG_FLAG_LATE
        MEMBARRIER;
        atomic { EMPTY(me) -> if :: held -> flag = 1 :: else -> goto take fi }
#else
        atomic { EMPTY(me) -> if :: held -> flag = 1 :: else -> goto take fi } /* a CAS of the word */
#ifndef BUG_NO_MEMBARRIER
        MEMBARRIER;
#endif
#endif
        atomic { EMPTY(me) -> if :: held && flag -> sleeping[me] = 1 :: else fi } /* futex: compares, and sleeps */
        !sleeping[me];
        goto take;
taken:
        atomic { holders++; assert(holders == 1) }
        holders--;
        buf_held[me] = 1; /* the store; its own later stores come after it */
        seen_flag = flag;
        if
        :: seen_flag ->
#ifdef BUG_CLEAR_LATE
            atomic { EMPTY(me) -> wake_all() }
            buf_flag[me] = 1;
#else
            buf_flag[me] = 1;
#ifdef BUG_WAKE_ONE
            atomic { EMPTY(me) -> wake_one() }
#else
            atomic { EMPTY(me) -> wake_all() }
#endif
#endif
        :: else
        fi;
        round++
    od;
    ended[me] = 1
}

active proctype watcher()
{
end:
    do
    :: timeout ->
        assert(!sleeping[0] && !sleeping[1]);
#if THREADS == 3
        assert(!sleeping[2]);
        assert(ended[2]);
#endif
        assert(ended[0] && ended[1]);
        break
    od
}

init {
    atomic {
        run thread(0);
        run thread(1);
#if THREADS == 3
        run thread(2)
#endif
    }
}
