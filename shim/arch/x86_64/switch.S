/* Switching user threads.
 *
 * Vector state. While the shim runs it uses general registers only, so what stands in the vector
 * registers is the user thread's. XGETBV(1) tells which components are in use. When it is SSE
 * alone (by far the common case after vzeroupper), sixteen moves and MXCSR do in 10 ns what
 * xsavec + xrstor do in 160 on the machine this was measured on (docs/design/switch.md), and they lie on the
 * user thread's own stack. With more in use (AVX after use on AMD; AVX-512's upper registers, which glibc's string functions leave so)
 * an XSAVE area of what is in use lies there, at most 2.4 KB: most often it is in a page that the thread has touched anyway, where an area
 * apart would cost 2.5 KB for each parked thread. What is larger yet (AMX) goes to u->xsave, which costs no memory until it is used.
 * In a call from one of libc's own sites all but SSE and x87's control and status is dead (STUB_SSE_ONLY).
 */
#include "bases.h"
#include "frame.h"

#define VEC_NONE 0
#define VEC_SSE  1
#define VEC_FULL 2
#define VEC_NEW  3
#define VEC_STACK 4
#define VEC_SSE_ONLY 5          /* as VEC_SSE; what stands in the other components is nobody's */

        .hidden vec_kind        /* int: 0 xgetbv(1)+xsavec, 1 xsave, 2 fxsave */
        .hidden vec_lean        /* int: 1: xgetbv(1) cannot tell of anything that counts at libc's own sites */
        .hidden vec_pku         /* int: 1 when the kernel has enabled protection keys */
        .hidden vec_init_area   /* an XSAVE area in compacted form with nothing in it */
        .hidden uthread_begin
        .hidden bases_kind
        .text
#define VEC_ON_STACK 0x2e7      /* x87 SSE AVX opmask ZMM_Hi256 Hi16_ZMM PKRU */
#define VEC_WIDE     0x0e4      /* AVX opmask ZMM_Hi256 Hi16_ZMM */
#define X87_STANDS   (1 << 31)  /* of `inuse`: x87 is in use, but only its control word may differ from the initial state */
#define X87_INITIAL  0x37f      /* control word */
#define X87_FLAGS    0xb8ff     /* status word: busy, top of the stack, exceptions */
/* Context on the stack: */
#define AREA_MXCSR   256
#define AREA_PKRU    260
#define AREA_X87     264        /* control word */
#define AREA_SIZE    280        /* 8 mod 16 */

/* noreturn ctx_park(struct uthread *u, uint64_t g0_top, void (*fn)(struct uthread *u), uint64_t *inuse)
 * Save the current user thread's context in u and run fn(u) on the scheduler stack. The matching
 * ctx_resume makes it return. rdi rsi rdx rcx. Keeps rbx rbp r12-r15, vector state. */
        .globl  ctx_park
        .hidden ctx_park
        .type   ctx_park, @function
ctx_park:
        .cfi_startproc
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset rbp, 0
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset rbx, 0
        pushq   %r12
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r12, 0
        pushq   %r13
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r13, 0
        pushq   %r14
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r14, 0
        pushq   %r15
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r15, 0
        movq    %rsp, UTHREAD_RSP(%rdi)
        movq    %rdx, %r9
        movq    %rcx, %r10
        movzbl  UTHREAD_SITE(%rdi), %ecx
        testl   %ecx, vec_lean(%rip)        /* STUB_SSE_ONLY is the only flag there is */
        jnz     .Llean
.Lask:
        cmpl    $0, vec_kind(%rip)
        jne     .Lsave_old
        movl    $1, %ecx
        xgetbv
        movl    %eax, %r11d
        movq    %r11, (%r10)
        movzbl  UTHREAD_SITE(%rdi), %ecx
        testl   %ecx, %ecx
        jz      1f
        andl    $~VEC_WIDE, %eax
        andl    $~VEC_WIDE, %r11d
        testl   $1, %eax
        jnz     .Lx87
