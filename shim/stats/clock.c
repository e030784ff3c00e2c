/* Clocks: the TSC for stamps, the vDSO for time. */
#include "stats.h"

#include "../base/sys.h"
#include "../sched/internal.h"

#include <elf.h>

static uint64_t tsc_mult = 1ull << 32; /* ns per tick, 32.32 */
static int (*vdso_clock)(int, int64_t *);
static int64_t ns_first; /* by the real clock and the TSC, when clock_begin was called */
static uint64_t tsc_first;

int64_t tsc_to_ns(int64_t d)
{
    return (int64_t)((__int128)d * (int64_t)tsc_mult >> 32);
}
int64_t ns_to_tsc(int64_t ns)
{
    return (int64_t)(((__int128)ns << 32) / (int64_t)tsc_mult);
}

int64_t clock_ns(int clock)
{
    int64_t ts[2] = {0, 0};
    struct worker *w = load_relaxed(&sched_active) ? worker_or_null() : NULL;
    /* No signal handler may run here though it is not our text; nor are we to catch our own call where the vDSO has
     * to make one (its system calls are patched too). */
    if (w)
        store_relaxed(&w->in_clock, w->in_clock + 1);
    fence_compiler();
    if (!vdso_clock || vdso_clock(clock, ts) != 0)
        sys2(__NR_clock_gettime, clock, P(ts));
    fence_compiler();
    if (w)
        store_relaxed(&w->in_clock, w->in_clock - 1);
    return ts[0] * NSEC_PER_SEC + ts[1];
}

int64_t now_ns(void)
{
    return clock_ns(1);
}

static bool same(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

/* vdso(7): an ELF image; find __vdso_clock_gettime in its dynamic symbols. */
static void *vdso_symbol(const char *base, const char *name)
{
    const Elf64_Ehdr *eh = (const void *)base;
    const Elf64_Phdr *ph = (const void *)(base + eh->e_phoff);
    const Elf64_Dyn *dyn = NULL;
    uint64_t bias = (uint64_t)base;
    for (int i = 0; i < eh->e_phnum; i++) {
        if (ph[i].p_type == PT_LOAD)
            bias = (uint64_t)base + ph[i].p_offset - ph[i].p_vaddr;
        if (ph[i].p_type == PT_DYNAMIC)
            dyn = (const void *)(base + ph[i].p_offset);
    }
    const Elf64_Sym *sym = NULL;
    const char *str = NULL;
    const uint32_t *hash = NULL;
    uint64_t count = 0;
    for (; dyn && dyn->d_tag; dyn++) {
        if (dyn->d_tag == DT_SYMTAB)
            sym = (const void *)(bias + dyn->d_un.d_ptr);
        if (dyn->d_tag == DT_STRTAB)
            str = (const char *)(bias + dyn->d_un.d_ptr);
        if (dyn->d_tag == DT_HASH)
            hash = (const void *)(bias + dyn->d_un.d_ptr);
    }
    if (hash)
        count = hash[1];
    else if (sym && str > (const char *)sym)
        count = (uint64_t)(str - (const char *)sym) / sizeof *sym;
    for (uint64_t i = 0; sym && str && i < count; i++)
        if (sym[i].st_shndx && same(str + sym[i].st_name, name))
            return (void *)(bias + sym[i].st_value);
    return NULL;
}

extern unsigned long getauxval(unsigned long);

void clock_begin(void)
{
    if (vdso_clock)
        return;
    const char *base = (const char *)getauxval(33 /* AT_SYSINFO_EHDR */);
    if (base)
        *(void **)&vdso_clock = vdso_symbol(base, "__vdso_clock_gettime");
    ns_first = now_ns();
    tsc_first = tsc_now();
}

void clock_init(void)
{
    if (tsc_first) {
        /* How long is a tick: over 60 us or more, good to about 0.1 %; stamps need no more, and what is
         * waited for is always compared with the real clock. */
        int64_t ns;
        do
            ns = now_ns() - ns_first;
        while (ns < 60000);
        tsc_mult = (uint64_t)(((unsigned __int128)ns << 32) / (tsc_now() - tsc_first));
        tsc_first = 0;
    }
    if (stats) {
        stats->tsc_base = tsc_now();
        stats->ns_base = (uint64_t)now_ns();
        stats->tsc_mult = tsc_mult;
    }
}
