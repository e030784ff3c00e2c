/* Carries a plan out, and answers for the stubs that are in use.
 *
 * Text is written by way of /proc/self/mem where that is to be had: the kernel then copies the pages by itself, and the text stays executable. Else it is made
 * writable. (A copy on write by a fault takes half a microsecond on the machine itself, and ten to thirty where a hypervisor has to mend page tables of its own.
 * 72 pages of libc and ld.so are written.)
 *
 * Where it is made writable: between the first page made writable and the last one made executable again, libc and ld.so
 * cannot be called: their text may not be executable. Nothing here calls out of this file
 * in that span, not even memcpy: stores are volatile, so that the compiler does not
 * make a call of them. With other threads about, the text stays executable throughout. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "plan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <asm/unistd.h>

#include "../base/atomic.h"
#include "../base/base.h"
#include "../base/sys.h"
#include "debugger.h"

#define JMP_BYTES 5

struct intercept_plan *intercept_applied;

/* Blocks in use. Only grows, at the head; read by signal handlers. */
static struct stub_block *blocks;

static always_inline int protect(uintptr_t start, uintptr_t end, int prot)
{
    return (int)sys3(__NR_mprotect, (long)start, (long)(end - start), prot);
}

static always_inline void store_bytes(uintptr_t at, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((volatile uint8_t *)at)[i] = bytes[i];
}

/* Replaces five bytes that lie in one aligned word, as one store. */
static always_inline void store_atomic(uintptr_t at, const uint8_t *bytes)
{
    volatile uint64_t *word = (volatile uint64_t *)(at & ~7ul);
    const unsigned shift = (unsigned)(at & 7) * 8;
    uint64_t value = 0;

    for (unsigned i = 0; i < JMP_BYTES; i++)
        value |= (uint64_t)bytes[i] << 8 * i;
    *word = (*word & ~(0xffffffffffull << shift)) | value << shift;
}

/* What the window is to hold. */
static always_inline void site_bytes(const struct intercept_site *site, volatile uint8_t *out)
{
    const uint32_t disp = (uint32_t)(site_code(site) - (site->window + JMP_BYTES));

    out[0] = 0xe9;
    for (unsigned i = 0; i < 4; i++)
        out[1 + i] = (uint8_t)(disp >> 8 * i);
    for (unsigned i = JMP_BYTES; i < site->window_len; i++)
        out[i] = 0xcc; /* nothing leads there */
}

static always_inline void site_patch(const struct intercept_site *site, bool others)
{
    uint8_t bytes[INTERCEPT_WINDOW_MAX];

    site_bytes(site, bytes);
    if (others)
        store_atomic(site->window, bytes);
    else
        store_bytes(site->window, bytes, site->window_len);
}

static always_inline void range_write(const struct intercept_plan *plan,
                                      const struct text_range *range, bool restore)
{
    const struct intercept_site *sites = plan->sites.data;

    for (size_t i = range->first; i < range->first + range->count; i++) {
        if (restore)
            store_bytes(sites[i].window, sites[i].original, sites[i].window_len);
        else
            site_patch(&sites[i], plan->others);
    }
}

/* The sites from `first` on whose windows end within size bytes from there; *length is where the last ends. */
static const struct intercept_site *near_end(const struct intercept_site *first, const struct intercept_site *end, size_t size,
                                             size_t *length)
{
    const struct intercept_site *site = first;

    for (*length = 0; site < end && site->window + site->window_len - first->window <= size; site++)
        *length = site->window + site->window_len - first->window;
    return site;
}

static always_inline bool is_original(const struct intercept_site *site, const uint8_t *bytes)
{
    bool same = true;

    for (unsigned i = 0; i < site->window_len; i++)
        same &= ((const volatile uint8_t *)bytes)[i] == site->original[i];
    return same;
}

