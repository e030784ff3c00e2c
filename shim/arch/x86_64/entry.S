/* Where every stub arrives (intercept/stub_layout.h), and the ways back to the program.
 *
 * On arrival: rax = system call number, rdi rsi rdx r10 r8 r9 = arguments, r11 -> stub. All other registers, rsp among
 * them, are the program's. On return: rax = result; rcx, r11 lost, as after a real `syscall`; all others kept.
 *
 * For an unwinder each function here is called from the *site*: its return address is site_end
 * and its CFA the program's rsp, so the stub between them does not exist.
 *
 * No `ret` leads out of here, since no `call` led in: the way out is a jmp to what the stub says. In between there is no
 * call and ret either around a `syscall` that is merely watched: on many CPUs the kernel leaves the return
 * predictor empty, and each `ret` after it then costs.
 *
 * Signals. A poke (emul/signal.c) that lands between the look at uthread.attn and the return to the
 * program would be missed; its handler rewinds to the look. That is right since nothing between
 * the labels changes memory that a second run would spoil: [fast_check, fast_jump) and so on. At the final jmp
 * the PC counts as where it leads, in rcx.
 */
#include "frame.h"
#include "bases.h"
#include "../../intercept/stub_layout.h"

        .hidden handlers
        .hidden sigreturn_prepare
        .hidden sigreturn_pending
        .hidden sigreturn_native
        .hidden foreign_dispatch
        .hidden hook_exit_slow
        .hidden after_vfork
        .hidden native_sys
        .hidden fast_settle
        .hidden fd_recs
        .hidden sched_active
        .hidden gs_doubtful
        .hidden bases_kind
        .text

#define STACK_USED 1408 /* by most calls, read(2) that parks among them: no further line is touched */
#define SITE_BYTES 144 /* what PUSH_SITE takes: the red zone, site_end, the stub */

/* The unwinder's view where nothing is on the stack: the return address lies in the stub, which r11 points to. */
.macro CFA_ARRIVAL
        .cfi_def_cfa rsp, 0
        .cfi_escape 0x10, 16, 2, 0x7b, STUB_SITE_END /* rip: saved at (breg11 + STUB_SITE_END) */
.endm

/* And behind PUSH_SITE, with so much more on the stack; and with the frame there, at rbp. */
.macro CFA_ENTRY extra
        .cfi_def_cfa rsp, SITE_BYTES + \extra
.endm
.macro CFA_FRAME
        .cfi_def_cfa rbp, SITE_BYTES + FRAME_SIZE
.endm

/* Step over the red zone; keep what unwinders and the way out need. */
.macro PUSH_SITE
        leaq    -128(%rsp), %rsp
        .cfi_def_cfa_offset 128
        pushq   STUB_SITE_END(%r11)
        .cfi_def_cfa_offset 136
        .cfi_offset rip, -136
        pushq   %r11
        .cfi_def_cfa_offset SITE_BYTES
.endm

/* The program's rsp again, and in rcx where it goes on. rsp -> stub, site_end, red zone. */
.macro POP_SITE
        movq    (%rsp), %rcx
        movq    STUB_RESUME(%rcx), %rcx
        leaq    SITE_BYTES(%rsp), %rsp
        .cfi_def_cfa rsp, 0
        .cfi_register rip, rcx
.endm

/* Lay down struct frame below that, all but its last fields. */
.macro SAVE_FRAME
        leaq    -FRAME_SIZE(%rsp), %rsp
        CFA_ENTRY FRAME_SIZE
        movq    %r15, FRAME_R15(%rsp)
        movq    %r14, FRAME_R14(%rsp)
        movq    %r13, FRAME_R13(%rsp)
        movq    %r12, FRAME_R12(%rsp)
        movq    %rbp, FRAME_RBP(%rsp)
        .cfi_rel_offset rbp, FRAME_RBP
        movq    %rbx, FRAME_RBX(%rsp)
        movq    %r9,  FRAME_R9(%rsp)
        movq    %r8,  FRAME_R8(%rsp)
        movq    %r10, FRAME_R10(%rsp)
        movq    %rdx, FRAME_RDX(%rsp)
        movq    %rsi, FRAME_RSI(%rsp)
        movq    %rdi, FRAME_RDI(%rsp)
.endm

