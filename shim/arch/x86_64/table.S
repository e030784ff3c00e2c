/* What handles each system call (syscalls.def): handlers[nr] is where its function is, from `handlers` on; 0: nobody, it passes.
 *
 * Distances, not addresses: ld.so would write a table of those at each start of a program, page by page. */
#include <asm/unistd.h>

#include "frame.h"

#define JOIN(a, b)          a##b
#define HANDLER(nr)         JOIN(handler_, nr)
#define HAS(nr)             JOIN(has_, nr)
#define EMUL(name, handler) .set HANDLER(__NR_##name), handler; .set HAS(__NR_##name), 1; .hidden handler;
#define SYS(name)           EMUL(name, native_sys)
#define BLOCK(name)         EMUL(name, native_block)
#include "../../syscalls.def"

        .altmacro
.macro ENTRY nr
        .ifdef  has_\nr
        .long   handler_\nr - handlers
        .else
        .long   0
        .endif
.endm

        .section .rodata
        .globl  handlers
        .hidden handlers
        .type   handlers, @object
        .p2align 6
handlers:
        .set    nr, 0
        .rept   SYSCALL_TABLE_SIZE
        ENTRY   %nr
        .set    nr, nr + 1
        .endr
        .size   handlers, . - handlers
        .section .note.GNU-stack,"",@progbits
