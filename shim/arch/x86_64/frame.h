/* The registers of a user thread at an intercepted system call, as entry.S lays them on its stack,
 * and the offsets that assembly needs. Shared with .S files.
 *
 *   orig_rsp ->  (the program's stack)
 *                128 bytes of red zone, stepped over
 *                site_end      what an unwinder takes for the return address
 *                stub          where the way out is (intercept/stub_layout.h)
 *                struct frame
 */
#ifndef HANDOFF_FRAME_H
#define HANDOFF_FRAME_H

#define FRAME_R15  0
#define FRAME_R14  8
#define FRAME_R13  16
#define FRAME_R12  24
#define FRAME_RBP  32
#define FRAME_RBX  40
#define FRAME_R9   48
#define FRAME_R8   56
#define FRAME_R10  64
#define FRAME_RDX  72
#define FRAME_RSI  80
#define FRAME_RDI  88
#define FRAME_RAX  96
#define FRAME_RIP  104
#define FRAME_RSP  112
#define FRAME_NR   120
#define FRAME_SIZE 128
/* Above the frame: */
#define FRAME_STUB     128
#define FRAME_SITE_END 136
#define FRAME_ABOVE    144 /* + 128 of red zone = the program's rsp */

#define SYSCALL_TABLE_SIZE 480

/* struct worker, at the GS base */
#define WORKER_CUR    0
#define WORKER_G0TOP  8
#define WORKER_NATIVE 16
#define WORKER_KTID   72
#define WORKER_SYSNO1 32
#define WORKER_SYSTICK 36
#define WORKER_CLAIM  40
#define WORKER_EMULS  44
#define QUANTUM_CALLS 32 /* emulated calls between two looks at the clock; a power of two, at most 128 */
#define WORKER_SELF   64
#define WORKER_SIGSTACK 120
#define WORKER_IN_CLOCK 172
#define UCONTEXT_STACK_SP 16 /* of the kernel's struct ucontext */
/* clock_gettime(2) */
#define CLOCK_THREAD_CPUTIME 3
#define CLOCKS_MAX           16
/* struct fdrec (emul/fd.h) */
#define FDS_MAX       1048576
#define FDREC_TYPE    8
#define FD_FILE_TYPE  5
/* struct uthread */
#define UTHREAD_RSP    0
#define UTHREAD_FSBASE 8
#define UTHREAD_ATTN   16
#define UTHREAD_VEC    20 /* 16 bits: VEC_*, and of VEC_STACK the size in cache lines */
#define UTHREAD_SITE   23 /* flags of the stub while an emulated call is under way, else 0 */
#define UTHREAD_XSAVE  200

#ifndef __ASSEMBLER__
#include <stdint.h>
#include <stddef.h>

struct frame {
    uint64_t r15, r14, r13, r12, rbp, rbx, r9, r8, r10, rdx, rsi, rdi;
    uint64_t rax; /* out: the result */
    uint64_t rip; /* where the program resumes (filled on the slow exit) */
    uint64_t rsp; /* the program's rsp (likewise) */
    uint64_t nr;
};
_Static_assert(offsetof(struct frame, nr) == FRAME_NR && sizeof(struct frame) == FRAME_SIZE, "entry.S");
#endif
#endif
