/* gdb's JIT interface (gdb manual, "JIT Compilation Interface"): a list of ELF files in memory, and a function called when it has
 * changed, where gdb has a breakpoint. The file for a block of stubs has one symbol and one .eh_frame.
 *
 * Seen by an unwinder a stub was called from its site, as the entry is (arch/x86_64/entry.S): the CFA is the program's rsp and no
 * register has changed. What must be found is the return address. An instruction that was displaced stands for the one it
 * was copied from, since it may move rsp and the two must agree; the rest of the stub stands for the `syscall`. A return address is
 * looked up one byte before itself, hence the + 1:
 *
 *      offset in the stub                                  return address
 *      below STUB_ENTER       displaced, before            site_end - 2 - (STUB_ENTER - offset) + 1
 *      below STUB_AFTER       the way into the entry       site_end
 *      else                   displaced, after             site_end + (offset - STUB_AFTER) + 1
 *
 * That is a DWARF expression over the PC and the stub's own literal, the same for all stubs of one slot, so that a run of them
 * needs one FDE. A stub of two slots has its own, where the start is a constant. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "debugger.h"

#include <elf.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "../base/arena.h"
#include "../base/base.h"
#include "../base/sys.h"

/* The interface: names and layout are gdb's. Hidden: a program with a JIT compiler of its own has its own pair, and
 * must not get ours by way of the preload. */
struct jit_code_entry {
    struct jit_code_entry *next_entry, *prev_entry;
    const char *symfile_addr;
    uint64_t symfile_size;
};

struct jit_descriptor {
    uint32_t version;
    uint32_t action_flag; /* 1: relevant_entry was added */
    struct jit_code_entry *relevant_entry, *first_entry;
};

__attribute__((visibility("hidden"))) struct jit_descriptor __jit_debug_descriptor = {.version = 1};

void __jit_debug_register_code(void);

__attribute__((visibility("hidden"), noinline)) void __jit_debug_register_code(void)
{
    __asm__ volatile("" ::: "memory"); /* a debugger's breakpoint is here */
}

/* DWARF 5, sections 7.7.1 and 7.24. */
enum {
    OP_ADDR = 0x03,
    OP_DEREF = 0x06,
    OP_CONST1U = 0x08,
    OP_CONST1S = 0x09,
    OP_DUP = 0x12,
    OP_DROP = 0x13,
    OP_SWAP = 0x16,
    OP_AND = 0x1a,
    OP_MINUS = 0x1c,
    OP_PLUS = 0x22,
    OP_PLUS_UCONST = 0x23,
    OP_BRA = 0x28,
    OP_LT = 0x2d,
    OP_SKIP = 0x2f,
    OP_BREG_RIP = 0x80,
    CFA_DEF_CFA = 0x0c,
    CFA_VAL_OFFSET = 0x14,
    CFA_VAL_EXPRESSION = 0x16,
    REG_RSP = 7,
    REG_RIP = 16
};

enum { TEXT = 1, FRAMES, SYMBOLS, STRINGS, SECTIONS };

static const char strings[] = "\0.text\0.eh_frame\0.symtab\0.strtab\0handoff_stub";
enum { STR_TEXT = 1, STR_FRAMES = 7, STR_SYMBOLS = 17, STR_STRINGS = 25, STR_STUB = 33 };

struct image {
    struct jit_code_entry entry;
    Elf64_Ehdr elf; /* the file begins here */
    Elf64_Shdr sections[SECTIONS];
    Elf64_Sym symbols[2];
    char strings[sizeof(strings)];
    uint8_t frames[];
};

#define FDE_MOST 96

static uint8_t *put(uint8_t *at, const void *bytes, size_t size)
{
    memcpy(at, bytes, size);
    return at + size;
}

#define PUT(at, ...) put(at, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* A record's length, once its end is known; both are multiples of 8. */
static uint8_t *record_end(uint8_t *start, uint8_t *end)
{
    while ((end - start) % 8 != 4) /* DW_CFA_nop; the length itself does not count */
        *end++ = 0;
    if ((end - start) % 8 == 4)
        end = PUT(end, 0, 0, 0, 0);
    const uint32_t length = (uint32_t)(end - start - 4);
    memcpy(start, &length, 4);
    return end;
}

static uint8_t *put_cie(uint8_t *start)
{
    uint8_t *at = PUT(start, 0, 0, 0, 0, /* length */
                      0, 0, 0, 0,        /* a CIE */
                      1, 0,              /* version; no augmentation: addresses are absolute */
                      1, 0x78, REG_RIP,  /* alignment of code 1, of data -8; the return address's register */
                      CFA_DEF_CFA, REG_RSP, 0, CFA_VAL_OFFSET, REG_RSP, 0);
    return record_end(start, at);
}

