#include "elf_reader.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Far more than any program has. */
enum { MOST_SEGMENTS = 4096, MOST_SECTIONS = 65536, MOST_NOTES = 65536, MOST_STRINGS = 64 << 20 };

struct elf {
    int fd;
    uint64_t size;
    Elf64_Ehdr header;
    Elf64_Phdr *segments;
    struct elf_facts *facts;
};

static bool read_at(const struct elf *e, uint64_t offset, void *to, uint64_t length)
{
    if (offset > e->size || length > e->size - offset)
        return false;
    return pread(e->fd, to, length, (off_t)offset) == (ssize_t)length;
}

/* `length` bytes at `offset` on the heap; NULL if they are not in the file. */
static void *load(const struct elf *e, uint64_t offset, uint64_t length)
{
    void *p;

    if (offset > e->size || length > e->size - offset)
        return NULL;
    p = malloc(length + 1);
    if (p && !read_at(e, offset, p, length)) {
        free(p);
        return NULL;
    }
    if (p)
        ((char *)p)[length] = 0;
    return p;
}

static const char *read_segments(struct elf *e)
{
    const Elf64_Ehdr *h = &e->header;

    if (h->e_phentsize != sizeof(Elf64_Phdr) || !h->e_phnum)
        return "it has no program headers";
    if (h->e_phnum > MOST_SEGMENTS)
        return "it has too many program headers";
    e->segments = load(e, h->e_phoff, (uint64_t)h->e_phnum * sizeof(Elf64_Phdr));
    if (!e->segments)
        return "it is truncated: its program headers lie outside the file";
    for (unsigned i = 0; i < h->e_phnum; i++) {
        const Elf64_Phdr *s = &e->segments[i];

        if (s->p_type == PT_LOAD && (s->p_offset > e->size || s->p_filesz > e->size - s->p_offset))
            return "it is truncated: a segment lies outside the file";
    }
    return NULL;
}

static const char *read_interpreter(struct elf *e, const Elf64_Phdr *s)
{
    struct elf_facts *f = e->facts;

    if (s->p_filesz < 2 || s->p_filesz > sizeof f->interpreter ||
        !read_at(e, s->p_offset, f->interpreter, s->p_filesz) || f->interpreter[s->p_filesz - 1])
        return "its interpreter's name is damaged";
    f->has_interpreter = true;
    return NULL;
}

/* Notes of the Go toolchain: owner "Go", type 4 is the build id. */
static void read_notes(struct elf *e, const Elf64_Phdr *s)
{
    uint64_t length = s->p_filesz < MOST_NOTES ? s->p_filesz : MOST_NOTES;
    unsigned char *notes = load(e, s->p_offset, length);
    Elf64_Nhdr n;

    for (uint64_t at = 0; notes && at + sizeof n <= length;) {
        memcpy(&n, notes + at, sizeof n);
        at += sizeof n;
        if (n.n_namesz > length - at)
            break;
        if (n.n_type == 4 && n.n_namesz == 4 && !memcmp(notes + at, "Go\0", 4))
            e->facts->go = true;
        at += ((uint64_t)n.n_namesz + 3) & ~3ull;
        at += ((uint64_t)n.n_descsz + 3) & ~3ull;
    }
    free(notes);
}

static bool file_offset(const struct elf *e, uint64_t address, uint64_t *offset)
{
    for (unsigned i = 0; i < e->header.e_phnum; i++) {
        const Elf64_Phdr *s = &e->segments[i];

        if (s->p_type == PT_LOAD && address >= s->p_vaddr && address - s->p_vaddr < s->p_filesz) {
            *offset = s->p_offset + (address - s->p_vaddr);
            return true;
        }
    }
    return false;
}

/* Is `word` one of the strings, or the tail of one? (linkers share tails) */
static bool has_string(const char *strings, uint64_t size, const char *word)
{
    return memmem(strings, size, word, strlen(word) + 1) != NULL;
}

/* The dynamic string table holds the name of every library and symbol that the file asks for or
 * offers: enough to see what it is linked with, without the symbol table. */
static void read_strings(struct elf *e, uint64_t address, uint64_t size, uint64_t soname)
{
    static const struct {
        const char *symbol, *name;
    } sanitizers[] = {{"__asan_init", "AddressSanitizer"},
                      {"__tsan_init", "ThreadSanitizer"},
                      {"__msan_init", "MemorySanitizer"},
                      {"__hwasan_init", "HWAddressSanitizer"}};
    uint64_t offset;
    char *strings;

    if (!file_offset(e, address, &offset) || size > MOST_STRINGS)
        return;
    strings = load(e, offset, size);
    if (!strings)
        return;
    for (unsigned i = 0; i < sizeof sanitizers / sizeof sanitizers[0]; i++)
        if (has_string(strings, size + 1, sanitizers[i].symbol))
            e->facts->sanitizer = sanitizers[i].name;
    e->facts->makes_threads = has_string(strings, size + 1, "pthread_create") ||
                              has_string(strings, size + 1, "thrd_create");
    e->facts->handoff = soname < size && !strcmp(strings + soname, "libhandoff.so");
    free(strings);
}

