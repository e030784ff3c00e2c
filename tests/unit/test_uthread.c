/* shim/sched/uthread.c: the ids of user threads. */
#include "sched_setup.h"

#include "shim/emul/emul.h"

/* Whatever the process: above the kernel's, and so are the 29 bits that the id of a CPU clock has room for (pthread_getcpuclockid). */
Test(uthread, tids_look_like_none_of_the_kernels_in_a_clock_id_either)
{
    sched_setup(1, 4);
    cr_assert_eq(uthreads_init(4096), 0);
    for (int pid = 1; pid < 200000; pid++) {
        stats->pid = pid;
        struct uthread *a = uthread_alloc(), *b = uthread_alloc();
        cr_assert(a && b);
        cr_assert_neq(a->tid, b->tid);
        for (int i = 0; i < 2; i++) {
            struct uthread *u = i ? b : a;
            cr_assert(u->tid >= TID_BASE && u->tid < TID_END);
            cr_assert_geq(u->tid & ((1 << 29) - 1), TID_BASE, "pid %d, tid %d", pid, u->tid);
            cr_assert_eq(uthread_by_tid(u->tid), u);
        }
        uthread_free(a);
        uthread_free(b);
    }
}
