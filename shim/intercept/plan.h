/* Private to shim/intercept: the plan as scan.c makes it and apply.c carries it out. */
#ifndef HANDOFF_INTERCEPT_PLAN_H
#define HANDOFF_INTERCEPT_PLAN_H

#include "../base/arena.h"
#include "intercept.h"

/* A growing array in its own mapping, or, until that is full, in memory that was lent to it. Elements move when it grows. */
struct vec {
    void *data;
    size_t count, bytes;
    bool lent;
};

/* A run of stubs, within reach of the objects it serves. Slot 0 holds the addresses of the
 * entry and of the vDSO's; a stub takes one slot, or two. */
struct stub_block {
    uintptr_t start, end;
    const struct intercept_site **by_slot; /* the site whose stub covers it; NULL for slot 0 */
    struct stub_block *next;               /* published blocks; see intercept_find */
};

/* Text to be made writable as a whole, and its sites. */
struct text_range {
    uintptr_t start, end; /* whole pages */
    int prot;
    size_t first, count; /* in sites */
    bool vdso;
};

#define STUB_BLOCKS_MAX 32

struct intercept_plan {
    struct vec objects; /* struct intercept_object */
    struct vec sites;   /* struct intercept_site, by object, then by address */
    struct vec ranges;  /* struct text_range */
    struct vec names;   /* characters */
    struct stub_block blocks[STUB_BLOCKS_MAX];
    unsigned block_count;
    bool others;
    struct intercept_plan *next; /* applied plans */
    /* Enough for most programs: a mapping of its own for each would cost as much as a handful of sites. */
    struct intercept_object few_objects[12];
    struct text_range few_ranges[12];
    char few_names[512];
};

extern struct intercept_plan *intercept_applied;

/* A new zeroed element, or NULL. */
void *vec_add(struct vec *vec, size_t size);
/* Room for so many bytes. What was in it may be lost. */
bool vec_reserve(struct vec *vec, size_t bytes);
void vec_free(struct vec *vec);
/* Memory that is somebody else's, until it is full. */
void vec_lend(struct vec *vec, void *memory, size_t bytes);

/* Gives the plan's sites their stubs and writes them; sites[].object must be set by then.
 * 0, -ENOMEM (no room within reach), -ERANGE (a displaced operand is out of reach). The vDSO may end up without: its sites
 * have no stub then. */
int stubs_build(struct intercept_plan *plan, const struct intercept_config *config);

#endif
