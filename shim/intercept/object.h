/* What can be learnt about the text of one loaded object without decoding all of it. */
#ifndef HANDOFF_INTERCEPT_OBJECT_H
#define HANDOFF_INTERCEPT_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <link.h>

#define TEXT_SEGMENTS_MAX 8
#define LOADS_MAX         16

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

    /* .eh_frame_hdr: functions by start address */
    const struct {
        int32_t start, fde; /* relative to the table's section */
    } * index;
    size_t index_count;
    uintptr_t index_base;

    /* One bit per byte of text: some branch leads here. Kept only near sites, which
     * `near` tells at a granularity of NEAR_BYTES. */
    uint64_t *targets, *near;
    size_t targets_size, near_size;
};

#define NEAR_BYTES  64
#define NEAR_BEFORE 64 /* how far around a `syscall` targets are recorded */
#define NEAR_AFTER  32

struct function {
    uintptr_t start, end; /* end: where the next one begins, at most */
    uintptr_t fde_end;    /* where its own unwind information ends */
    uintptr_t lsda;       /* 0: no landing pads */
};

/* False if the object has no text to search. */
bool object_init(struct object *object, const struct dl_phdr_info *info);

/* -ENOMEM or 0. Called once there are sites. */
int object_map_targets(struct object *object);
void object_unmap_targets(struct object *object);

/* Are these bytes of the file mapped and readable? */
bool object_readable(const struct object *object, uintptr_t addr, size_t size);

/* The next `0f 05` at or after `from` within the segment; 0 if none. */
uintptr_t segment_next_syscall(const struct segment *segment, uintptr_t from);

/* Marks the surroundings of a site: branch targets are recorded there only. */
void object_mark_near(struct object *object, uintptr_t syscall);
void object_mark_target(struct object *object, uintptr_t addr);
bool object_is_target(const struct object *object, uintptr_t addr);

/* Marks the targets of everything in the text that looks like a branch with a 32-bit
 * displacement, aligned on an instruction or not. */
void object_mark_rel32(struct object *object);

/* The function around addr. A gap of a few bytes behind a function's unwind information
 * counts as part of it: __clone ends it before its `syscall`. */
bool object_find_function(const struct object *object, uintptr_t addr, struct function *function);

/* Marks the landing pads of a function; false if its table cannot be read. */
bool object_mark_landing_pads(struct object *object, const struct function *function);

#endif
