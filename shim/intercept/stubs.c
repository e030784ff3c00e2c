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

void vec_lend(struct vec *vec, void *memory, size_t bytes)
{
    *vec = (struct vec){memory, 0, memory ? bytes : 0, true};
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

static bool in_reach(uintptr_t at, size_t size, uintptr_t low, uintptr_t high)
{
    return at < low ? high - at <= REACH : at + size - low <= REACH;
}

static int block_map(struct intercept_plan *plan, uintptr_t low, uintptr_t high, size_t slots)
{
    if (plan->block_count == STUB_BLOCKS_MAX)
        return -ENOMEM;
    struct stub_block *block = &plan->blocks[plan->block_count];
    const size_t size = ALIGN_UP(slots * STUB_ALIGN, PAGE_SIZE);

    if (in_reach((uintptr_t)arena_next(), size, low, high)) /* as mostly for libraries, which were mapped last before */
        block->start = (uintptr_t)arena_take(size, 0);
    if (block->start && !in_reach(block->start, size, low, high)) {
        sys_unmap((void *)block->start, size);
        block->start = 0;
    }
    if (!block->start)
        block->start = map_near(low, high, size);
    if (!block->start)
        return -ENOMEM;
    populate((void *)block->start, size);
    block->end = block->start + size;
    plan->block_count++;
    prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, block->start, size, "handoff stubs");

    const size_t slots_size = size / STUB_ALIGN * sizeof(void *);
    block->by_slot = arena_take(slots_size, slots_size);
    return block->by_slot ? 0 : -ENOMEM;
}

/* --- what ------------------------------------------------------------------------------- */

static always_inline uintptr_t put(uintptr_t at, const void *bytes, size_t size)
{
    memcpy((void *)at, bytes, size);
    return at + size;
}

static uintptr_t put_rel32(uintptr_t at, uintptr_t target)
{
    const int32_t disp = (int32_t)(target - (at + 4));
    return put(at, &disp, 4);
}

/* Writes whole instructions, which stand at `from` and are `bytes`, mending RIP-relative operands. False: out of their
 * reach. (The text itself is not looked at: a page of it that is not mapped yet is half as dear to write to.) */
static bool put_displaced(uintptr_t at, uintptr_t from, const uint8_t *bytes, size_t size)
{
    const uintptr_t copy = (uintptr_t)bytes;

    for (size_t done = 0; done < size;) {
        struct insn insn;
        if (!decode_insn(copy + done, copy + size, &insn))
            return false;
        put(at + done, bytes + done, insn.length);
        if (insn.flags & INSN_RIP) {
            const intptr_t disp = (intptr_t)(insn.target - copy + from - (at + done + insn.length));
            if (disp != (int32_t)disp)
                return false;
            put(at + done + insn.disp, &(int32_t){(int32_t)disp}, 4);
        }
        done += insn.length;
    }
    return true;
}

static bool stub_write(const struct intercept_site *site, uintptr_t entry_literal)
{
    static const uint8_t lea[] = {0x4c, 0x8d, 0x1d}, jmp_entry[] = {0xff, 0x25}, jmp[] = {0xe9};
    const uintptr_t stub = site->stub, site_end = site_addr(site) + 2, resume = site_resume(site);
    const uintptr_t window_end = site->window + site->window_len;

    _Static_assert(STUB_BEFORE + STUB_BEFORE_MAX == STUB_ENTER, "stub layout");
    _Static_assert(STUB_ENTER + sizeof(lea) + 4 == STUB_JMP, "stub layout");
    _Static_assert(STUB_JMP + sizeof(jmp_entry) + 4 == STUB_AFTER, "stub layout");
    _Static_assert(STUB_AFTER + 5 <= STUB_ALIGN, "a stub without `after` is one cache line");

    put(stub + STUB_RESUME, &resume, 8);
    put(stub + STUB_SITE_END, &site_end, 8);
    put(stub + STUB_FLAGS, &site->flags, 1);
    memset((void *)(stub + STUB_BEFORE), 0xcc, STUB_BEFORE_MAX);
    if (!put_displaced(site_code(site), site->window, site->original, site->before_len))
        return false;
    put_rel32(put(stub + STUB_ENTER, lea, sizeof(lea)), stub);
    put_rel32(put(stub + STUB_JMP, jmp_entry, sizeof(jmp_entry)), entry_literal);
    if (site->keeps_syscall)
        return true;
    if (!put_displaced(site_after(site), site_end, site->original + site->before_len + 2, site->after_len))
        return false;
    put_rel32(put(site_after(site) + site->after_len, jmp, 1), window_end);
    return true;
}

static bool block_fill(struct stub_block *block, struct intercept_site *sites, size_t count,
                       const struct intercept_config *config)
{
    const uintptr_t entries[2] = {config->entry, config->vdso_entry};
    uintptr_t at = block->start + STUB_ALIGN;

    memset((void *)block->start, 0xcc, block->end - block->start);
    put(block->start, entries, sizeof(entries));
    for (size_t i = 0; i < count; i++) {
        sites[i].stub = at;
        if (!stub_write(&sites[i], block->start + (sites[i].object->vdso ? sizeof(entries[0]) : 0)))
            return false;
        for (unsigned n = slots_of(&sites[i]); n; n--, at += STUB_ALIGN)
            block->by_slot[(at - block->start) / STUB_ALIGN] = &sites[i];
    }
    return true;
}

/* Objects that lie close together share a block. Sites come object by object, so a block's
 * sites are a run of them; a stray object in between merely costs another block. */
int stubs_build(struct intercept_plan *plan, const struct intercept_config *config)
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
        if (!rc) {
            if (!block_fill(&plan->blocks[plan->block_count - 1], &sites[first], i - first, config))
                return -ERANGE;
        } else if (!sites[first].object->vdso || !sites[i - 1].object->vdso) {
            return rc;
        }
        first = i;
    }
    return 0;
}
