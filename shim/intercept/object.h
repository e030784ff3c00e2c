/* What can be learnt about the text of one loaded object without decoding all of it. */
#ifndef HANDOFF_INTERCEPT_OBJECT_H
#define HANDOFF_INTERCEPT_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <link.h>

#include "plan.h"

#define TEXT_SEGMENTS_MAX 8
#define LOADS_MAX         16
#define BUILD_ID_BYTES    20

struct span {
    uintptr_t start, end;
};

struct segment {
    uintptr_t start, end; /* file-backed bytes */
    int prot;             /* as mapped by the loader */
};

struct object {
    uintptr_t base;
    const char *name;
    struct segment text[TEXT_SEGMENTS_MAX];
    unsigned text_count;
    uintptr_t text_start, text_end; /* span of all of them */
    uintptr_t start, end;           /* span of all that is loaded */
    struct span loads[LOADS_MAX];   /* readable, file-backed */
    unsigned load_count;
    const uint8_t *build_id; /* BUILD_ID_BYTES of it (SHA-1, what linkers make by default), or NULL */

    /* .eh_frame_hdr: functions by start address */
    const struct {
        int32_t start, fde; /* relative to the table's section */
    } * index;
    size_t index_count;
    uintptr_t index_base;

    /* Where branches lead, near sites only: there one bit per byte of text. `near` has a bit per
     * granule of NEAR_BYTES, and a granule that has one has a word in `targets`: the number of
     * those before it, which `rank` knows for every 64th. So all of it is some pages, however large
     * the text: a page costs a microsecond. */
    uint64_t *near, *targets;
    uint32_t *rank;
};

#define NEAR_BYTES  64 /* as many as a word has bits */
#define NEAR_BEFORE 64 /* how far around a `syscall` targets are recorded */
#define NEAR_AFTER  32

struct function {
    uintptr_t start, end; /* end: where the next one begins, at most */
    uintptr_t fde_end;    /* where its own unwind information ends */
    uintptr_t lsda;       /* 0: no landing pads */
};

/* False if the object has no text to search. */
bool object_init(struct object *object, const struct dl_phdr_info *info);

/* Room for `near`, all of it clear; then object_mark_near for each site; then room for `targets`. In `memory`, which is used from
 * object to object and is to stay until all questions about targets are asked. -ENOMEM or 0. */
int object_clear_near(struct object *object, struct vec *memory);
int object_clear_targets(struct object *object, struct vec *memory);

/* Are these bytes of the file mapped and readable? */
bool object_readable(const struct object *object, uintptr_t addr, size_t size);

/* The next `0f 05` at or after `from` within the segment; 0 if none. *sets_gs is made true if what looks like a wrgsbase is before it. */
uintptr_t segment_next_syscall(const struct segment *segment, uintptr_t from, bool *sets_gs);

/* Marks the surroundings of a site: branch targets are recorded there only. */
void object_mark_near(struct object *object, uintptr_t syscall);
/* The word of `targets` for an offset into the text; NULL where none is kept. */
static inline uint64_t *object_targets_at(const struct object *object, uintptr_t offset)
{
    const uintptr_t granule = offset / NEAR_BYTES;
    const uint64_t word = object->near[granule / 64], bit = 1ull << granule % 64;

    return word & bit ? &object->targets[object->rank[granule / 64] +
                                         (unsigned)__builtin_popcountll(word & (bit - 1))]
                      : NULL;
}

static inline void object_mark_target(struct object *object, uintptr_t addr)
{
    const uintptr_t offset = addr - object->text_start;
    uint64_t *targets;

    if (offset < object->text_end - object->text_start &&
        (targets = object_targets_at(object, offset)))
        *targets |= 1ull << offset % NEAR_BYTES;
}

/* False where it is not kept. */
static inline bool object_is_target(const struct object *object, uintptr_t addr)
{
    const uintptr_t offset = addr - object->text_start;
    const uint64_t *targets;

    return offset < object->text_end - object->text_start &&
           (targets = object_targets_at(object, offset)) && (*targets >> offset % NEAR_BYTES & 1);
}

/* The first position in [from, to) whose bytes look like a short branch to somewhere in [low,
 * high), both bytes within; 0 if there is none. pre: high - low < 256. */
uintptr_t object_short_branch(uintptr_t from, uintptr_t to, uintptr_t low, uintptr_t high);

/* Marks the targets of everything in the text that looks like a branch with a 32-bit
 * displacement, aligned on an instruction or not. */
void object_mark_rel32(struct object *object);

/* The function around addr. A gap of a few bytes behind a function's unwind information
 * counts as part of it: __clone ends it before its `syscall`. */
bool object_find_function(const struct object *object, uintptr_t addr, struct function *function);

/* Marks the landing pads of a function; false if its table cannot be read. */
bool object_mark_landing_pads(struct object *object, const struct function *function);

#endif