/* The argument registers back from the frame at rbp, which rsp then points to; rcx, r11 and rax excepted. */
.macro LOAD_ARGUMENTS
        movq    FRAME_R9(%rbp), %r9
        movq    FRAME_R8(%rbp), %r8
        movq    FRAME_R10(%rbp), %r10
        movq    FRAME_RDX(%rbp), %rdx
        movq    FRAME_RSI(%rbp), %rsi
        movq    FRAME_RDI(%rbp), %rdi
        movq    %rbp, %rsp
.endm

/* The program's rbp and rsp again, and in rcx where it goes on. rsp -> frame. */
.macro POP_FRAME
        movq    FRAME_RBP(%rsp), %rbp
        .cfi_restore rbp
        movq    FRAME_STUB(%rsp), %rcx
        movq    STUB_RESUME(%rcx), %rcx
        leaq    FRAME_SIZE + SITE_BYTES(%rsp), %rsp
        .cfi_def_cfa rsp, 0
        .cfi_register rip, rcx
.endm

/* Back from the kernel, which may have put the FS base back to what it knows (bases.h). rcx is lost. Before the look at attn: nothing
 * needs to be rewound. */
.macro FS_AGAIN
        cmpl    $BASES_RELOAD, bases_kind(%rip)
        jne     9f
        rdfsbase %rcx
        cmpq    $FS_STALE, %rcx
        jne     9f
        movq    %gs:WORKER_CUR, %rcx
        movq    UTHREAD_FSBASE(%rcx), %rcx
        wrfsbase %rcx
9:
.endm

        .globl  handoff_entry
        .hidden handoff_entry
        .type   handoff_entry, @function
        .p2align 6
handoff_entry:
        .cfi_startproc
        CFA_ARRIVAL
        cmpl    $0, gs_doubtful(%rip)       /* rather than rdgsbase each time: that is slow on some CPUs */
        jne     .Lwho
.Lours:
        cmpl    $0, %gs:WORKER_NATIVE
        jne     .Lmaybe_child
        leaq    -STACK_USED(%rsp), %rcx     /* is there stack for us? Where it ends in the page that rsp is in, there is */
        xorq    %rsp, %rcx
        testq   $-4096, %rcx
        jz      1f
        .globl  entry_probe
        .hidden entry_probe
entry_probe:                                /* here a fault is the program's still (signal.c) */
        testb   $0, -STACK_USED(%rsp)
1:      PUSH_SITE
        cmpq    $SYSCALL_TABLE_SIZE, %rax
        jae     .Lpass                      /* unsigned: negative numbers too */
        leaq    handlers(%rip), %r11
        movslq  (%r11,%rax,4), %rcx         /* how far the handler is from there; 0: pass */
        testq   %rcx, %rcx
        jz      .Lpass
        addq    %r11, %rcx

        /* Calls that are the kernel's own business: no C. */
        leaq    native_sys(%rip), %r11
        cmpq    %r11, %rcx
        je      .Lfast
        cmpq    $1, %rax                    /* read and write of regular files and their like */
        ja      .Lemul
        cmpl    $FDS_MAX, %edi
        jae     .Lemul
        movl    %edi, %r11d
        shlq    $6, %r11
        addq    fd_recs(%rip), %r11
        cmpb    $FD_FILE_TYPE, FDREC_TYPE(%r11)
        jne     .Lemul
.Lfast:
        leal    1(%rax), %ecx
        incl    %gs:WORKER_SYSTICK
        movl    %ecx, %gs:WORKER_SYSNO1
        .globl  fast_look
        .hidden fast_look
fast_look:                                  /* a poke in [fast_look, fast_syscall] looks again */
        movq    %gs:WORKER_CUR, %rcx
        testl   $0x10001, UTHREAD_ATTN(%rcx) /* ATTN_SIGNAL, ATTN_BLOCKS */
        jne     .Lfast_not
        .globl  fast_syscall
        .hidden fast_syscall
fast_syscall:
        syscall
        cmpq    $-2, %rax                   /* ENOENT, EINTR, EFBIG, EPIPE: not that simple */
        je      .Lfast_slow
        cmpq    $-4, %rax
        je      .Lfast_slow
        cmpq    $-27, %rax
        je      .Lfast_slow
        cmpq    $-32, %rax
        je      .Lfast_slow
        .globl  fast_check
        .hidden fast_check
