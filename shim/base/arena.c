#include "arena.h"

#include <sys/mman.h>

#include "atomic.h"
#include "base.h"
#include "sys.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

enum { SPAN = 2 << 20, LOW = 128 << 10, HIGH = 256 << 10 };

static char *next, *end, *below, *above;
static size_t above_size;

bool arena_open(size_t below_size, size_t above_most)
{
    const size_t size = below_size + above_most + 2 * SPAN;
    char *base = sys_map(NULL, size, PROT_READ | PROT_WRITE, MAP_NORESERVE);

    arena_leave();
    if (!base)
        return false;
    char *span = (char *)ALIGN_UP((uintptr_t)base + (below_size > LOW ? below_size - LOW : 0), SPAN);
    next = span + LOW;
    end = span + SPAN - HIGH;
    below = below_size ? next : NULL;
    above = end;
    above_size = (size_t)(base + size - above);
    sys3(__NR_madvise, P(span), SPAN, MADV_NOHUGEPAGE); /* little of it is touched */
    return true;
}

void arena_leave(void)
{
    next = end = below = above = NULL;
}

void *arena_take(size_t size, size_t touched)
{
    char *at = load_relaxed(&next);

    size = ALIGN_UP(size, PAGE_SIZE);
    do {
        if (size > (size_t)(end - at)) {
            at = sys_map(NULL, size, PROT_READ | PROT_WRITE, MAP_NORESERVE);
            break;
        }
    } while (!__atomic_compare_exchange_n(&next, &at, at + size, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    if (at && touched)
        populate(at, touched);
    return at;
}

const void *arena_next(void)
{
    return load_relaxed(&next);
}

void *arena_below(void)
{
    char *at = below;

    below = NULL;
    return at;
}

void *arena_above(size_t *size)
{
    char *at = above;

    above = NULL;
    *size = above_size;
    return at;
}

static void advise(const void *at, size_t size, int advice)
{
    const uintptr_t start = ALIGN_DOWN((uintptr_t)at, PAGE_SIZE);

    sys3(__NR_madvise, (long)start, (long)(ALIGN_UP((uintptr_t)at + size, PAGE_SIZE) - start), advice);
}

void populate(void *at, size_t size)
{
    advise(at, size, MADV_POPULATE_WRITE);
}

void populate_read(const void *at, size_t size)
{
    advise(at, size, MADV_POPULATE_READ);
}