/* By the kernel, a page's worth at a time; it reads, too: a page that has just been copied would cost us a fault. *done is how many sites
 * are. 0; -ESTALE: the next is not what it should be; -EIO: it cannot be done so. */
static int range_patch(const struct intercept_plan *plan, const struct text_range *range, long mem, size_t *done)
{
    const struct intercept_site *site = (const struct intercept_site *)plan->sites.data + range->first, *end = site + range->count;
    uint8_t bytes[PAGE_SIZE];

    *done = 0;
    while (site < end) {
        const struct intercept_site *const first = site;
        const uintptr_t at = site->window;
        size_t size;
        const struct intercept_site *next = near_end(site, end, sizeof(bytes), &size);

        if (sys4(__NR_pread64, mem, P(bytes), (long)size, (long)at) != (long)size)
            return -EIO;
        for (; site < next; site++) {
            if (!is_original(site, bytes + (site->window - at)))
                return -ESTALE;
            site_bytes(site, bytes + (site->window - at));
        }
        if (sys4(__NR_pwrite64, mem, P(bytes), (long)size, (long)at) != (long)size)
            return -EIO;
        *done += (size_t)(next - first);
    }
    return 0;
}

/* One range, or its first sites: writable, write, as it was. On failure the text is unchanged. */
static always_inline int range_change(const struct intercept_plan *plan,
                                      const struct text_range *range, bool restore)
{
    const int writable = PROT_READ | PROT_WRITE | (plan->others ? PROT_EXEC : 0);
    int rc = protect(range->start, range->end, writable);

    if (rc) {
        protect(range->start, range->end, range->prot); /* it may have done a part */
        return rc;
    }
    range_write(plan, range, restore);
    rc = protect(range->start, range->end, range->prot);
    if (rc) {
        range_write(plan, range, !restore);
        protect(range->start, range->end, range->prot);
    }
    return rc;
}

static always_inline bool range_is_original(const struct intercept_plan *plan, const struct text_range *range)
{
    const struct intercept_site *sites = plan->sites.data;
    bool same = true;

    for (size_t i = range->first; i < range->first + range->count; i++)
        same &= is_original(&sites[i], (const uint8_t *)sites[i].window);
    return same;
}

/* 0: patched; else it is as before. */
static always_inline int range_apply(const struct intercept_plan *plan, const struct text_range *range, long mem)
{
    struct text_range part = *range;
    int rc = -EIO;

    if (mem >= 0) {
        rc = range_patch(plan, range, mem, &part.count);
        if (rc && part.count)
            range_change(plan, &part, true);
    }
    if (rc != -EIO)
        return rc;
    return range_is_original(plan, range) ? range_change(plan, range, false) : -ESTALE;
}

/* All ranges or none; but the vDSO's, of which *vdso says what became of it. */
static __attribute__((__noinline__)) int change_all(const struct intercept_plan *plan, bool restore, int *vdso)
{
    const struct text_range *ranges = plan->ranges.data;
    const struct intercept_site *sites = plan->sites.data;
    const size_t count = plan->ranges.count;
    /* pwrite is not one store; and a seccomp filter may kill who calls what the program never does. */
    const bool by_kernel = !plan->others && !restore && sys2(__NR_prctl, 21 /* PR_GET_SECCOMP */, 0) == 0;
    const long mem = by_kernel ? sys4(__NR_openat, -100, P("/proc/self/mem"), 02000002 /* O_RDWR | O_CLOEXEC */, 0) : -1;
    int rc = 0;

    for (size_t i = 0; i < count && !rc; i++) {
        if (!sites[ranges[i].first].stub)
            continue;
        rc = restore ? range_change(plan, &ranges[i], true) : range_apply(plan, &ranges[i], mem);
        if (rc && ranges[i].vdso) {
            *vdso = rc;
            rc = 0;
        }
        if (rc)
            while (i-- > 0)
                if (sites[ranges[i].first].stub && !(ranges[i].vdso && *vdso))
                    range_change(plan, &ranges[i], !restore);
        if (rc)
            break;
    }
    if (mem >= 0)
        sys1(__NR_close, mem);
    return rc;
}