1:      leal    VEC_SSE(,%rcx,4), %ecx      /* VEC_SSE or VEC_SSE_ONLY */
        andl    $~(2 | 512), %eax           /* anything besides SSE (and PKRU, below)? */
        jnz     .Lsave_full
        .cfi_remember_state
        /* Onto the stack, whose lines are at hand anyway: 16 registers, MXCSR, PKRU, x87's control word. rsp is 8 mod 16. */
        leaq    -AREA_SIZE(%rsp), %rsp
        .cfi_adjust_cfa_offset AREA_SIZE
        movl    $X87_INITIAL, AREA_X87(%rsp)
.Lsave_sse:
        movq    %rsp, UTHREAD_RSP(%rdi)
        movaps  %xmm0, 0(%rsp)
        movaps  %xmm1, 16(%rsp)
        movaps  %xmm2, 32(%rsp)
        movaps  %xmm3, 48(%rsp)
        movaps  %xmm4, 64(%rsp)
        movaps  %xmm5, 80(%rsp)
        movaps  %xmm6, 96(%rsp)
        movaps  %xmm7, 112(%rsp)
        movaps  %xmm8, 128(%rsp)
        movaps  %xmm9, 144(%rsp)
        movaps  %xmm10, 160(%rsp)
        movaps  %xmm11, 176(%rsp)
        movaps  %xmm12, 192(%rsp)
        movaps  %xmm13, 208(%rsp)
        movaps  %xmm14, 224(%rsp)
        movaps  %xmm15, 240(%rsp)
        stmxcsr AREA_MXCSR(%rsp)
        movw    %cx, UTHREAD_VEC(%rdi)
        cmpl    $0, vec_pku(%rip)
        jne     .Lsave_pku
.Lsaved:
        movq    %rsi, %rsp
        pushq   $0                          /* the end of the scheduler's stack */
        jmp     *%r9
.Lsave_pku:
        xorl    %ecx, %ecx
        rdpkru
        movl    %eax, AREA_PKRU(%rsp)
        jmp     .Lsaved
        .cfi_restore_state
.Llean: /* As .Lx87; what the wide components are is not asked, so they may be in use. */
        fnstsw  %ax
        testl   $X87_FLAGS, %eax
        jnz     .Lask
        emms
        movl    $VEC_WIDE | 2 | X87_STANDS, %eax
        movq    %rax, (%r10)
.Lx87_stands:
        .cfi_remember_state
        leaq    -AREA_SIZE(%rsp), %rsp
        .cfi_adjust_cfa_offset AREA_SIZE
        fnstcw  AREA_X87(%rsp)
        movl    $VEC_SSE_ONLY, %ecx
        jmp     .Lsave_sse
        .cfi_restore_state
.Lx87: /* In use; some CPUs say so of what is in its initial state, too. At a site of libc its registers are dead, and empty; should MMX have left
        * some, they are so now. The control word stays, and so do exceptions, which fetestexcept(3) tells. (To ask with fxam costs 90 ns.) */
        fnstsw  %ax
        testl   $X87_FLAGS, %eax
        jnz     1f
        emms
        movl    %r11d, %eax
        andl    $~(1 | 2 | 512), %eax
        jnz     2f
        andl    $~1, (%r10)
        orl     $X87_STANDS, (%r10)
        jmp     .Lx87_stands
1:      movl    %r11d, %eax
        andl    $~(2 | 512), %eax
