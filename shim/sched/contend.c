/* Locks that user threads fight for on several CPUs.
 *
 * A mutex that is held for some nanoseconds at a time: who gets it again and again on one CPU has to fetch its line from the other one, where somebody tries, each
 * time, and an acquisition takes five times as long. Natively a loser sleeps, and microseconds pass until the next one tries. Here the next one is dispatched at
 * once: there is always one, since each unlocking wakes one. So when a thread has just failed at a lock, and the next to run here had failed at the same
 * one, its dispatch is put off for some microseconds, while the holder on the other CPU gets on.
 *
 * What a lock is: a futex waited for without limit while it was 2, the state "held, and others wait" of nearly all locks on futexes (Drepper, Futexes Are Tricky;
 * glibc, Rust); 0 is "free". Should it be something else, a thread is dispatched some microseconds late, no more.
 *
 * Where a lock is held for longer at a time, whoever waits for it is to have it as soon as it is free. So the lock is looked at some times in turn. Does it come and go,
 * this dispatch and the next ones are put off, without a look, since each look fetches the line as well; else none is for a while, which doubles with each
 * probe that ends so. (Not at once: who has just made somebody fail is still waking somebody, and the lock is free meanwhile.)
 *
 * Nothing is put off where another thread could run here, where nobody else runs, or where other processes want the CPU.
 *
 * Context: the worker that holds the proc, on the scheduler's stack, in a hook: sysmon cannot take the proc meanwhile, for 5 us. */
#include "internal.h"

enum {
    PUT_OFF_NS = 4000,
    BEFORE_LOOKS_NS = 500,
    LOOK_NS = 150, /* between two looks, at least. Each fetches the line, which takes up to 100 ns, and as long until the holder has it back */
    LOOKS = 8,
    CHANGES = 2,  /* among them: more than a lock mostly shows that is held for a microsecond */
    PUT_OFF = 64, /* dispatches, between two probes */
    LEAVE = 4,      /* likewise, not put off; at most: */
    LEAVE_MOST = 1024,
};

static void wait_until(uint64_t tsc)
{
    while ((int64_t)(tsc - tsc_now()) > 0)
        cpu_relax();
}

/* Is there nothing that would run here with more use? */
static bool alone(struct proc *p, const uint32_t *lock)
{
    uint32_t h = load_relaxed(&p->head);
    if (h != p->tail) {
        const struct uthread *next = load_relaxed(&p->runq[h % RUNQ_SIZE]); /* if stale: structs stay mapped */
        if (load_relaxed(&next->futex.addr) != lock)
            return false;
    }
    return !load_relaxed(&sched.gq_len) && sched.nprocs - load_relaxed(&sched.nidle_procs) > 1 &&
           (int64_t)(load_relaxed(&sched.crowded_until) - tsc_now()) <= 0;
}

static bool comes_and_goes(const uint32_t *lock)
{
    uint32_t changes = 0, state;
    bool was = false;
    wait_until(tsc_now() + (uint64_t)ns_to_tsc(BEFORE_LOOKS_NS));
    for (uint32_t i = 0; i < LOOKS; i++) {
        if (uaccess_load32(lock, &state))
            return false;
        const bool is = state == 0;
        changes += i && is != was;
        was = is;
        wait_until(tsc_now() + (uint64_t)ns_to_tsc(LOOK_NS));
    }
    return changes >= CHANGES;
}

bool contend_look(struct proc *p, struct uthread *u)
{
    const uint32_t *lock = p->contended;
    p->contended = NULL;
    if (u->futex.addr != lock || !u->futex.lock || load_relaxed(&u->pub->wait) != WAIT_FUTEX)
        return false;
    if (p->contend_leave) {
        p->contend_leave--;
        return false;
    }
    if (!alone(p, lock))
        return false;
    if (!p->contend_put_off) {
        if (!comes_and_goes(lock)) {
            p->contend_left = p->contend_left < LEAVE ? LEAVE : p->contend_left < LEAVE_MOST ? 2 * p->contend_left : LEAVE_MOST;
            p->contend_leave = p->contend_left;
            return true;
        }
        p->contend_put_off = PUT_OFF;
        p->contend_left = 0;
    }
    p->contend_put_off--;
    p->st->lock_delays++;
    wait_until(tsc_now() + (uint64_t)ns_to_tsc(PUT_OFF_NS));
    return true;
}
