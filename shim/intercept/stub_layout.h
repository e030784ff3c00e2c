/* The shape of a stub. Plain #defines only: C and .S both include this.
 *
 * A stub is one cache line (two when instructions that stood after the
 * `syscall` are displaced), 64-byte aligned:
 *
 *      +0   resume     8 bytes   where the program goes on once the call is done
 *      +8   site_end   8 bytes   address after the `syscall` instruction
 *     +16   displaced instructions that stood before the `syscall`, ending at +34
 *     +34   lea  -128(%rsp), %rsp         step over the red zone
 *     +39   push site_end(%rip)           what an unwinder takes for the caller
 *     +45   call *entry(%rip)             literal at the start of the stub block
 *     +51   tail:  lea 136(%rsp), %rsp    drop site_end, step back
 *     +59   after: displaced instructions that stood after the `syscall`
 *           jmp  back
 *
 * So the common entry, which finds `tail` at (%rsp) and site_end at 8(%rsp),
 * reads both literals at a constant distance from its return address:
 *
 *     mov (%rsp), %rcx
 *     mov STUB_RESUME_OFFSET(%rcx), %rcx      # where to resume
 *
 * On entry every register is the program's (rax: the system call's number),
 * except rsp, which is STUB_FRAME_BYTES + 8 lower. The arithmetic flags are
 * the program's too. */
#ifndef HANDOFF_STUB_LAYOUT_H
#define HANDOFF_STUB_LAYOUT_H

#define STUB_ALIGN 64

#define STUB_RESUME     0
#define STUB_SITE_END   8
#define STUB_BEFORE     16 /* room for displaced instructions, filled from the right */
#define STUB_BEFORE_MAX 18
#define STUB_STEP       34 /* lea -128(%rsp), %rsp */
#define STUB_PUSH       39
#define STUB_CALL       45
#define STUB_TAIL       51
#define STUB_AFTER      59

/* Distances from the return address of the call. */
#define STUB_RESUME_OFFSET   (STUB_RESUME - STUB_TAIL)   /* -51 */
#define STUB_SITE_END_OFFSET (STUB_SITE_END - STUB_TAIL) /* -43 */

#define STUB_RED_ZONE 128
/* What the stub has put below the program's rsp, its return address not counted. */
#define STUB_FRAME_BYTES (STUB_RED_ZONE + 8)

#endif