static void read_dynamic(struct elf *e, const Elf64_Phdr *s)
{
    uint64_t strings = 0, size = 0, soname = UINT64_MAX;
    uint64_t length = s->p_filesz < 1 << 20 ? s->p_filesz : 1 << 20;
    Elf64_Dyn *d = load(e, s->p_offset, length);

    e->facts->has_dynamic = true;
    for (uint64_t i = 0; d && i < length / sizeof *d && d[i].d_tag != DT_NULL; i++)
        if (d[i].d_tag == DT_STRTAB)
            strings = d[i].d_un.d_ptr;
        else if (d[i].d_tag == DT_STRSZ)
            size = d[i].d_un.d_val;
        else if (d[i].d_tag == DT_SONAME)
            soname = d[i].d_un.d_val;
        else if (d[i].d_tag == DT_FLAGS_1)
            e->facts->position_independent = d[i].d_un.d_val & DF_1_PIE;
    free(d);
    if (strings && size)
        read_strings(e, strings, size, soname);
}

/* Section names tell a Go program whose notes were dropped. Sections are optional: nothing here
 * makes a file bad. */
static void read_sections(struct elf *e)
{
    const Elf64_Ehdr *h = &e->header;
    Elf64_Shdr *sections, *names;
    char *text;

    if (h->e_shentsize != sizeof *sections || !h->e_shnum || h->e_shstrndx >= h->e_shnum)
        return;
    sections = load(e, h->e_shoff, (uint64_t)h->e_shnum * sizeof *sections);
    if (!sections)
        return;
    names = &sections[h->e_shstrndx];
    text = names->sh_size <= MOST_SECTIONS * 64 ? load(e, names->sh_offset, names->sh_size) : NULL;
    for (unsigned i = 0; text && i < h->e_shnum; i++)
        if (sections[i].sh_name < names->sh_size && /* text is terminated */
            (!strcmp(text + sections[i].sh_name, ".go.buildinfo") ||
             !strcmp(text + sections[i].sh_name, ".note.go.buildid")))
            e->facts->go = true;
    free(text);
    free(sections);
}

static const char *inspect(struct elf *e)
{
    struct elf_facts *f = e->facts;
    const char *bad;

    f->class32 = e->header.e_ident[EI_CLASS] != ELFCLASS64;
    f->machine = e->header.e_machine;
    f->type = e->header.e_type;
    if (e->header.e_ident[EI_DATA] == ELFDATA2MSB && f->machine != EM_X86_64)
        f->machine = __builtin_bswap16(f->machine);
    f->x86_64 = f->machine == EM_X86_64 && e->header.e_ident[EI_DATA] == ELFDATA2LSB;
    f->wrong_order = f->machine == EM_X86_64 && !f->x86_64;
    if (f->class32 || !f->x86_64)
        return NULL; /* enough is known */
    if (f->type != ET_EXEC && f->type != ET_DYN)
        return "it is not a program (an object or core file)";
    bad = read_segments(e);
    for (unsigned i = 0; !bad && i < e->header.e_phnum; i++)
        switch (e->segments[i].p_type) {
        case PT_INTERP:
            bad = read_interpreter(e, &e->segments[i]);
            break;
        case PT_DYNAMIC:
            read_dynamic(e, &e->segments[i]);
            break;
        case PT_NOTE:
            read_notes(e, &e->segments[i]);
            break;
        }
    if (!bad)
        read_sections(e);
    return bad;
}

int elf_inspect(int fd, struct elf_facts *facts)
{
    struct elf e = {.fd = fd, .facts = facts};
    struct stat st;
    ssize_t n;

    memset(facts, 0, sizeof *facts);
    if (fstat(fd, &st))
        return -errno;
    e.size = (uint64_t)st.st_size;
    n = pread(fd, &e.header, sizeof e.header, 0);
    if (n < 0)
        return -errno;
    facts->is_elf = n >= SELFMAG && !memcmp(e.header.e_ident, ELFMAG, SELFMAG);
    if (!facts->is_elf)
        return 0;
    if (n < (ssize_t)sizeof(Elf32_Ehdr) ||
        (e.header.e_ident[EI_CLASS] == ELFCLASS64 && n < (ssize_t)sizeof e.header))
        facts->bad = "it is truncated";
    else
        facts->bad = inspect(&e);
    free(e.segments);
    return 0;
}

const char *elf_machine_name(uint16_t machine)
{
    switch (machine) {
    case EM_386:
        return "i386";
    case EM_X86_64:
        return "x86-64";
    case EM_ARM:
        return "ARM";
    case EM_AARCH64:
        return "AArch64";
    case EM_RISCV:
        return "RISC-V";
    case EM_PPC64:
        return "PowerPC";
    case EM_S390:
        return "S/390";
    case EM_MIPS:
        return "MIPS";
    default:
        return NULL;
    }
}
