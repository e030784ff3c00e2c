/* Thread stacks from a slab.
 *
 * glibc makes a stack with mmap(PROT_NONE, MAP_STACK), opens it with mprotect and drops it with munmap. While
 * the interposed pthread_create is on the stack of a user thread (u->in_create), these are served
 * here. A chunk is one mapping, readable and writable, cut into stacks of one size: no mapping per
 * thread, so vm.max_map_count is no limit. The part below what mprotect opens is the guard: a
 * MADV_GUARD_INSTALL range (Linux 6.13), which is no mapping of its own, else PROT_NONE. So are those of the first few
 * stacks: a guard range takes a page table, a mapping does not (50 us against 5 where a hypervisor watches page tables).
 *
 * A dropped stack goes to its class's free list with its pages, is handed out again with
 * what glibc expects of fresh memory zeroed (the thread descriptor at its top), and gives the pages back to the kernel
 * when it lay unused for some seconds (stack_trim). mprotect, madvise and munmap that the program itself makes on
 * part of a stack go to the kernel, and mark the stack to be mapped anew when it is dropped.
 */
#include "emul.h"
#include "fd.h"

#include "../arch/x86_64/bases.h"
#include "../base/arena.h"
#include "../sched/internal.h"

#define MAP_STACK          0x20000
#define MAP_FIXED          0x10
#define MADV_DONTNEED      4
#define MADV_NOHUGEPAGE    15
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE  103

struct stack {
    struct stack *next;
    uint64_t base;
    uint64_t guard; /* bytes */
    uint32_t freed; /* second it was freed */
    uint8_t used, touched, remap, class;
    bool guard_maps; /* the guard is PROT_NONE */
};

struct chunk {
    uint64_t start, end, size; /* size of one stack */
    struct stack *stacks;
    uint32_t count;
};

enum { CLASSES = 32, IDLE_SECONDS = 5 };
struct class {
    uint64_t size;
    struct stack *free; /* newest first */
    uint32_t grown;     /* stacks made so far: chunks grow with it */
};

static struct lock lock;
static struct class classes[CLASSES];
static struct chunk *chunks; /* sorted by start; under lock */
static uint32_t nchunks, chunks_room;
static uint64_t low = UINT64_MAX, high;
static int guards; /* MADV_GUARD_INSTALL works */
static uint32_t second;

static bool chunks_grow(void)
{
    const size_t bytes = chunks_room * sizeof(struct chunk), more = bytes ? 2 * bytes : PAGE_SIZE;
    struct chunk *c = arena_take(more, bytes ? bytes : 1);
    if (!c)
        return false;
    if (chunks) {
        memcpy(c, chunks, nchunks * sizeof *c);
        sys_unmap(chunks, bytes);
    }
    chunks = c;
    chunks_room = (uint32_t)(more / sizeof *c);
    return true;
}

int stack_activate(void)
{
    if (!chunks && !chunks_grow())
        return -ENOMEM;
    char *probe = sys_map(NULL, PAGE_SIZE, 3, 0);
    guards = probe && sys3(__NR_madvise, P(probe), PAGE_SIZE, MADV_GUARD_INSTALL) == 0;
    if (probe)
        sys_unmap(probe, PAGE_SIZE);
    return 0;
}

/* In a fork child stacks stay where they are, the caller's among them; the lists may be half changed: forget. */
void stack_reset(void)
{
    lock = (struct lock){0};
    memset(classes, 0, sizeof classes);
    chunks = NULL;
    nchunks = chunks_room = 0;
    low = UINT64_MAX;
    high = 0;
}

/* Its struct stays. */
static struct stack *find(uint64_t addr)
{
    if (addr < load_relaxed(&low) || addr >= load_relaxed(&high)) /* who asks for a stack knows of its chunk */
        return NULL;
    lock_take(&lock);
    struct stack *found = NULL;
    uint32_t a = 0, b = nchunks;
    while (a < b) {
        uint32_t m = (a + b) / 2;
        if (chunks[m].end <= addr)
            a = m + 1;
        else
            b = m;
    }
    if (a < nchunks && addr >= chunks[a].start)
        found = &chunks[a].stacks[(addr - chunks[a].start) / chunks[a].size];
    lock_drop(&lock);
    return found;
}