2:      orl     $1, %eax
.Lsave_full:
        testl   $~VEC_ON_STACK, %eax
        jnz     .Lsave_area
        movl    $576, %ecx                  /* legacy area and header; then the components, in compacted form */
        leal    256(%rcx), %edx
        testl   $4, %eax                    /* AVX */
        cmovnzl %edx, %ecx
        leal    64(%rcx), %edx
        testl   $32, %eax                   /* opmask */
        cmovnzl %edx, %ecx
        leal    512(%rcx), %edx
        testl   $64, %eax                   /* ZMM_Hi256 */
        cmovnzl %edx, %ecx
        leal    1024(%rcx), %edx
        testl   $128, %eax                  /* Hi16_ZMM */
        cmovnzl %edx, %ecx
        leal    64(%rcx), %edx
        testl   $512, %r11d                 /* PKRU: 8 bytes */
        cmovnzl %edx, %ecx
        movq    %rsp, %rdx
        subq    %rcx, %rsp
        andq    $-64, %rsp
        movq    %rsp, UTHREAD_RSP(%rdi)
        movq    %rdx, 464(%rsp)             /* of the legacy area, free for software: where the context is */
        xorl    %edx, %edx
        movq    %rdx, 528(%rsp)             /* of the header xsavec writes the first 16 bytes, xrstor wants zeros after them */
        movq    %rdx, 536(%rsp)
        movq    %rdx, 544(%rsp)
        movq    %rdx, 552(%rsp)
        movq    %rdx, 560(%rsp)
        movq    %rdx, 568(%rsp)
        movl    %r11d, %eax
        orl     $3, %eax
        xsavec64 (%rsp)
        shll    $2, %ecx                    /* / 64 << 8 */
        orl     $VEC_STACK, %ecx
        movw    %cx, UTHREAD_VEC(%rdi)
        jmp     .Lsaved
.Lsave_area:
        movq    UTHREAD_XSAVE(%rdi), %r8
        movw    $VEC_FULL, UTHREAD_VEC(%rdi)
        movl    $-1, %eax
        movl    $-1, %edx
        xsavec64 (%r8)
        jmp     .Lsaved
.Lsave_old:
        movq    UTHREAD_XSAVE(%rdi), %r8
        movw    $VEC_FULL, UTHREAD_VEC(%rdi)
        cmpl    $1, vec_kind(%rip)
        jne     1f
        movl    $-1, %eax
        movl    $-1, %edx
        xsave64 (%r8)
        jmp     .Lsaved
1:      fxsave64 (%r8)
        jmp     .Lsaved
        .cfi_endproc
        .size   ctx_park, . - ctx_park

/* noreturn ctx_resume(struct uthread *u, uint64_t inuse): run u from where ctx_park (or a new one's
 * prepared context) left it. `inuse`: what xgetbv(1) said at this worker's last ctx_park; all ones
 * when unknown. */
        .globl  ctx_resume
        .hidden ctx_resume
        .type   ctx_resume, @function
ctx_resume:
        .cfi_startproc
        .cfi_undefined rip
        movzbl  UTHREAD_VEC(%rdi), %ecx
        cmpl    $VEC_SSE, %ecx
        jne     .Lrest_other
        testl   $~(2 | 512 | X87_STANDS), %esi
        jnz     .Lrest_sse_dirty
.Lrest_sse:
        movq    UTHREAD_RSP(%rdi), %r8
        movaps  0(%r8), %xmm0
        movaps  16(%r8), %xmm1
        movaps  32(%r8), %xmm2
        movaps  48(%r8), %xmm3
        movaps  64(%r8), %xmm4
        movaps  80(%r8), %xmm5
        movaps  96(%r8), %xmm6
        movaps  112(%r8), %xmm7
        movaps  128(%r8), %xmm8
        movaps  144(%r8), %xmm9
        movaps  160(%r8), %xmm10
        movaps  176(%r8), %xmm11
        movaps  192(%r8), %xmm12
        movaps  208(%r8), %xmm13
        movaps  224(%r8), %xmm14
        movaps  240(%r8), %xmm15
        ldmxcsr AREA_MXCSR(%r8)
        cmpw    $X87_INITIAL, AREA_X87(%r8)
        jne     .Lrest_x87
        testl   %esi, %esi                  /* X87_STANDS */
        js      .Lrest_x87
.Lrest_x87_done:
        leaq    AREA_SIZE(%r8), %rsp
        cmpl    $0, vec_pku(%rip)
        jne     .Lrest_pku
.Lrest_fs:
        movq    UTHREAD_FSBASE(%rdi), %rax
        cmpl    $BASES_CALL, bases_kind(%rip)
        je      .Lrest_fs_call
        wrfsbase %rax
.Lrest_fs_done:
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbx
        popq    %rbp
        ret
