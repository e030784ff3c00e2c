/* Finds room for stubs near the objects they serve, and writes them. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "plan.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "../base/base.h"
#include "../base/sys.h"
#include "decode.h"

/* Reach of a rel32, less what a block and the longest stub may add. */
#define REACH          (0x7fffffffull - 0x1000000)
#define PROBE_STEP     0x1000000ull /* 16 MiB */
#define LOWEST_ADDRESS 0x10000ull
/* Of address space: what is not touched costs nothing. */
#define VEC_MIN         0x10000ul
#define VEC_RESERVE_MIN 0x40000ul
#define USER_END        0x7ffffffff000ull

#ifndef PR_SET_VMA
#define PR_SET_VMA           0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

void *vec_add(struct vec *vec, size_t size)
{
    if ((vec->count + 1) * size > vec->bytes) {
        const bool own = vec->bytes && !vec->lent;
        const size_t bytes = own ? vec->bytes * 2 : VEC_MIN;
        void *data = own ? mremap(vec->data, vec->bytes, bytes, MREMAP_MAYMOVE)
                         : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (data == MAP_FAILED)
            return NULL;
        if (!own && vec->count)
            memcpy(data, vec->data, vec->count * size);
        vec->data = data;
        vec->bytes = bytes;
        vec->lent = false;
    }
    return (char *)vec->data + vec->count++ * size;
}

bool vec_reserve(struct vec *vec, size_t bytes)
{
    if (bytes <= vec->bytes)
        return true;
    vec_free(vec);
    bytes = ALIGN_UP(bytes < VEC_RESERVE_MIN ? VEC_RESERVE_MIN : bytes, PAGE_SIZE);
    void *data = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED)
        return false;
    vec->data = data;
    vec->bytes = bytes;
    return true;
}

void populate(void *at, size_t size)
{
    const uintptr_t start = ALIGN_DOWN((uintptr_t)at, PAGE_SIZE);

    sys3(__NR_madvise, (long)start, (long)(ALIGN_UP((uintptr_t)at + size, PAGE_SIZE) - start), 23 /* MADV_POPULATE_WRITE */);
}

void vec_free(struct vec *vec)
{
    if (vec->bytes && !vec->lent)
        munmap(vec->data, vec->bytes);
    *vec = (struct vec){0};
}

static unsigned slots_of(const struct intercept_site *site)
{
    return STUB_AFTER + site->after_len + 5 > STUB_ALIGN ? 2 : 1;
}

/* --- where ------------------------------------------------------------------------------ */

static uintptr_t map_at(uintptr_t at, size_t size)
{
    void *p = sys_map((void *)at, size, PROT_READ | PROT_WRITE, MAP_FIXED_NOREPLACE);

    if (p && (uintptr_t)p != at) { /* kernels before 4.17 take the address for a hint */
        sys_unmap(p, size);
        return 0;
    }
    return (uintptr_t)p;
}

/* Below first: above an executable the heap grows, and below the libraries the kernel maps
 * next what it is asked for, so there is room. */
static uintptr_t map_near(uintptr_t low, uintptr_t high, size_t size)
{
    for (uintptr_t away = 0; away < REACH; away += PROBE_STEP) {
        if (low < away + size + LOWEST_ADDRESS || high - (low - away - size) > REACH)
            break;
        const uintptr_t at = map_at(ALIGN_DOWN(low - away - size, PAGE_SIZE), size);
        if (at)
            return at;
    }
    for (uintptr_t away = 0; away < REACH; away += PROBE_STEP) {
        const uintptr_t start = ALIGN_UP(high, PAGE_SIZE) + away;
        if (start + size > USER_END || start + size - low > REACH)
            break;
        const uintptr_t at = map_at(start, size);
        if (at)
            return at;
    }
    return 0;
}

static int block_map(struct intercept_plan *plan, uintptr_t low, uintptr_t high, size_t slots)
{
    if (plan->block_count == STUB_BLOCKS_MAX)
        return -ENOMEM;
    struct stub_block *block = &plan->blocks[plan->block_count];
    const size_t size = ALIGN_UP(slots * STUB_ALIGN, PAGE_SIZE);

    block->start = map_near(low, high, size);
    if (!block->start)
        return -ENOMEM;
    block->end = block->start + size;
    plan->block_count++;
    prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, block->start, size, "handoff stubs");

    block->by_slot = sys_map(NULL, ALIGN_UP(size / STUB_ALIGN * sizeof(void *), PAGE_SIZE),
                             PROT_READ | PROT_WRITE, 0);
    return block->by_slot ? 0 : -ENOMEM;
}

/* --- what ------------------------------------------------------------------------------- */

