/* The statistics page: what a running process shows of itself, and the one thing that the shim
 * and the `handoff` command share.
 *
 * The file is $XDG_RUNTIME_DIR/handoff/PID (else /dev/shm/handoff-UID/PID, else /tmp/handoff-UID/PID), mode 0600 in a directory
 * of mode 0700, mapped shared by the process, its descriptor closed at once. It is sparse:
 * only what was used takes memory. The reader maps it read-only. The process removes it at
 * exit_group; after a crash it stays and a reader must check that PID lives and that
 * start_time matches field 22 of /proc/PID/stat.
 *
 * Every field is written by plain aligned stores while the reader looks: a reader takes each for
 * itself, and must bound every index and string it takes from here.
 *
 * Layout: struct stats_header at 0; then, at the offsets it gives, an array of stats_proc
 * (nprocs_max + 1: the last is the shared set), of stats_worker and of stats_uthread.
 * Times are TSC ticks unless the name ends in _ns; ns = (tsc - tsc_base) * tsc_mult >> 32 + ns_base
 * (CLOCK_MONOTONIC; use 128-bit arithmetic).
 */
#ifndef HANDOFF_STATS_PAGE_H
#define HANDOFF_STATS_PAGE_H

#include <stdint.h>

#define STATS_MAGIC   0x0066666f646e6168ull /* "handoff\0", little endian */
#define STATS_VERSION 5

enum stats_state { STATS_DORMANT, STATS_ACTIVE, STATS_REFUSED, STATS_ENDED };

/* 28 buckets: bucket i counts latencies below 64 ns << i, the last all above. */
#define STATS_HIST_BUCKETS 28

enum stats_proc_state { PROC_IDLE, PROC_RUNNING, PROC_SYSCALL, PROC_RETAKEN, PROC_DEAD };

struct stats_proc {
#define COUNTER(name, group, label, help) uint64_t name;
#include "../counters.def"
#undef COUNTER
    uint64_t latency[STATS_HIST_BUCKETS]; /* ready -> running, a sample of 1 in 8 */
    uint32_t state;                       /* enum stats_proc_state */
    uint32_t runq;                        /* length of the local run queue, the next slot included */
    uint32_t timers;                      /* timers pending */
    int32_t worker;                       /* index of the worker that holds it; -1 none */
} __attribute__((aligned(64)));

enum stats_worker_state {
    WORKER_FREE,    /* slot unused */
    WORKER_SPIN,    /* looks for work */
    WORKER_RUN,     /* runs a user thread */
    WORKER_SYSCALL, /* in a system call for its user thread */
    WORKER_POLL,    /* sleeps in the poller */
    WORKER_SLEEP,   /* sleeps, no work */
};

struct stats_worker {
    uint32_t state; /* enum stats_worker_state */
    int32_t ktid;   /* kernel thread id */
    int32_t proc;   /* index; -1 none */
    int32_t utid;   /* tid of its user thread; 0 none */
    int32_t sysno;  /* the system call in progress; -1 none */
    int32_t pad;
} __attribute__((aligned(32)));

enum stats_uthread_state {
    UTHREAD_FREE,
    UTHREAD_RUNNABLE,
    UTHREAD_RUNNING,
    UTHREAD_SYSCALL, /* in the kernel, on its worker */
    UTHREAD_PARKED,
    UTHREAD_EXITING,
};

/* Why a user thread is parked; `object` holds what the comment says. */
enum stats_wait {
    WAIT_NONE,
    WAIT_FUTEX,   /* address */
    WAIT_READ,    /* descriptor */
    WAIT_WRITE,   /* descriptor */
    WAIT_ACCEPT,  /* descriptor */
    WAIT_CONNECT, /* descriptor */
    WAIT_POLL,    /* number of descriptors; epoll: the descriptor */
    WAIT_SLEEP,   /* deadline, ns */
    WAIT_SIGNAL,  /* - */
    WAIT_SYSCALL, /* system call number (state UTHREAD_SYSCALL) */
    WAIT_WORKER,  /* waits for a proc after a system call or a retake */
    WAIT_MAX
};

struct stats_uthread {
    int32_t tid;    /* as the program sees it; 0: free */
    uint8_t state;  /* enum stats_uthread_state */
    uint8_t wait;   /* enum stats_wait */
    uint8_t wired;  /* bound to its worker */
    uint8_t pad;
    uint64_t since; /* TSC when it entered the state */
    uint64_t object;
    int32_t worker; /* index; -1 none */
    int32_t pad2;
    char name[16];  /* NUL-terminated */
    uint64_t dispatches;
    uint64_t ran;   /* TSC ticks on workers, up to its last park; waits inside system calls left out as far as known */
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct stats_uthread) == 64, "one cache line each");

struct stats_header {
    uint64_t magic;
    uint32_t version;
    uint32_t size; /* of this struct */
    int32_t pid;
    uint32_t state;        /* enum stats_state */
    uint64_t start_time;   /* field 22 of /proc/PID/stat */
    uint64_t activated_ns; /* CLOCK_MONOTONIC */
    uint64_t activation_ns;/* how long activation took */
    uint64_t tsc_base, ns_base, tsc_mult;
    uint64_t procs_off, workers_off, uthreads_off;
    uint32_t proc_stride, worker_stride, uthread_stride;
    uint32_t nprocs;       /* in use now */
    uint32_t nprocs_max;   /* array length less the shared set */
    uint32_t nworkers_max; /* array length */
    uint32_t nuthreads_max;
    uint32_t workers_hwm;  /* slots ever used */
    uint32_t uthreads_hwm; /* slots ever used */
    uint32_t global_runq;  /* length */
    uint32_t sites_total, sites_patched, sites_native, objects; /* interception */
    uint32_t uthreads_live, workers_live;
    char version_text[32];
    char reason[256];      /* why it was refused, one line */
    char exe[256];
    char options[1024];    /* NAME=VALUE lines */
};

#endif