.Lrest_fs_call:
        rdfsbase %rsi
        cmpq    %rsi, %rax
        je      .Lrest_fs_done
        movq    %rax, %rsi
        movl    $0x1002, %edi               /* ARCH_SET_FS */
        movl    $158, %eax                  /* arch_prctl */
        syscall
        jmp     .Lrest_fs_done
.Lrest_x87:
        fldcw   AREA_X87(%r8)
        jmp     .Lrest_x87_done
.Lrestored:
        movq    UTHREAD_RSP(%rdi), %rsp
        jmp     .Lrest_fs
.Lrest_pku: /* wrpkru takes four times as long as rdpkru */
        movl    AREA_PKRU(%r8), %r9d
.Lrest_pku_new:
        xorl    %ecx, %ecx
        rdpkru                              /* edx = 0, as wrpkru wants it */
        cmpl    %r9d, %eax
        je      .Lrest_fs
        movl    %r9d, %eax
        wrpkru
        jmp     .Lrest_fs
.Lrest_sse_dirty: /* other components of the last user thread are in the way: all to their initial state */
        leaq    vec_init_area(%rip), %r8
        movl    $~512, %eax
        movl    $-1, %edx
        xrstor64 (%r8)
        jmp     .Lrest_sse
.Lrest_sse_only:
        testl   $~(VEC_WIDE | 2 | 512 | X87_STANDS), %esi /* x87 or tiles of another's */
        jnz     .Lrest_sse_dirty
        testl   $4, %esi
        jz      .Lrest_sse
        vzeroupper                          /* for speed: upper halves that are not zero make SSE code slow */
        jmp     .Lrest_sse
.Lrest_other:
        cmpl    $VEC_SSE_ONLY, %ecx
        je      .Lrest_sse_only
        cmpl    $VEC_NEW, %ecx
        je      .Lrest_new
        cmpl    $VEC_STACK, %ecx
        je      .Lrest_stack
        cmpl    $VEC_FULL, %ecx
        jne     .Lrestored
        movq    UTHREAD_XSAVE(%rdi), %r8
        movl    $-1, %eax
        movl    $-1, %edx
        cmpl    $2, vec_kind(%rip)
        je      1f
        xrstor64 (%r8)
        jmp     .Lrestored
1:      fxrstor64 (%r8)
        jmp     .Lrestored
.Lrest_stack:
        movq    UTHREAD_RSP(%rdi), %r8
        movl    $-1, %eax
        movl    $-1, %edx
        xrstor64 (%r8)
        movq    464(%r8), %rsp
        jmp     .Lrest_fs
.Lrest_new: /* a new thread inherits the floating point environment and PKRU, nothing else: they lie below its context (struct inherited) */
        testl   $1, %esi                    /* another's x87 registers */
        jz      1f
        cmpl    $0, vec_kind(%rip)
        jne     1f
        leaq    vec_init_area(%rip), %r8
        movl    $1, %eax
        xorl    %edx, %edx
        xrstor64 (%r8)
1:      movq    UTHREAD_RSP(%rdi), %r8
        ldmxcsr (%r8)
        fldcw   4(%r8)
        movzwl  6(%r8), %ecx                /* x87 exceptions; seldom any */
        testl   %ecx, %ecx
        jz      2f
        subq    $32, %rsp                   /* still the scheduler's stack */
        fnstenv (%rsp)
        orw     %cx, 4(%rsp)
        fldenv  (%rsp)
2:      leaq    16(%r8), %rsp
        movl    8(%r8), %r9d
        cmpl    $0, vec_pku(%rip)
        jne     .Lrest_pku_new
        jmp     .Lrest_fs
        .cfi_endproc
        .size   ctx_resume, . - ctx_resume

/* The first thing a new user thread runs: rsp -> struct frame (its registers). */
        .globl  uthread_start
        .hidden uthread_start
        .type   uthread_start, @function
uthread_start:
        .cfi_startproc
        .cfi_undefined rip
        movq    %rsp, %rdi
        jmp     uthread_begin
        .cfi_endproc
        .size   uthread_start, . - uthread_start