fast_check:                                 /* a poke in [fast_check, fast_jump) comes back here */
        FS_AGAIN
        movl    %gs:WORKER_CLAIM, %ecx
        testl   %ecx, %ecx
        jne     .Lfast_slow
        movq    %gs:WORKER_CUR, %rcx
        cmpw    $0, UTHREAD_ATTN(%rcx)
        jne     .Lfast_slow
        movl    $0, %gs:WORKER_SYSNO1
        .cfi_remember_state
        POP_SITE
        .globl  fast_jump
        .hidden fast_jump
fast_jump:                                  /* program code already */
        jmp     *%rcx
        .cfi_restore_state
.Lfast_not: /* a signal waits, or the call may block: the long way */
        movl    $0, %gs:WORKER_SYSNO1
        leaq    handlers(%rip), %r11
        movslq  (%r11,%rax,4), %rcx
        addq    %r11, %rcx
        jmp     .Lemul
.Lfast_slow: /* as an emulated call after its system call: fast_settle(frame, result) */
        .cfi_remember_state
        SAVE_FRAME
        movq    %rsp, %rbp
        CFA_FRAME
        movq    %rsp, %rdi
        movq    %rax, %rsi
        andq    $-16, %rsp
        call    fast_settle
        jmp     exit_check
        .cfi_restore_state

.Lemul: /* An emulated call: lay down struct frame. */
        .cfi_remember_state
        incl    %gs:WORKER_EMULS
        SAVE_FRAME
        movq    %rax, FRAME_NR(%rsp)
        movq    FRAME_STUB(%rsp), %r11
        movzbl  STUB_FLAGS(%r11), %r11d
        movq    %gs:WORKER_CUR, %rdx
        movb    %r11b, UTHREAD_SITE(%rdx)   /* for ctx_park, up to exit_check */
        movq    %rsp, %rbp                  /* rbp -> frame until the exit */
        CFA_FRAME
        movq    %rsp, %rdi
        andq    $-16, %rsp
        call    *%rcx
        testb   $QUANTUM_CALLS - 1, %gs:WORKER_EMULS
        jz      .Lquantum

        .globl  exit_check
        .hidden exit_check
exit_check:                                 /* rbp -> frame, rax = result; a poke in [exit_check, exit_jump) comes back here */
        FS_AGAIN
        movq    %gs:WORKER_CUR, %rcx
        movb    $0, UTHREAD_SITE(%rcx)
        cmpw    $0, UTHREAD_ATTN(%rcx)
        jne     .Lslow
        LOAD_ARGUMENTS
        .globl  exit_rsp
        .hidden exit_rsp
exit_rsp:                                   /* from here on rsp -> frame */
        CFA_ENTRY FRAME_SIZE
        POP_FRAME
        .globl  exit_jump
        .hidden exit_jump
exit_jump:                                  /* program code already */
        jmp     *%rcx
        .cfi_restore_state

.Lquantum: /* Now and then: does anybody wait, and for long? quantum_look(frame, result) returns the result. */
        .cfi_remember_state
        CFA_FRAME
        .cfi_offset rbp, FRAME_RBP - FRAME_SIZE - SITE_BYTES
        movq    %rbp, %rdi
        movq    %rax, %rsi
        call    quantum_look
        jmp     exit_check
        .cfi_restore_state

.Lslow: /* hook_exit_slow(frame, result): signals, yields. It returns the result to hand out, and
         * looks again; or leaves through frame_jump. */
        .cfi_remember_state
        CFA_FRAME
        .cfi_offset rbp, FRAME_RBP - FRAME_SIZE - SITE_BYTES
        movq    %rbp, %rsp
        andq    $-16, %rsp
        movq    %rbp, %rdi
        movq    %rax, %rsi
        call    hook_exit_slow
        jmp     exit_check
        .cfi_restore_state

.Lpass:
        syscall
        .globl  pass_check
        .hidden pass_check
pass_check:                                 /* a poke in [pass_check, pass_jump) comes back here */
        FS_AGAIN
        movq    %gs:WORKER_CUR, %rcx
        cmpw    $0, UTHREAD_ATTN(%rcx)
        jne     .Lpass_slow
        .cfi_remember_state
        POP_SITE
        .globl  pass_jump
        .hidden pass_jump
pass_jump:                                  /* program code already */
        jmp     *%rcx
        .cfi_restore_state

.Lpass_slow: /* as an emulated call whose handler has just returned */
        SAVE_FRAME
        movq    $-1,  FRAME_NR(%rsp)        /* done: never restarted */
        movq    %rsp, %rbp
        jmp     .Lslow

