/* How many CPUs there are for this process. Any kernel thread. */
#ifndef HANDOFF_SCHED_CPUS_H
#define HANDOFF_SCHED_CPUS_H

#include <stdint.h>

/* That the calling thread may use now, by its affinity and the process's cgroup quotas; 1 or more. */
uint32_t cpus_usable(void);
/* That there will ever be. */
uint32_t cpus_possible(void);

#endif
