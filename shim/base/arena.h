/* Memory for what every activation touches: in one place, for its time is spent on first touches.
 *
 * A page that is touched first costs half a microsecond, and where the hypervisor keeps page tables of its own (PVM)
 * twenty, seven if it was populated before; the first page under a page table that is new 50 to 100. So what would be a
 * dozen mappings is one, aligned to what one page table spans, with a table that grows downwards
 * below it and one that grows upwards above it, whose first elements are there as well:
 *
 *                        |<--------------- one page table, 2 MiB --------------->|
 *     ... table below    |  128 KiB  |  what arena_take gives     |  256 KiB     |    table above ...
 *
 * Context: arena_take and populate any, signal-safe; the others while there is one thread. */
#ifndef HANDOFF_ARENA_H
#define HANDOFF_ARENA_H

#include <stdbool.h>
#include <stddef.h>

/* Makes an arena, with room for so many bytes below and above. An older one stays what it is, and is forgotten. False:
 * no memory; arena_take then maps. */
bool arena_open(size_t below, size_t above);
/* Forgets the arena: in a fork child, whose parent's workers have it. */
void arena_leave(void);

/* Whole pages, zero, readable and writable: from the arena, or a mapping of their own; they may be unmapped. Of these, the
 * first `touched` bytes will be written at once. NULL: no memory. */
void *arena_take(size_t size, size_t touched);
/* About where arena_take would give something; NULL: nowhere in particular. */
const void *arena_next(void);
/* Where the table below ends, and the one above begins; NULL if there is no arena, or it is taken. */
void *arena_below(void);
void *arena_above(size_t *size);

/* What is mapped of a file there, and in the page cache, is going to be read. The same. */
void populate_read(const void *at, size_t size);
/* All of this is going to be written: one system call rather than a fault for each page. Without effect before Linux 5.14. */
void populate(void *at, size_t size);

#endif