int intercept_apply(struct intercept_plan *plan, struct intercept_report *report)
{
    const char *what = "stubs executable";
    int rc = 0, vdso = 0;

    for (unsigned i = 0; i < plan->block_count && !rc; i++)
        rc = protect(plan->blocks[i].start, plan->blocks[i].end, PROT_READ | PROT_EXEC);
    /* Before the first jump: a signal may ask who that is. */
    struct stub_block *head = blocks;
    for (unsigned i = 0; i < plan->block_count && !rc; i++) {
        plan->blocks[i].next = blocks;
        store_release(&blocks, &plan->blocks[i]); /* pairs with load_acquire in intercept_find */
    }
    if (!rc) {
        what = "text writable";
        rc = change_all(plan, false, &vdso);
    }
    if (vdso && !report->vdso[0])
        snprintf(report->vdso, sizeof(report->vdso), "cannot write to it: %s", strerror(-vdso));
    if (rc) {
        store_release(&blocks, head);
        snprintf(report->reason, sizeof(report->reason), "cannot make %s: %s", what, strerror(-rc));
        return rc;
    }
    plan->next = intercept_applied;
    intercept_applied = plan;
    for (unsigned i = 0; i < plan->block_count; i++)
        debugger_add(&plan->blocks[i]);
    return 0;
}

int intercept_revert(struct intercept_plan *plan)
{
    int vdso = 0;
    const int rc = change_all(plan, true, &vdso);

    if (rc)
        return rc;
    for (struct intercept_plan **p = &intercept_applied; *p; p = &(*p)->next) {
        if (*p == plan) {
            *p = plan->next;
            break;
        }
    }
    return 0;
}

void intercept_undo_plan(struct intercept_plan *plan)
{
    if (!plan)
        return;
    for (unsigned i = 0; i < plan->block_count; i++) {
        const struct stub_block *block = &plan->blocks[i];
        const size_t slots = (block->end - block->start) / STUB_ALIGN;
        sys_unmap((void *)block->start, block->end - block->start);
        if (block->by_slot)
            sys_unmap(block->by_slot, ALIGN_UP(slots * sizeof(void *), PAGE_SIZE));
    }
    vec_free(&plan->objects);
    vec_free(&plan->sites);
    vec_free(&plan->ranges);
    vec_free(&plan->names);
    sys_unmap(plan, ALIGN_UP(sizeof(*plan), PAGE_SIZE));
}

const struct intercept_site *intercept_find(uintptr_t pc)
{
    for (const struct stub_block *block = load_acquire(&blocks); block; block = block->next)
        if (pc - block->start < block->end - block->start)
            return block->by_slot[(pc - block->start) / STUB_ALIGN];
    return NULL;
}

bool intercept_in_stubs(uintptr_t pc)
{
    return intercept_find(pc) != NULL;
}

size_t intercept_plan_sites(const struct intercept_plan *plan, const struct intercept_site **sites)
{
    *sites = plan->sites.data;
    return plan->sites.count;
}

void intercept_dump(const struct intercept_plan *plan,
                    void (*line)(const char *text, void *context), void *context)
{
    const struct intercept_site *sites = plan->sites.data;
    char text[512];

    for (size_t i = 0; i < plan->sites.count; i++) {
        const struct intercept_site *s = &sites[i];
        snprintf(text, sizeof(text), "%s+0x%lx nr %d %s window %u = %u + %s + %u stub 0x%lx",
                 s->object->name, (unsigned long)(site_addr(s) - s->object->base), s->nr,
                 s->keeps_syscall ? "kept" : "displaced", s->window_len, s->before_len,
                 s->keeps_syscall ? "0" : "2", s->after_len, (unsigned long)s->stub);
        line(text, context);
    }
}
