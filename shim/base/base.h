/* Words every part of the shim uses. Nothing here needs libc at run time: the shim's hooks run
 * on any stack, with any FS base, so they may touch neither TLS nor errno nor malloc.
 */
#ifndef HANDOFF_BASE_H
#define HANDOFF_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define likely(x)    __builtin_expect(!!(x), 1)
#define unlikely(x)  __builtin_expect(!!(x), 0)

#define cold         __attribute__((__cold__, __noinline__))
/* Kept out of its callers, whose frames then are small: for what they seldom need (docs/design/switch.md, "What a parked thread has in the cache"). */
#define apart        __attribute__((__noinline__))
#define always_inline inline __attribute__((__always_inline__))
#define cacheline    __attribute__((__aligned__(64)))

#define export       __attribute__((__visibility__("default")))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(p, type, member) ((type *)((char *)(p) - offsetof(type, member)))
#define ALIGN_UP(x, a)   (((uintptr_t)(x) + ((a) - 1)) & ~(uintptr_t)((a) - 1))
#define ALIGN_DOWN(x, a) ((uintptr_t)(x) & ~(uintptr_t)((a) - 1))

#define PAGE_SIZE 4096ul
#define NSEC_PER_SEC 1000000000ll

/* The shim's own (mem.c): without vector registers. */
void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);

/* A broken invariant: write one line "handoff: fatal: MODULE: FACT", the scheduler's state and
 * the last events, and kill the process with SIGABRT. Any context. */
_Noreturn void fatal(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Report at a level of options.h (enum option_log). Any context but async handlers. Formats:
 * %s %.*s %d %u %x %lx %ld %lld %lu %p %c. At most 1 KiB. */
void report(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* What errno `error` means, in a few words. Any context; what is not known by name shares one buffer. */
const char *error_name(long error);

/* The same formats into a buffer; always NUL-terminated; returns the length written. */
size_t format(char *buf, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
size_t vformat(char *buf, size_t size, const char *fmt, __builtin_va_list ap);

#ifdef HANDOFF_ASSERT
#define invariant(x)                                                                               \
    do {                                                                                           \
        if (unlikely(!(x)))                                                                        \
            fatal("%s:%d: %s", __FILE__, __LINE__, #x);                                            \
    } while (0)
#else
#define invariant(x) ((void)0)
#endif

#endif