.Lwho: /* A thread without a worker may be about. */
        CFA_ARRIVAL
        .cfi_restore rbp
        rdgsbase %rcx
        testq   %rcx, %rcx
        jnz     .Lours
        /* A kernel thread that is not ours, or a dormant process: only futexes concern us. */
        cmpq    $202, %rax
        jne     .Lraw
        cmpl    $0, sched_active(%rip)
        je      .Lraw
        PUSH_SITE
        SAVE_FRAME
        movq    %rax, FRAME_NR(%rsp)
        movq    %rsp, %rbp
        CFA_FRAME
        movq    %rsp, %rdi
        andq    $-16, %rsp
        call    foreign_dispatch
        LOAD_ARGUMENTS
        CFA_ENTRY FRAME_SIZE
        POP_FRAME
        jmp     *%rcx

.Lmaybe_child: /* A vfork child may stand here, on its parent's worker: who are we? */
        CFA_ARRIVAL
        PUSH_SITE
        pushq   %rax
        .cfi_adjust_cfa_offset 8
        movl    $186, %eax                  /* gettid */
        syscall
        cmpl    %eax, %gs:WORKER_KTID
        popq    %rax
        .cfi_adjust_cfa_offset -8
        leaq    after_vfork(%rip), %rcx     /* the parent again: put things right, then the call */
        je      .Lemul
        movq    (%rsp), %r11
        leaq    SITE_BYTES(%rsp), %rsp
        CFA_ARRIVAL

.Lraw: /* Natively, and by the site's own instruction where that is still in place: then a child of clone
        * resumes where it should, and what a vfork child does to the stack harms nobody. r11 -> stub. */
        movq    STUB_RESUME(%r11), %rcx
        cmpq    STUB_SITE_END(%r11), %rcx
        jne     1f
        subq    $2, %rcx
        jmp     *%rcx
1:      PUSH_SITE
        syscall
        POP_SITE
        jmp     *%rcx

/* Where the stubs of the vDSO arrive, all of them to look at a clock (rdi): as handoff_entry, unless the shim itself
 * is looking, or it is one of the kernel's own clocks and not the thread's CPU clock. */
        .globl  handoff_vdso_entry
        .hidden handoff_vdso_entry
handoff_vdso_entry:
        CFA_ARRIVAL
        cmpl    $CLOCKS_MAX, %edi
        jae     1f
        cmpl    $CLOCK_THREAD_CPUTIME, %edi
        jne     .Lraw
1:      rdgsbase %rcx
        testq   %rcx, %rcx
        jz      .Lraw
        cmpl    $0, %gs:WORKER_IN_CLOCK
        jne     .Lraw
        jmp     handoff_entry
        .cfi_endproc
        .size   handoff_entry, . - handoff_entry

/* noreturn frame_jump(struct frame *f): become f: all registers, rip and rsp. rcx and r11 are lost
 * (they are, after a system call and on the way into a handler). */
        .globl  frame_jump
        .hidden frame_jump
        .type   frame_jump, @function
frame_jump:
        .cfi_startproc
        .cfi_undefined rip
        movq    %rdi, %rcx
        movq    FRAME_R15(%rcx), %r15
        movq    FRAME_R14(%rcx), %r14
        movq    FRAME_R13(%rcx), %r13
        movq    FRAME_R12(%rcx), %r12
        movq    FRAME_RBP(%rcx), %rbp
        movq    FRAME_RBX(%rcx), %rbx
        movq    FRAME_R9(%rcx), %r9
        movq    FRAME_R8(%rcx), %r8
        movq    FRAME_R10(%rcx), %r10
        movq    FRAME_RDX(%rcx), %rdx
        movq    FRAME_RSI(%rcx), %rsi
        movq    FRAME_RDI(%rcx), %rdi
        movq    FRAME_RAX(%rcx), %rax
        movq    FRAME_RSP(%rcx), %rsp
        jmp     *FRAME_RIP(%rcx)
        .cfi_endproc
        .globl  frame_jump_end
        .hidden frame_jump_end
frame_jump_end:
        .size   frame_jump, . - frame_jump

/* long sys_intr(struct frame *f): the call in f, made natively; -ERESTARTNOINTR at once when a signal waits
 * for the user thread (attn & 1): as if it had come just before the call. A poke that lands in [sys_intr_look, sys_intr_syscall] moves the
 * PC to sys_intr_abort: between the look and the kernel nothing is lost. */
        .globl  sys_intr
        .hidden sys_intr
        .type   sys_intr, @function
