/* The few facts about an ELF file that decide whether handoff can work in it.
 *
 * Reads with pread; every offset and count of the file is bounded, so a damaged or hostile file
 * yields `bad`, never a fault or a long wait.
 */
#ifndef HANDOFF_ELF_READER_H
#define HANDOFF_ELF_READER_H

#include <stdbool.h>
#include <stdint.h>

struct elf_facts {
    bool is_elf;               /* has the magic; the rest is valid only then */
    const char *bad;           /* why the kernel or loader will refuse it; NULL if well-formed */
    bool class32;              /* 32-bit, or x32 */
    bool x86_64;               /* machine */
    bool wrong_order;          /* x86-64's machine, but not its byte order (EI_DATA) */
    uint16_t machine;          /* EM_ */
    uint16_t type;             /* ET_ */
    bool has_interpreter;      /* PT_INTERP */
    bool has_dynamic;          /* PT_DYNAMIC */
    bool position_independent; /* DF_1_PIE: a program although ET_DYN */
    bool go;                   /* made by the Go toolchain */
    bool handoff;              /* the library itself, by its DT_SONAME */
    bool makes_threads;        /* names pthread_create or thrd_create */
    const char *sanitizer;     /* NULL, or its name */
    char interpreter[256];
};

/* 0, or -errno when the file cannot be read. */
int elf_inspect(int fd, struct elf_facts *facts);

/* The common name of an EM_ value, or NULL. */
const char *elf_machine_name(uint16_t machine);

#endif
