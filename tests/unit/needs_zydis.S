/* A function that only libZydis decodes: a 3DNow! instruction is in none of our tables. Its number is not plainly there, so it must be. */
        .text
        .globl  needs_zydis
        .type   needs_zydis, @function
needs_zydis:
        .cfi_startproc
        .byte   0x0f, 0x0f, 0xc1, 0x9e      /* pfadd %mm1, %mm0 */
        movl    $110, %eax                  /* getppid */
        nop
        syscall
        ret
        .cfi_endproc
        .size   needs_zydis, . - needs_zydis
        .section .note.GNU-stack, "", @progbits
