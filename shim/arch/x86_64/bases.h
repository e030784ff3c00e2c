/* The FS base, by which program code finds its thread (TLS, errno, the stack protector), and the GS base, by which ours finds the worker.
 *
 * A switch of user threads has to change the FS base. How, depends on the kernel; asked once for each process, at activation.
 *
 *   BASES_KEPT    The kernel keeps what wrfsbase writes for each kernel thread (Linux 5.9, AT_HWCAP2).
 *   BASES_RELOAD  The CPU takes wrfsbase, the kernel does not know: a hypervisor that keeps the feature from its guests' kernels, and runs
 *                 them where the instruction works all the same. When it switches kernel threads, such a kernel gives each the base that
 *                 arch_prctl(2) set last. For workers that is FS_STALE, where nothing can be mapped: program code that goes on with it
 *                 faults at its first access by FS, and on_fault (emul/signal.c) writes the base of the user thread that runs and lets it
 *                 go on. So a base is right, or a fault. Ways out of hooks (entry.S) look, so that a call that slept costs no fault.
 *   BASES_CALL    Each switch calls arch_prctl. For programs that are traced when they are activated, where a debugger would stop at each of these
 *                 faults; or by choice, HANDOFF_DEBUG=arch_prctl.
 *
 * In the last two a kernel thread of ours has FS_STALE, or the base of the user thread that runs on it, in the kernel too. A thread that
 * leaves us for good (a fork child, a vfork child until exec) is given the program's base first, by the kernel.
 *
 * The GS base of a kernel thread of ours is its worker, of all others 0, for good: set by wrgsbase in the first case, else by arch_prctl.
 *
 * Sources: arch_prctl(2); Documentation/arch/x86/x86_64/fsgs.rst; save_fsgs() and load_seg_legacy() in arch/x86/kernel/process_64.c.
 */
#ifndef HANDOFF_BASES_H
#define HANDOFF_BASES_H

/* In page 0, which nobody can map without CAP_SYS_RAWIO or vm.mmap_min_addr = 0, nor with them here (stack.c, emul_mmap). What is added to it, at most
 * the size of glibc's struct pthread, stays there; what is subtracted, static TLS, leads there or to the top of the kernel's half. */
#define FS_STALE 0x100

#define BASES_KEPT   0
#define BASES_RELOAD 1
#define BASES_CALL   2

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stdint.h>

extern uint32_t bases_kind;

/* Which of them it is to be; false with *why when none will do. `call`: BASES_CALL is asked for. A process with one thread, any signal mask. */
bool bases_probe(bool call, const char **why);

/* The system calls that this makes and that nobody else does, in forms that do nothing: for a child that tries whether a filter kills for them. */
void bases_try(bool call);

/* The calling kernel thread is this worker's from now on, and runs program code with this FS base, or none as yet: 0. Signal-safe. */
void bases_worker(const void *worker, uint64_t fs);
/* It is nobody's any more, and runs program code with this FS base: a fork child. Signal-safe. */
void bases_leave(uint64_t fs);
/* The kernel is to know this FS base, since a child of vfork is to inherit it; and no more. A worker. Signal-safe. */
void bases_lend(uint64_t fs);
void bases_back(uint64_t fs);
/* In a fault's handler: was the base stale? It is `fs` now, and the instruction is to be tried again. */
bool bases_reloaded(uint64_t fs);
/* arch_prctl(ARCH_SET_FS) by the program. 0 or -errno. */
long bases_set_fs(uint64_t fs);
#endif
#endif
