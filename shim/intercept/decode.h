/* What the planner needs to know about an instruction. libZydis does the decoding;
 * it is opened at the first use, so that a dormant process does not load it. */
#ifndef HANDOFF_INTERCEPT_DECODE_H
#define HANDOFF_INTERCEPT_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    INSN_SYSCALL = 1 << 0,
    INSN_RELATIVE = 1 << 1, /* branch or call to `target` */
    INSN_FIXED = 1 << 2,    /* cannot run elsewhere: branches, calls, returns, traps */
    INSN_ENDBR = 1 << 3,
    INSN_RIP = 1 << 4, /* RIP-relative operand: `target`, its disp32 at `disp` */
    INSN_LEA = 1 << 5,
    INSN_SWITCH = 1 << 6,  /* indirect jmp */
    INSN_BARRIER = 1 << 7, /* execution does not simply go on behind it */
};

struct insn {
    uintptr_t addr;
    uintptr_t target;
    int32_t disp32; /* displacement of a memory operand; 0 if none */
    uint8_t length;
    uint8_t disp; /* offset of disp32 in the instruction; 0 if none */
    uint8_t flags;
    uint8_t opcode;
    uint8_t map; /* 0 one-byte, 1 0f, others above */
    uint8_t modrm;
    uint8_t rex; /* the REX prefix's low four bits */
};

/* -ENOSYS, with *reason set to a constant line, if libZydis cannot be used. */
int decode_open(void *(*open)(const char *, int), const char **reason);

/* False if the bytes are no instruction. decode_insn knows the common forms itself, and
 * may take an illegal combination of theirs for an instruction of the length it would have. */
bool decode_exact(uintptr_t addr, uintptr_t end, struct insn *insn);
bool decode_insn(uintptr_t addr, uintptr_t end, struct insn *insn);

/* Does it set rax, or any part of it? True when in doubt. */
bool decode_writes_rax(const struct insn *insn);

/* Is it `mov $imm, %eax` in one of its forms, or the xor that means 0? */
bool decode_rax_constant(const struct insn *insn, int32_t *value);

#endif