/* The stubs from `start` to `end`; of two slots: it is one. */
static uint8_t *put_fde(uint8_t *at, const uint8_t *cie, uintptr_t start, uintptr_t end, bool of_two_slots)
{
    uint8_t *const record = at;
    uint8_t code[64], *op = code;
    const uint64_t range[2] = {start, end - start};

    if (of_two_slots) {
        op = PUT(op, OP_ADDR);
        op = put(op, &start, sizeof(start));
    } else {
        op = PUT(op, OP_BREG_RIP, 0, OP_CONST1S, (uint8_t)-STUB_ALIGN, OP_AND);
    }
    op = PUT(op, OP_DUP, OP_PLUS_UCONST, STUB_SITE_END, OP_DEREF, OP_SWAP, OP_BREG_RIP, 0, OP_SWAP, OP_MINUS); /* site_end, offset */
    op = PUT(op, OP_DUP, OP_CONST1U, STUB_ENTER, OP_LT, OP_BRA, 14, 0);
    op = PUT(op, OP_DUP, OP_CONST1U, STUB_AFTER, OP_LT, OP_BRA, 14, 0);
    op = PUT(op, OP_CONST1U, STUB_AFTER - 1, OP_MINUS, OP_PLUS, OP_SKIP, 8, 0); /* after */
    op = PUT(op, OP_CONST1U, STUB_ENTER + 1, OP_MINUS, OP_PLUS, OP_SKIP, 1, 0); /* before */
    op = PUT(op, OP_DROP);                                                      /* the way in */

    const uint32_t to_cie = (uint32_t)(record + 4 - cie);
    at = put(at + 4, &to_cie, 4);
    at = put(at, range, sizeof(range));
    at = PUT(at, CFA_VAL_EXPRESSION, REG_RIP, (uint8_t)(op - code));
    at = put(at, code, (size_t)(op - code));
    return record_end(record, at);
}

static uint8_t *put_frames(const struct stub_block *block, uint8_t *start, const uint8_t *limit)
{
    uint8_t *at = put_cie(start);
    uintptr_t run = block->start;

    for (uintptr_t slot = block->start; slot < block->end && at + 2 * FDE_MOST < limit; slot += STUB_ALIGN) {
        const size_t n = (slot - block->start) / STUB_ALIGN;
        if (slot + STUB_ALIGN == block->end || !block->by_slot[n] || block->by_slot[n] != block->by_slot[n + 1])
            continue;
        if (slot > run)
            at = put_fde(at, start, run, slot, false);
        run = slot + 2 * STUB_ALIGN;
        at = put_fde(at, start, slot, run, true);
        slot += STUB_ALIGN;
    }
    if (run < block->end)
        at = put_fde(at, start, run, block->end, false);
    return PUT(at, 0, 0, 0, 0);
}

static Elf64_Shdr section(uint32_t name, uint32_t type, uint64_t flags, uintptr_t address, size_t offset, size_t size)
{
    return (Elf64_Shdr){.sh_name = name, .sh_type = type, .sh_flags = flags, .sh_addr = address,
                        .sh_offset = offset, .sh_size = size, .sh_addralign = 8};
}

void debugger_add(const struct stub_block *block)
{
    const size_t room = 2 * PAGE_SIZE, base = offsetof(struct image, elf);
    struct image *image = arena_take(room, PAGE_SIZE);

    if (!image)
        return;
    const uint8_t *end = put_frames(block, image->frames, (const uint8_t *)image + room);
    image->elf = (Elf64_Ehdr){
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_EXEC,
        .e_machine = EM_X86_64,
        .e_version = EV_CURRENT,
        .e_shoff = offsetof(struct image, sections) - base,
        .e_ehsize = sizeof(Elf64_Ehdr),
        .e_shentsize = sizeof(Elf64_Shdr),
        .e_shnum = SECTIONS,
        .e_shstrndx = STRINGS,
    };
    image->sections[TEXT] = section(STR_TEXT, SHT_NOBITS, SHF_ALLOC | SHF_EXECINSTR, block->start, 0, block->end - block->start);
    image->sections[FRAMES] = section(STR_FRAMES, SHT_PROGBITS, SHF_ALLOC, (uintptr_t)image->frames,
                                      offsetof(struct image, frames) - base, (size_t)(end - image->frames));
    image->sections[SYMBOLS] = section(STR_SYMBOLS, SHT_SYMTAB, 0, 0, offsetof(struct image, symbols) - base, sizeof(image->symbols));
    image->sections[SYMBOLS].sh_link = STRINGS;
    image->sections[SYMBOLS].sh_info = 1; /* one local symbol, the null one */
    image->sections[SYMBOLS].sh_entsize = sizeof(Elf64_Sym);
    image->sections[STRINGS] = section(STR_STRINGS, SHT_STRTAB, 0, 0, offsetof(struct image, strings) - base, sizeof(strings));
    image->symbols[1] = (Elf64_Sym){.st_name = STR_STUB, .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), .st_shndx = TEXT,
                                    .st_value = block->start, .st_size = block->end - block->start};
    memcpy(image->strings, strings, sizeof(strings));

    struct jit_descriptor *d = &__jit_debug_descriptor;
    image->entry = (struct jit_code_entry){.next_entry = d->first_entry, .symfile_addr = (const char *)&image->elf,
                                           .symfile_size = (size_t)((const char *)end - (const char *)&image->elf)};
    if (d->first_entry)
        d->first_entry->prev_entry = &image->entry;
    d->first_entry = d->relevant_entry = &image->entry;
    d->action_flag = 1;
    __jit_debug_register_code();
    d->action_flag = 0;
}