static uintptr_t put(uintptr_t at, const void *bytes, size_t size)
{
    memcpy((void *)at, bytes, size);
    return at + size;
}

static uintptr_t put_rel32(uintptr_t at, uintptr_t target)
{
    const int32_t disp = (int32_t)(target - (at + 4));
    return put(at, &disp, 4);
}

/* Copies whole instructions, mending RIP-relative operands. False: out of their reach. */
static bool put_displaced(uintptr_t at, uintptr_t from, size_t size)
{
    for (size_t done = 0; done < size;) {
        struct insn insn;
        if (!decode_insn(from + done, from + size, &insn))
            return false;
        put(at + done, (const void *)(from + done), insn.length);
        if (insn.flags & INSN_RIP) {
            const intptr_t disp = (intptr_t)(insn.target - (at + done + insn.length));
            if (disp != (int32_t)disp)
                return false;
            put(at + done + insn.disp, &(int32_t){(int32_t)disp}, 4);
        }
        done += insn.length;
    }
    return true;
}

static bool stub_write(struct intercept_site *site, uintptr_t entry_literal)
{
    static const uint8_t lea[] = {0x4c, 0x8d, 0x1d}, jmp_entry[] = {0xff, 0x25}, jmp[] = {0xe9};
    const uintptr_t stub = site->stub, site_end = site->addr + 2;
    const uintptr_t window_end = site->window + site->window_len;

    _Static_assert(STUB_BEFORE + STUB_BEFORE_MAX == STUB_ENTER, "stub layout");
    _Static_assert(STUB_ENTER + sizeof(lea) + 4 == STUB_JMP, "stub layout");
    _Static_assert(STUB_JMP + sizeof(jmp_entry) + 4 == STUB_AFTER, "stub layout");
    _Static_assert(STUB_AFTER + 5 <= STUB_ALIGN, "a stub without `after` is one cache line");

    site->code = stub + STUB_ENTER - site->before_len;
    site->after = stub + STUB_AFTER;
    /* Not into the window: site_end is an instruction's start only where the `syscall` stayed. */
    site->resume = site->keeps_syscall ? site_end : site->after;

    put(stub + STUB_RESUME, &site->resume, 8);
    put(stub + STUB_SITE_END, &site_end, 8);
    put(stub + STUB_FLAGS, &site->flags, 1);
    memset((void *)(stub + STUB_BEFORE), 0xcc, STUB_BEFORE_MAX);
    if (!put_displaced(site->code, site->window, site->before_len))
        return false;
    put_rel32(put(stub + STUB_ENTER, lea, sizeof(lea)), stub);
    site->stub_end = put_rel32(put(stub + STUB_JMP, jmp_entry, sizeof(jmp_entry)), entry_literal);
    if (site->keeps_syscall)
        return true;
    if (!put_displaced(site->after, site_end, site->after_len))
        return false;
    site->stub_end = put_rel32(put(site->after + site->after_len, jmp, 1), window_end);
    return true;
}

static bool block_fill(struct stub_block *block, struct intercept_site *sites, size_t count,
                       uintptr_t entry)
{
    uintptr_t at = block->start + STUB_ALIGN;

    populate((void *)block->start, block->end - block->start);
    memset((void *)block->start, 0xcc, block->end - block->start);
    put(block->start, &entry, sizeof(entry));
    for (size_t i = 0; i < count; i++) {
        sites[i].stub = at;
        if (!stub_write(&sites[i], block->start))
            return false;
        for (unsigned n = slots_of(&sites[i]); n; n--, at += STUB_ALIGN)
            block->by_slot[(at - block->start) / STUB_ALIGN] = &sites[i];
    }
    return true;
}

/* Objects that lie close together share a block. Sites come object by object, so a block's
 * sites are a run of them; a stray object in between merely costs another block. */
int stubs_build(struct intercept_plan *plan, uintptr_t entry)
{
    struct intercept_site *sites = plan->sites.data;

    for (size_t first = 0; first < plan->sites.count;) {
        uintptr_t low = sites[first].object->start, high = low;
        size_t slots = 1, i = first;

        for (; i < plan->sites.count; i++) {
            const struct intercept_object *object = sites[i].object;
            const uintptr_t new_low = object->start < low ? object->start : low;
            const uintptr_t new_high = object->end > high ? object->end : high;
            if (i > first && new_high - new_low > REACH / 2)
                break;
            low = new_low;
            high = new_high;
            slots += slots_of(&sites[i]);
        }
        const int rc = block_map(plan, low, high, slots);
        if (rc)
            return rc;
        if (!block_fill(&plan->blocks[plan->block_count - 1], &sites[first], i - first, entry))
            return -ERANGE;
        first = i;
    }
    return 0;
}