/* Under the lock. */
static bool grow(struct class *c, uint8_t index)
{
    uint32_t n = c->grown < 4 ? 4 : c->grown < 256 ? c->grown : 256;
    if (nchunks == chunks_room && !chunks_grow())
        return false;
    char *base = sys_map(NULL, c->size * n, 3, 0x4000 | MAP_STACK /* NORESERVE */);
    if (!base) {
        n = 1;
        base = sys_map(NULL, c->size, 3, 0x4000 | MAP_STACK);
    }
    struct stack *s = base ? arena_take(sizeof *s * n, sizeof *s * n) : NULL;
    if (!s) {
        if (base)
            sys_unmap(base, c->size * n);
        return false;
    }
    sys3(__NR_madvise, P(base), (long)(c->size * n), MADV_NOHUGEPAGE);
    uint32_t at = nchunks;
    while (at > 0 && chunks[at - 1].start > (uint64_t)base) {
        chunks[at] = chunks[at - 1];
        at--;
    }
    chunks[at] = (struct chunk){(uint64_t)base, (uint64_t)base + c->size * n, c->size, s, n};
    nchunks++;
    if ((uint64_t)base < low)
        store_relaxed(&low, (uint64_t)base);
    if ((uint64_t)base + c->size * n > high)
        store_relaxed(&high, (uint64_t)base + c->size * n);
    for (uint32_t i = 0; i < n; i++) {
        s[i].base = (uint64_t)base + c->size * i;
        s[i].class = index;
        s[i].guard_maps = !guards || c->grown == 0;
        s[i].next = c->free;
        c->free = &s[i];
    }
    c->grown += n;
    return true;
}

static struct class *class_of(uint64_t size, uint8_t *index)
{
    for (int i = 0; i < CLASSES; i++) {
        if (classes[i].size == size || classes[i].size == 0) {
            classes[i].size = size;
            *index = (uint8_t)i;
            return &classes[i];
        }
    }
    return NULL;
}

static bool set_guard(struct stack *s, uint64_t bytes);

long emul_mmap(struct frame *f)
{
    struct uthread *u = uthread_self();
    if (likely(!u->in_create) || !(f->r10 & MAP_STACK) || f->rdi != 0 || f->rsi % PAGE_SIZE || (f->rdx & 4)) {
        if (unlikely(f->rdi < PAGE_SIZE) && f->r10 & (0x10 | 0x100000) /* MAP_FIXED, MAP_FIXED_NOREPLACE */ && bases_kind == BASES_RELOAD)
            return -EPERM; /* as to those without privilege: FS_STALE is there */
        long at = sys_intr(f);
        if ((int)f->r8 >= 0 && (f->r10 & 1 /* MAP_SHARED */) && at > 0)
            uring_mapped((int)f->r8, f->r9, (uint64_t)at);
        return at;
    }
    struct stack *s = NULL;
    uint8_t index;
    lock_take(&lock);
    struct class *c = class_of(f->rsi, &index);
    if (c && (c->free || grow(c, index))) {
        s = c->free;
        c->free = s->next;
        s->used = 1;
    }
    lock_drop(&lock);
    if (!s)
        return sys_intr(f);
    if (s->touched) {
        COUNT_SHARED(stack_reuse);
        /* What is above the thread's stack proper must look fresh: the descriptor, which glibc takes for
         * zeroed. It initialises TLS itself. */
        memset((void *)(s->base + f->rsi - 2 * PAGE_SIZE), 0, 2 * PAGE_SIZE);
    } else {
        COUNT_SHARED(stack_fresh);
        populate((void *)(s->base + f->rsi - 2 * PAGE_SIZE), 2 * PAGE_SIZE); /* the descriptor, and the first frames */
    }
    if (f->rdx & 3) /* no guard asked for: the mapping is open at once */
        set_guard(s, 0);
    return (long)s->base;
}