/* void g0_call(void (*fn)(void *), void *arg, uint64_t stack_top): fn(arg) on another stack; never
 * returns to the caller's. For the start of workers. */
        .globl  g0_enter
        .hidden g0_enter
        .type   g0_enter, @function
g0_enter:
        .cfi_startproc
        .cfi_undefined rip
        movq    %rdx, %rsp
        movq    %rdi, %rax
        movq    %rsi, %rdi
        pushq   $0
        jmp     *%rax
        .cfi_endproc
        .size   g0_enter, . - g0_enter

/* long thread_clone(unsigned long flags, void *stack_top, int *tidptr, int (*fn)(void *), void *arg)
 * A bare kernel thread: fn(arg) on its stack with GS = FS = whatever; exits with fn's result. */
        .globl  thread_clone
        .hidden thread_clone
        .type   thread_clone, @function
thread_clone:
        .cfi_startproc
        movq    %rcx, %r9                   /* fn */
        andq    $-16, %rsi
        movq    %rdx, %r10                  /* child_tid */
        movl    $56, %eax
        /* rdi flags, rsi stack, rdx parent_tid, r10 child_tid, r8 tls: keep arg on the stack */
        movq    %r8, -8(%rsi)
        movq    %r9, -16(%rsi)
        subq    $16, %rsi
        xorl    %r8d, %r8d
        syscall
        testq   %rax, %rax
        jz      1f
        ret
1:      .cfi_undefined rip
        xorl    %ebp, %ebp
        xorl    %esi, %esi                  /* the creator's worker is not ours: a helper is none */
        cmpl    $BASES_KEPT, bases_kind(%rip)
        jne     2f
        wrgsbase %rsi
        jmp     3f
2:      movl    $0x1001, %edi               /* ARCH_SET_GS */
        movl    $158, %eax                  /* arch_prctl */
        syscall
3:
        popq    %rax
        popq    %rdi
        call    *%rax
        movl    %eax, %edi
        movl    $60, %eax
        syscall
        ud2
        .cfi_endproc
        .size   thread_clone, . - thread_clone

/* User memory. A fault at any instruction in [uaccess_begin, uaccess_end) resumes at
 * uaccess_fault, which answers -EFAULT (-14) (emul/signal.c, on_fault). */
        .globl  uaccess_begin, uaccess_end, uaccess_fault
        .hidden uaccess_begin, uaccess_end, uaccess_fault
uaccess_begin:
/* long uaccess_copy(void *dst, const void *src, size_t n) */
        .globl  uaccess_copy
        .hidden uaccess_copy
        .type   uaccess_copy, @function
uaccess_copy:
        .cfi_startproc
        movq    %rdx, %rcx
        rep movsb
        xorl    %eax, %eax
        ret
        .cfi_endproc
/* long uaccess_load32(const uint32_t *p, uint32_t *out) */
        .globl  uaccess_load32
        .hidden uaccess_load32
        .type   uaccess_load32, @function
uaccess_load32:
        .cfi_startproc
        movl    (%rdi), %eax
        movl    %eax, (%rsi)
        xorl    %eax, %eax
        ret
        .cfi_endproc
/* long uaccess_cas32(uint32_t *p, uint32_t expect, uint32_t v, uint32_t *seen) */
        .globl  uaccess_cas32
        .hidden uaccess_cas32
        .type   uaccess_cas32, @function
uaccess_cas32:
        .cfi_startproc
        movq    %rcx, %r8
        movl    %esi, %eax
        lock cmpxchgl %edx, (%rdi)
        movl    %eax, (%r8)
        movl    $0, %eax
        ret
        .cfi_endproc
/* long uaccess_probe_write(void *p): touch for writing without changing */
        .globl  uaccess_probe_write
        .hidden uaccess_probe_write
        .type   uaccess_probe_write, @function
uaccess_probe_write:
        .cfi_startproc
        lock orl $0, (%rdi)
        xorl    %eax, %eax
        ret
        .cfi_endproc
uaccess_end:
uaccess_fault:
        movq    $-14, %rax
        ret

        .section .note.GNU-stack, "", @progbits