sys_intr:
        .cfi_startproc
        movq    %rdi, %rcx
        movq    FRAME_NR(%rcx), %rax
        movq    FRAME_R9(%rcx), %r9
        movq    FRAME_R8(%rcx), %r8
        movq    FRAME_R10(%rcx), %r10
        movq    FRAME_RDX(%rcx), %rdx
        movq    FRAME_RSI(%rcx), %rsi
        movq    FRAME_RDI(%rcx), %rdi
        .globl  sys_intr_look
        .hidden sys_intr_look
sys_intr_look:
        movq    %gs:WORKER_CUR, %rcx
        testl   $1, UTHREAD_ATTN(%rcx)
        jne     sys_intr_abort
        .globl  sys_intr_syscall
        .hidden sys_intr_syscall
sys_intr_syscall:
        syscall
        ret
        .globl  sys_intr_abort
        .hidden sys_intr_abort
sys_intr_abort:
        movq    $-513, %rax                 /* ERESTARTNOINTR: not begun; after the handler, anew */
        ret
        .cfi_endproc
        .size   sys_intr, . - sys_intr

/* Where a handler returns to: the address that a signal frame of ours carries, rsp -> ucontext.
 * The emulated mask and stack are put back (sigreturn_prepare), pending signals delivered, then the
 * kernel restores the registers from the frame. An unwinder knows a signal frame by the 'S'
 * augmentation and finds the registers in uc_mcontext (DWARF expressions over rsp). A poke in
 * [restorer_check, restorer_end) is delivered as in program code at restorer_check: all state lies in the frame, but for the
 * worker's alternate stack, and its handler may return on another worker. */
        .globl  handler_restorer
        .hidden handler_restorer
        .type   handler_restorer, @function
        .cfi_startproc
        .cfi_signal_frame
        .cfi_escape 0x0f,0x04,0x77,0xa0,0x01,0x06
        .cfi_escape 0x10,8,2,0x77,40
        .cfi_escape 0x10,9,2,0x77,48
        .cfi_escape 0x10,10,2,0x77,56
        .cfi_escape 0x10,11,3,0x77,192,0
        .cfi_escape 0x10,12,3,0x77,200,0
        .cfi_escape 0x10,13,3,0x77,208,0
        .cfi_escape 0x10,14,3,0x77,216,0
        .cfi_escape 0x10,15,3,0x77,224,0
        .cfi_escape 0x10,5,3,0x77,232,0
        .cfi_escape 0x10,4,3,0x77,240,0
        .cfi_escape 0x10,6,3,0x77,248,0
        .cfi_escape 0x10,3,3,0x77,128,1
        .cfi_escape 0x10,1,3,0x77,136,1
        .cfi_escape 0x10,0,3,0x77,144,1
        .cfi_escape 0x10,2,3,0x77,152,1
        .cfi_escape 0x10,7,3,0x77,160,1
        .cfi_escape 0x10,16,3,0x77,168,1
        nop                                 /* the unwinder looks up address - 1 */
handler_restorer:
        movq    %rsp, %rbp
        movq    %rsp, %rdi
        andq    $-16, %rsp
        rdgsbase %rcx
        testq   %rcx, %rcx
        jz      2f
        call    sigreturn_prepare
        .globl  restorer_check
        .hidden restorer_check
restorer_check:                             /* rbp -> ucontext */
        movq    %rbp, %rsp
        movq    %gs:WORKER_CUR, %rcx
        testl   $1, UTHREAD_ATTN(%rcx)
        jne     1f
        movq    %gs:WORKER_SIGSTACK, %rcx   /* this worker's: the handlers before may have come to another */
        movq    %rcx, UCONTEXT_STACK_SP(%rbp)
        movl    $15, %eax
        syscall
        ud2
1:      movq    %rbp, %rdi
        leaq    -1024(%rsp), %rsp           /* the next frame comes where this one is: keep clear of it */
        andq    $-16, %rsp
        call    sigreturn_pending           /* another handler, in place of what we return to; or back */
        jmp     restorer_check
2:      call    sigreturn_native            /* the child of a fork in a handler */
        movq    %rbp, %rsp
        movl    $15, %eax
        syscall
        ud2
        .globl  restorer_end
        .hidden restorer_end
restorer_end:
        .cfi_endproc
        .size   handler_restorer, . - handler_restorer

        .section .note.GNU-stack, "", @progbits