static bool set_guard(struct stack *s, uint64_t bytes)
{
    if (s->guard == bytes)
        return true;
    if (s->guard_maps) {
        if (s->guard > bytes)
            sys3(__NR_mprotect, (long)(s->base + bytes), (long)(s->guard - bytes), 3);
        if (sys3(__NR_mprotect, (long)s->base, (long)bytes, 0) < 0)
            return false;
    } else {
        if (s->guard > bytes)
            sys3(__NR_madvise, (long)(s->base + bytes), (long)(s->guard - bytes), MADV_GUARD_REMOVE);
        if (sys3(__NR_madvise, (long)s->base, (long)bytes, MADV_GUARD_INSTALL) < 0)
            return false;
    }
    s->guard = bytes;
    return true;
}

static uint64_t size_of(const struct stack *s)
{
    return classes[s->class].size;
}

long emul_mprotect(struct frame *f)
{
    uint64_t at = f->rdi, len = f->rsi;
    struct stack *s = find(at);
    if (likely(!s))
        return native_sys(f);
    uint64_t end = s->base + size_of(s);
    if (uthread_self()->in_create && s->used && at + len <= end && !(f->rdx & 4)) {
        if (f->rdx == 3 && at + len == end) /* open it: what lies below is the guard */
            return set_guard(s, at - s->base) ? 0 : -ENOMEM;
        if (f->rdx == 0 && at == s->base)
            return set_guard(s, len) ? 0 : -ENOMEM;
        if (f->rdx == 3 && at == s->base && len <= s->guard)
            return set_guard(s, 0) ? 0 : -ENOMEM;
    }
    s->remap = 1;
    return native_sys(f);
}

static void give_pages_back(struct stack *s)
{
    uint64_t size = size_of(s);
    if (s->remap) {
        long r = sys6(__NR_mmap, (long)s->base, (long)size, 3, 0x4022 | MAP_STACK | MAP_FIXED, -1, 0);
        if (r < 0 && r > -4096)
            fatal("stack: cannot map a stack anew: %s", error_name(-r));
        sys3(__NR_madvise, (long)s->base, (long)size, MADV_NOHUGEPAGE);
        s->guard = 0;
        s->remap = 0;
    } else
        sys3(__NR_madvise, (long)(s->base + s->guard), (long)(size - s->guard), MADV_DONTNEED);
    s->touched = 0;
}

long emul_munmap(struct frame *f)
{
    struct stack *s = find(f->rdi);
    if (likely(!s))
        return native_sys(f);
    if (f->rdi != s->base || f->rsi != size_of(s) || !s->used) {
        s->remap = 1;
        return native_sys(f);
    }
    if (s->remap)
        give_pages_back(s);
    else
        s->touched = 1;
    lock_take(&lock);
    struct class *c = &classes[s->class];
    s->used = 0;
    s->freed = second;
    s->next = c->free;
    c->free = s;
    lock_drop(&lock);
    return 0;
}

/* glibc gives the unused part of a stack back at every thread's end. When little of it was touched (the
 * usual case) that call finds nothing; but it costs. Left to stack_trim. */
long emul_madvise(struct frame *f)
{
    return native_sys(f);
}

void stack_note_exit(struct uthread *u)
{
    (void)u;
}

/* sysmon, once a second. */
void stack_trim(void)
{
    second++;
    for (int i = 0; i < CLASSES && classes[i].size; i++) {
        for (int k = 0; k < 64; k++) { /* a bounded share of the work each time */
            struct stack *s, **at;
            lock_take(&lock);
            for (at = &classes[i].free; (s = *at); at = &s->next)
                if (s->touched && second - s->freed >= IDLE_SECONDS)
                    break;
            if (s)
                *at = s->next;
            lock_drop(&lock);
            if (!s)
                break;
            give_pages_back(s);
            lock_take(&lock);
            s->next = classes[i].free;
            classes[i].free = s;
            lock_drop(&lock);
        }
    }
}
