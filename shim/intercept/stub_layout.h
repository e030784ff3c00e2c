/* The shape of a stub. Plain #defines only: C and .S both include this.
 *
 * A stub is one cache line (two where many instructions that stood after the `syscall` are displaced), 64-byte aligned:
 *
 *      +0   resume     8 bytes   where the program goes on once the call is done
 *      +8   site_end   8 bytes   address after the `syscall` instruction
 *     +16   flags      1 byte
 *     +17   displaced instructions that stood before the `syscall`, ending at +34
 *     +34   lea  stub(%rip), %r11         a register that every `syscall` destroys
 *     +41   jmp  *entry(%rip)             literal at the start of the stub block
 *     +47   after: displaced instructions that stood after the `syscall`
 *           jmp  back                     resume leads here, or straight to site_end
 *
 * So the common entry finds both literals at r11, and everything else is the program's as it was before the `syscall`:
 * all other registers but rcx, rsp, the stack, the arithmetic flags. The way out is a jmp to `resume`.
 *
 * There is no call in it, and no ret: the CPU predicts a ret by the calls it has seen, and one without the
 * other makes every ret of the program up its stack go wrong. */
#ifndef HANDOFF_STUB_LAYOUT_H
#define HANDOFF_STUB_LAYOUT_H

#define STUB_ALIGN 64

#define STUB_RESUME     0
#define STUB_SITE_END   8
#define STUB_FLAGS      16
#define STUB_BEFORE     17 /* room for displaced instructions, filled from the right */
#define STUB_BEFORE_MAX 17
#define STUB_ENTER      34 /* lea stub(%rip), %r11: with rax the number, the call again */
#define STUB_JMP        41
#define STUB_AFTER      47

/* In the flags: of the vector state only MXCSR, the x87 state, and the lower 128 bits of xmm0-15 may be wanted again behind this site.
 * It is a libc's, whose code is of SSE alone (scan.c), so nothing of its own stands in the rest; and who called it from outside
 * expects nothing there: no vector register is kept by a function of the System V ABI. */
#define STUB_SSE_ONLY 1

#endif
