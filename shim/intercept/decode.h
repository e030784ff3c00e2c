/* What the planner needs to know about an instruction.
 *
 * Tables here know the forms of which compilers make nearly all code; what is not in them is
 * libZydis's to decode. It is not opened before somebody meets such an instruction: most processes
 * never do. */
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

/* Opens libZydis by `open`, or dlopen. -ENOSYS, with *reason set to a constant line, if it cannot
 * be used. */
int decode_open(void *(*open)(const char *, int), const char **reason);

/* Since it was last asked: did something below need libZydis before it was open? Then what they
 * said is void: open it and begin again. */
bool decode_wanted_zydis(void);

/* False if the bytes are no instruction, none that ends by `end`, or libZydis is wanted.
 * decode_insn knows the common forms itself, and may take an illegal combination of theirs for an
 * instruction of the length it would have; decode_exact always asks libZydis. */
bool decode_exact(uintptr_t addr, uintptr_t end, struct insn *insn);
bool decode_insn(uintptr_t addr, uintptr_t end, struct insn *insn);

/* Where the instructions of a function begin, as offsets from its start, and which of them are
 * worth a look. */
struct starts {
    uint32_t
        *at; /* room for one more than the bytes walked; behind the last, where the walk stopped */
    uint32_t *look; /* room for as many; indexes into `at`, with one of the below */
    size_t count, look_count;
    bool vex; /* an instruction in VEX or EVEX form was among them: AVX, or BMI */
};
enum {
    LOOK_INDEX = 0x3fffffff,
    LOOK_REL8 = 0x00000000, /* branches by the 8 bits that end it */
    LOOK_CALL = 0x40000000, /* by the 32 bits that end it */
    LOOK_OTHER =
        0x80000000, /* a syscall, perhaps an indirect jmp, or something rare: decode_insn tells */
    LOOK_KIND = 0xc0000000,
};

/* Walks the instructions that begin in [start, end) and end by `limit`. Jumps by 32 bits are not
 * among those to look at: object_mark_rel32 knows them all. It stops at `end` or behind, or where
 * there is no instruction. */
void decode_starts(uintptr_t start, uintptr_t end, uintptr_t limit, struct starts *starts);

/* Does it set rax, or any part of it? True when in doubt. */
bool decode_writes_rax(const struct insn *insn);
bool decode_exact_writes_rax(const struct insn *insn); /* by libZydis */

/* Is it `mov $imm, %eax` in one of its forms, or the xor that means 0? */
bool decode_rax_constant(const struct insn *insn, int32_t *value);

#endif
