/* Calls that wait in the kernel for something that is no descriptor: locks, System V and POSIX message queues,
 * semaphores, children, asynchronous I/O. The essay is in kwait.c.
 */
#ifndef HANDOFF_KWAIT_H
#define HANDOFF_KWAIT_H

#include "emul.h"

/* fcntl(2) with F_SETLK, F_SETLKW and the OFD ones; from emul_fcntl, hook == 0. */
long kwait_setlk(struct frame *f);

/* Child `pid` changed state (SIGCHLD came). Any kernel thread. */
void kwait_child(int pid);

/* In a fork child. */
void kwait_reset(void);

#endif
