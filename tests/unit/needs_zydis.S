/* A function that only libZydis decodes: movbe is in none of our tables. Its number is not plainly there, so it must be. */
        .text
        .globl  needs_zydis
        .type   needs_zydis, @function
needs_zydis:
        .cfi_startproc
        movbe   (%rdi), %ecx
        movl    $110, %eax                  /* getppid */
        nop
        syscall
        ret
        .cfi_endproc
        .size   needs_zydis, . - needs_zydis
        .section .note.GNU-stack, "", @progbits
