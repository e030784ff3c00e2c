/* Finds the sites of newly loaded objects and chooses their windows.
 *
 * Time matters (it is part of a program's first pthread_create), so the text is never decoded
 * as a whole. Per object:
 *
 *   1. Look for the bytes 0f 05. Most objects have none and are done.
 *   2. Mark the surroundings of each, and scan the text's raw bytes for anything that looks
 *      like a branch with a 32-bit displacement into such surroundings. That catches branches
 *      from anywhere, cold parts of functions included. What merely looks like a branch can
 *      only spoil a window, never make a bad one good.
 *   3. Decode the functions that hold candidates from their start. That tells which 0f 05 are
 *      instructions, the short branches, switch tables, landing pads.
 *   4. Short branches from neighbouring functions: the raw bytes around the window again, and,
 *      where they seem to enter it, the neighbour is decoded.
 *
 * Rejected: decoding around a site only (x86 code resynchronises, but a wrong guess is a crash
 * years later), and reading symbols (libraries are stripped; cold parts have none). */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "plan.h"

#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <asm/unistd.h>

#include "../base/base.h"
#include "../base/sys.h"
#include "decode.h"
#include "object.h"

/* Above this, reading the text would cost a start more than handoff can give back. */
#define TEXT_MAX       (128ul << 20)
#define OBJECT_MAX     (512ul << 20)
#define SWITCH_MAX     4096 /* entries of a switch table */
#define JMP_BYTES      5
#define NO_OBJECT_NAME "[exe]"
#define INSNS          128 /* a power of two, and more than NEAR_BEFORE */

/* What every object needs anew: kept from object to object, and what a small one needs for good. */
static struct {
    struct vec candidates; /* uintptr_t */
    struct vec at, look;   /* where struct starts points */
    struct vec near, targets;
} scratch;

static void scratch_begin(void)
{
    enum { FEW = PAGE_SIZE / 4, MORE = 2 * PAGE_SIZE };
    static char *small; /* three of FEW, two of MORE */

    if (!small)
        small = arena_take(PAGE_SIZE + 2 * MORE, PAGE_SIZE + 2 * MORE);
    vec_lend(&scratch.candidates, small, FEW);
    vec_lend(&scratch.near, small ? small + FEW : NULL, FEW);
    vec_lend(&scratch.targets, small ? small + 2 * FEW : NULL, FEW);
    vec_lend(&scratch.at, small ? small + PAGE_SIZE : NULL, MORE);
    vec_lend(&scratch.look, small ? small + PAGE_SIZE + MORE : NULL, MORE);
}

static void scratch_free(void)
{
    vec_free(&scratch.candidates);
    vec_free(&scratch.at);
    vec_free(&scratch.look);
    vec_free(&scratch.near);
    vec_free(&scratch.targets);
}

struct scan {
    const struct intercept_config *config;
    struct intercept_report *report;
    struct intercept_plan *plan;
    uintptr_t vdso;  /* 0: not wanted */
    struct intercept_report vdso_report;
    int rc;
    bool reason_is_critical;

    /* the object at hand */
    struct object object;
    size_t object_index;
    const char *name;
    bool critical, is_vdso;
    uintptr_t patched_end; /* end of the last window chosen */
    bool vex;              /* some of its code that makes system calls is for AVX, so all of it may be */

    /* the function at hand */
    struct function function;
    struct starts starts;
    struct insn *insns;  /* INSNS: those looked at last; see insn_at */
};

struct window {
    uintptr_t start, end;
    bool keeps_syscall;
};

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_critical(const char *name)
{
    name = base_name(name);
    return starts_with(name, "libc.so.6") || starts_with(name, "libc-2.") ||
           starts_with(name, "ld-linux-x86-64.so") || starts_with(name, "ld-2.") ||
           starts_with(name, "libpthread.so") || starts_with(name, "libpthread-2.");
}

static void refuse(struct scan *scan, uintptr_t addr, int nr, const char *why)
{
    struct intercept_report *report = scan->report;

    report->refused++;
    report->critical += scan->critical;
    if (report->reason[0] && (scan->reason_is_critical || !scan->critical))
        return;
    scan->reason_is_critical = scan->critical;
    snprintf(report->reason, sizeof(report->reason), "%s+0x%lx: system call %d%s: %s", scan->name,
             (unsigned long)(addr - scan->object.base), nr, nr < 0 ? " (unknown)" : "", why);
}

/* --- decoding one function ---------------------------------------------------------------- */

static uintptr_t start_of(const struct scan *scan, size_t index)
{
    return scan->function.start + scan->starts.at[index];
}

/* An instruction of the function at hand. What it returns is good until INSNS others are asked for.
 */
static const struct insn *insn_at(const struct scan *scan, size_t index)
{
    struct insn *insn = &scan->insns[index % INSNS];
    const uintptr_t addr = start_of(scan, index);

    if (insn->addr != addr && !decode_insn(addr, scan->function.end, insn))
        *insn = (struct insn){.addr = addr,
                              .length = (uint8_t)(start_of(scan, index + 1) - addr),
                              .flags = INSN_FIXED};
    return insn;
}

/* A switch jumps to an address it takes from a table: 32-bit offsets from the table itself
 * (position independent), or addresses. Entries count as long as they lead into the function;
 * reading one too many only marks a target too many. */
static void mark_table32(struct scan *scan, uintptr_t table)
{
    for (unsigned i = 0; i < SWITCH_MAX; i++) {
        int32_t offset;
        if (!object_readable(&scan->object, table + i * 4ul, 4))
            return;
        memcpy(&offset, (const void *)(table + i * 4ul), 4);
        const uintptr_t target = table + (uintptr_t)(intptr_t)offset;
        if (target < scan->function.start || target >= scan->function.end)
            return;
        object_mark_target(&scan->object, target);
    }
}

static void mark_table64(struct scan *scan, uintptr_t table)
{
    for (unsigned i = 0; i < SWITCH_MAX; i++) {
        uintptr_t target;
        if (!object_readable(&scan->object, table + i * 8ul, 8))
            return;
        memcpy(&target, (const void *)(table + i * 8ul), 8);
        if (target < scan->function.start || target >= scan->function.end)
            return;
        object_mark_target(&scan->object, target);
    }
}

/* Could it be a lea from beside the code? By its first bytes; one with a prefix could be anything.
 */
static bool perhaps_lea(const uint8_t *p)
{
    const bool prefix = (*p & 0xfc) == 0x64 || (*p & 0xfe) == 0xf2 || *p == 0xf0 || *p == 0x2e;

    p += (*p & 0xf0) == 0x40;
    return prefix || (p[0] == 0x8d && (p[1] & 0xc7) == 0x05);
}

static void mark_switches(struct scan *scan)
{
    const bool low =
        scan->object.start < 0x80000000ul; /* an absolute address fits into a displacement */

    for (size_t i = 0; i < scan->starts.count; i++) {
        if (!low && !perhaps_lea((const uint8_t *)start_of(scan, i)))
            continue;
        const struct insn *insn = insn_at(scan, i);
        if ((insn->flags & INSN_LEA) && (insn->flags & INSN_RIP))
            mark_table32(scan, insn->target);
        else if (insn->disp && !(insn->flags & INSN_RIP) && insn->disp32 > 0)
            mark_table64(scan, (uintptr_t)insn->disp32);
    }
}

/* How far a function must be decoded: behind the last site no short branch reaches back (128
 * bytes), and rel32 branches are found by object_mark_rel32. Only an indirect jmp, through a table,
 * could: where any byte pair out there looks like one, to the end. */
static uintptr_t decode_end(const struct function *function, uintptr_t last_site)
{
    const uintptr_t near = last_site + 2 + NEAR_AFTER + 160;
    if (near >= function->end)
        return function->end;
    for (const uint8_t *p = (const uint8_t *)near - 1; p + 1 < (const uint8_t *)function->end; p++)
        if (p[0] == 0xff && (p[1] & 0x38) == 0x20) /* jmp r/m64 */
            return function->end;
    return near;
}

/* Marks where the function's branches lead; true if there is an indirect jmp among them. */
static bool mark_branches(struct scan *scan)
{
    const struct starts *starts = &scan->starts;
    bool switches = false;

    for (size_t i = 0; i < starts->look_count; i++) {
        const size_t index = starts->look[i] & LOOK_INDEX;
        const uintptr_t end = start_of(scan, index + 1);
        int32_t disp;

        switch (starts->look[i] & LOOK_KIND) {
        case LOOK_REL8:
            disp = ((const int8_t *)end)[-1];
            break;
        case LOOK_CALL:
            memcpy(&disp, (const void *)(end - 4), 4);
            break;
        default: {
            const struct insn *insn = insn_at(scan, index);
            switches |= (insn->flags & INSN_SWITCH) != 0;
            if (!(insn->flags & INSN_RELATIVE))
                continue;
            disp = (int32_t)(insn->target - end);
        }
        }
        object_mark_target(&scan->object, end + (uintptr_t)(intptr_t)disp);
    }
    return switches;
}

/* Decodes the function at hand as far as last_site needs it. False if it does not decode. */
static bool decode_text(struct scan *scan, uintptr_t last_site)
{
    const struct function *function = &scan->function;
    const uintptr_t end = decode_end(function, last_site);

    const size_t room = end - function->start + 1;
    if (!vec_reserve(&scratch.at, room * sizeof(uint32_t)) ||
        !vec_reserve(&scratch.look, room * sizeof(uint32_t))) {
        scan->rc = -ENOMEM;
        return false;
    }
    scan->starts.at = scratch.at.data;
    scan->starts.look = scratch.look.data;
    decode_starts(function->start, end, function->end, &scan->starts);
    const uintptr_t stopped = start_of(scan, scan->starts.count);
    /* The end is only known to be before the next function: what is undecodable
     * out there may be padding or data, but it must be out of a short branch's reach. */
    return stopped >= end ||
           (stopped >= function->fde_end && stopped >= last_site + 2 + NEAR_AFTER + 128);
}

/* And marks where branches lead. False too if its landing pads cannot be read. */
static bool decode_function(struct scan *scan, uintptr_t last_site)
{
    if (!decode_text(scan, last_site))
        return false;
    if (mark_branches(scan))
        mark_switches(scan);
    return object_mark_landing_pads(&scan->object, &scan->function);
}

/* --- the number --------------------------------------------------------------------------- */

/* The system call's number if every way to the syscall sets it: straight back from the syscall,
 * no way in from elsewhere, to the instruction that sets eax. */
static int32_t find_nr(const struct scan *scan, size_t index)
{
    const uintptr_t syscall = start_of(scan, index);
    int32_t nr;

    for (size_t i = index; i > 0; i--) {
        const uintptr_t addr = start_of(scan, i);
        if (addr + NEAR_BEFORE < syscall || object_is_target(&scan->object, addr))
            return -1;
        const struct insn *before = insn_at(scan, i - 1);
        if (before->flags & INSN_FIXED) {
            /* a conditional branch that is not taken changes nothing */
            const bool jcc = (before->flags & INSN_RELATIVE) && !(before->flags & INSN_BARRIER) &&
                             before->opcode != 0xe8 && before->opcode != 0xc7; /* call, xbegin */
            if (jcc)
                continue;
            return -1;
        }
        if (decode_rax_constant(before, &nr))
            return nr;
        if (decode_writes_rax(before))
            return -1;
    }
    return -1;
}

/* --- the window --------------------------------------------------------------------------- */

/* Is there an instruction covering addr that branches to target? True when it is not known. */
static bool really_branches(const struct object *object, uintptr_t addr, uintptr_t target)
{
    struct function function;
    struct insn insn;

    if (!object_find_function(object, addr, &function))
        return true;
    for (uintptr_t at = function.start; at <= addr; at += insn.length) {
        if (!decode_insn(at, function.end, &insn))
            return true;
        if (addr < at + insn.length)
            return (insn.flags & INSN_RELATIVE) && insn.target == target;
    }
    return true;
}

/* Short branches from outside the function at hand. */
static bool entered_from(const struct scan *scan, uintptr_t from, uintptr_t to,
                         const struct window *window)
{
    if (from < scan->object.text_start)
        from = scan->object.text_start;
    if (to > scan->object.text_end)
        to = scan->object.text_end;
    /* to the first byte is to the instruction that the jump replaces: that may be */
    for (; (from = object_short_branch(from, to, window->start + 1, window->end)); from++) {
        const uintptr_t target = from + 2 + (uintptr_t)(intptr_t)((const int8_t *)from)[1];
        if (really_branches(&scan->object, from, target))
            return true;
    }
    return false;
}

static bool is_entered(const struct scan *scan, const struct window *window)
{
    const struct function *function = &scan->function;

    for (uintptr_t at = window->start + 1; at < window->end; at++)
        if (object_is_target(&scan->object, at))
            return true;
    /* A window that keeps its syscall must own it: who jumps to it would skip the hook. */
    if (window->keeps_syscall && object_is_target(&scan->object, window->end))
        return true;

    struct window reach = *window;
    reach.end += reach.keeps_syscall; /* the syscall itself, too */
    if (reach.start < function->start + 130 &&
        entered_from(scan, reach.start - 130, function->start, &reach))
        return true;
    return reach.end + 130 > function->end &&
           entered_from(scan, function->end, reach.end + 130, &reach);
}

static bool can_move(const struct scan *scan, const struct insn *insn)
{
    if (insn->flags & (INSN_FIXED | INSN_ENDBR))
        return false;
    return !(insn->flags & INSN_RIP) ||
           (insn->target >= scan->object.start && insn->target <= scan->object.end);
}

/* Tries the window of `before` instructions, and, unless it can keep the syscall, the syscall
 * and as many behind it as it takes. */
static bool try_window(const struct scan *scan, size_t index, size_t before, bool keep,
                       struct window *window, const char **why)
{
    const uintptr_t syscall = start_of(scan, index);

    *window = (struct window){start_of(scan, index - before), syscall, keep};
    if (keep) {
        if (window->end - window->start < JMP_BYTES)
            return false;
    } else {
        size_t last = index;
        while (window->end = start_of(scan, last + 1), window->end - window->start < JMP_BYTES) {
            if (++last == scan->starts.count || start_of(scan, last) >= scan->function.fde_end ||
                !can_move(scan, insn_at(scan, last))) {
                *why = "too little room around it";
                return false;
            }
        }
    }
    if (window->end - window->start > INTERCEPT_WINDOW_MAX ||
        syscall - window->start > STUB_BEFORE_MAX)
        return false;
    if (window->start < scan->patched_end || is_entered(scan, window)) {
        *why = "a branch leads into its surroundings";
        return false;
    }
    return true;
}

/* With other threads about: one instruction gives way to one, in one store, and a thread that
 * is in the call, or made to restart it, finds the syscall where it was. */
static bool is_atomic(const struct scan *scan, size_t index, const struct window *window)
{
    return window->keeps_syscall && index > 0 && start_of(scan, index - 1) == window->start &&
           (window->start & 7) + JMP_BYTES <= 8;
}

static bool choose_window(const struct scan *scan, size_t index, struct window *window,
                          const char **why)
{
    const uintptr_t syscall = start_of(scan, index);
    size_t most = 0; /* instructions that can move, up to those that suffice */

    *why = "too little room around it";
    while (most < index && syscall - start_of(scan, index - most) < JMP_BYTES &&
           can_move(scan, insn_at(scan, index - most - 1)))
        most++;

    if (try_window(scan, index, most, true, window, why)) {
        if (!scan->config->others || is_atomic(scan, index, window))
            return true;
    }
    if (scan->config->others) {
        *why = "it cannot be patched while other threads run";
        return false;
    }
    for (size_t before = most + 1; before-- > 0;)
        if (try_window(scan, index, before, false, window, why))
            return true;
    return false;
}

static bool is_wanted(const struct scan *scan, int32_t nr)
{
    const struct intercept_config *config = scan->config;
    int (*const want)(int, const char *, void *) = scan->is_vdso ? config->want_vdso : config->want;

    return nr != __NR_rt_sigreturn && (nr < 0 || !want || want(nr, scan->name, config->want_context) != INTERCEPT_NATIVE);
}

/* --- what was found when we were built ---------------------------------------------------- */

/* The object at hand. Where other threads run the choice is another. Nobody has looked at its text yet: apply.c. */
static const struct intercept_known *find_known(const struct scan *scan)
{
    const struct object *object = &scan->object;
    const struct intercept_known *known = scan->config->known;

    if (!known || !object->build_id || scan->config->others)
        return NULL;
    while (known->sites && memcmp(known->build_id, object->build_id, BUILD_ID_BYTES) != 0)
        known++;
    if (!known->sites || object->text_start - object->base != known->text_start || object->text_end - object->base != known->text_end)
        return NULL;
    return known;
}

static int plan_known(struct scan *scan, const struct intercept_known *known)
{
    struct intercept_report *report = scan->report;

    for (uint32_t i = 0; i < known->count; i++) {
        const struct intercept_known_site *from = &known->sites[i];
        report->sites++;
        report->unknown += from->nr < 0;
        if (!is_wanted(scan, from->nr)) {
            report->native++;
            continue;
        }
        struct intercept_site *site = vec_add(&scan->plan->sites, sizeof(*site));
        if (!site)
            return -ENOMEM;
        *site = (struct intercept_site){
            .window = scan->object.base + from->addr - from->before_len,
            .window_len = from->window_len,
            .before_len = from->before_len,
            .after_len = from->after_len,
            .nr = from->nr,
            .keeps_syscall = from->keeps_syscall,
            .flags = known->flags,
            .object = (const struct intercept_object *)scan->object_index,
        };
        memcpy(site->original, from->original, from->window_len);
        report->patched++;
        report->kept += from->keeps_syscall;
    }
    return 0;
}

/* --- sites, functions, objects ------------------------------------------------------------ */

static void plan_site(struct scan *scan, size_t index)
{
    struct intercept_report *report = scan->report;
    const uintptr_t syscall = start_of(scan, index);
    const int32_t nr = find_nr(scan, index);
    struct window window;
    const char *why;

    report->sites++;
    report->unknown += nr < 0;
    if (!is_wanted(scan, nr)) {
        report->native++;
        return;
    }
    if (!choose_window(scan, index, &window, &why)) {
        refuse(scan, syscall, nr, why);
        return;
    }

    struct intercept_site *site = vec_add(&scan->plan->sites, sizeof(*site));
    if (!site) {
        scan->rc = -ENOMEM;
        return;
    }
    const uintptr_t site_end = syscall + 2;
    *site = (struct intercept_site){
        .window = window.start,
        .window_len = (uint8_t)(window.end - window.start),
        .before_len = (uint8_t)(syscall - window.start),
        .after_len = (uint8_t)(window.end > site_end ? window.end - site_end : 0),
        .nr = (int16_t)nr,
        .keeps_syscall = window.keeps_syscall,
        /* an index until the array stops moving */
        .object = (const struct intercept_object *)scan->object_index,
    };
    memcpy(site->original, (const void *)window.start, site->window_len);
    scan->patched_end = window.end;
    report->patched++;
    report->kept += window.keeps_syscall;
}

/* Plans the candidates [first, last), all in the function at hand. */
static void plan_function(struct scan *scan, size_t first, size_t last)
{
    const uintptr_t *candidates = scratch.candidates.data;

    if (!decode_function(scan, candidates[last - 1])) {
        for (size_t i = first; i < last && !scan->rc; i++) {
            scan->report->sites++;
            refuse(scan, candidates[i], -1, "its function does not decode");
        }
        return;
    }
    const struct starts *starts = &scan->starts;
    scan->vex |= starts->vex;
    for (size_t i = 0; i < starts->look_count && first < last && !scan->rc; i++) {
        const size_t index = starts->look[i] & LOOK_INDEX;
        if ((starts->look[i] & LOOK_KIND) != LOOK_OTHER ||
            !(insn_at(scan, index)->flags & INSN_SYSCALL))
            continue;
        const uintptr_t bytes = start_of(scan, index + 1) - 2; /* where 0f 05 are */
        while (first < last && candidates[first] < bytes)
            first++;
        if (first == last || candidates[first] != bytes) /* plainly native */
            continue;
        if (bytes == start_of(scan, index)) {
            plan_site(scan, index);
        } else {
            scan->report->sites++;
            refuse(scan, bytes, -1, "it has a prefix");
        }
    }
}

static int find_candidates(struct scan *scan)
{
    bool sets_gs = false;
    for (unsigned i = 0; i < scan->object.text_count; i++) {
        const struct segment *text = &scan->object.text[i];
        /* Not MADV_POPULATE_READ: it looks at each page; a fault maps sixteen. */
        for (uintptr_t at = text->start; (at = segment_next_syscall(text, at, &sets_gs)); at += 2) {
            uintptr_t *candidate = vec_add(&scratch.candidates, sizeof(*candidate));
            if (!candidate)
                return -ENOMEM;
            *candidate = at;
        }
    }
    if (sets_gs && !scan->report->sets_gs[0])
        snprintf(scan->report->sets_gs, sizeof(scan->report->sets_gs), "%s", scan->name);
    return 0;
}

/* A site that needs no look at its function: `mov $nr, %eax` stands straight before it, the caller
 * does not want nr, and nothing that could be a branch leads to the syscall itself (which might
 * bring another number). Bytes are taken for branches wherever they look like one, so this says no
 * too often, never too rarely. */
static bool plainly_native(const struct scan *scan, uintptr_t at)
{
    int32_t nr;
    if (at < scan->object.text_start + 160 || at + 160 > scan->object.text_end ||
        *(const uint8_t *)(at - 5) != 0xb8 || object_is_target(&scan->object, at))
        return false;
    memcpy(&nr, (const void *)(at - 4), 4);
    if (nr < 0 || is_wanted(scan, nr))
        return false;
    return !object_short_branch(at - 129, at + 131, at, at + 1);
}

static int plan_range(struct scan *scan, size_t first)
{
    const struct intercept_site *sites = scan->plan->sites.data;
    const size_t count = scan->plan->sites.count;

    for (unsigned i = 0; i < scan->object.text_count; i++) {
        const struct segment *text = &scan->object.text[i];
        size_t end = first;
        while (end < count && site_addr(&sites[end]) >= text->start && site_addr(&sites[end]) < text->end)
            end++;
        if (end == first)
            continue;
        struct text_range *range = vec_add(&scan->plan->ranges, sizeof(*range));
        if (!range)
            return -ENOMEM;
        *range = (struct text_range){.start = ALIGN_DOWN(text->start, PAGE_SIZE),
                                     .end = ALIGN_UP(text->end, PAGE_SIZE),
                                     .prot = text->prot,
                                     .first = first,
                                     .count = end - first,
                                     .vdso = scan->is_vdso};
        first = end;
    }
    return 0;
}

/* Is one of the candidates a system call, or can it not be told? Large objects have some `0f 05` that are none, and all that follows
 * looks at the whole text. */
static bool any_syscall(struct scan *scan)
{
    const uintptr_t *candidates = scratch.candidates.data;
    const size_t count = scratch.candidates.count;

    for (size_t i = 0; i < count;) {
        if (!object_find_function(&scan->object, candidates[i], &scan->function))
            return true;
        size_t last = i + 1;
        while (last < count && candidates[last] < scan->function.end)
            last++;
        if (!decode_text(scan, candidates[last - 1]))
            return true;
        const struct starts *starts = &scan->starts;
        for (size_t k = 0; k < starts->look_count; k++)
            if ((starts->look[k] & LOOK_KIND) == LOOK_OTHER && (insn_at(scan, starts->look[k] & LOOK_INDEX)->flags & INSN_SYSCALL))
                return true;
        i = last;
    }
    return false;
}

static void plan_object(struct scan *scan)
{
    struct object *object = &scan->object;
    const size_t first_site = scan->plan->sites.count;

    scratch.candidates.count = 0;
    scan->patched_end = 0;
    scan->vex = false;
    if (object->text_end - object->text_start > TEXT_MAX ||
        object->end - object->start > OBJECT_MAX) {
        scan->report->skipped++;
        return;
    }
    const struct intercept_known *known = find_known(scan);
    if (known) {
        scan->rc = plan_known(scan, known);
        if (!scan->rc)
            scan->rc = plan_range(scan, first_site);
        return;
    }
    scan->rc = find_candidates(scan);
    if (scan->rc || !scratch.candidates.count || (!scan->critical && !any_syscall(scan)))
        return;
    scan->rc = object_clear_near(object, &scratch.near);
    if (scan->rc)
        return;

    uintptr_t *candidates = scratch.candidates.data;
    size_t count = scratch.candidates.count, kept = 0;
    for (size_t i = 0; i < count; i++)
        object_mark_near(object, candidates[i]);
    scan->rc = object_clear_targets(object, &scratch.targets);
    if (scan->rc)
        return;
    object_mark_rel32(object);
    for (size_t i = 0; i < count; i++) {
        if (plainly_native(scan, candidates[i])) {
            scan->report->sites++;
            scan->report->native++;
        } else
            candidates[kept++] = candidates[i];
    }
    count = scratch.candidates.count = kept;

    for (size_t i = 0, last; i < count && !scan->rc; i = last) {
        last = i + 1;
        if (!object_find_function(object, candidates[i], &scan->function)) {
            /* Code without unwind information, or data: who knows. */
            scan->report->sites++;
            refuse(scan, candidates[i], -1, "no function is known there");
            continue;
        }
        while (last < count && candidates[last] < scan->function.end)
            last++;
        plan_function(scan, i, last);
    }
    struct intercept_site *sites = scan->plan->sites.data;
    for (size_t i = first_site; scan->critical && !scan->vex && i < scan->plan->sites.count; i++)
        sites[i].flags = STUB_SSE_ONLY;
    if (!scan->rc)
        scan->rc = plan_range(scan, first_site);
}

static bool same_object(const struct intercept_plan *plan, const struct intercept_object *known,
                        size_t index, uintptr_t base, const char *name)
{
    if (known->base != base || strcmp(known->name, name))
        return false;
    /* Unloaded and loaded again at the same place, the text is fresh. */
    const struct intercept_site *sites = plan->sites.data;
    const struct intercept_object *objects = plan->objects.data;
    for (size_t i = 0; i < plan->sites.count; i++)
        if (sites[i].object == &objects[index])
            return *(const uint8_t *)sites[i].window == 0xe9;
    return true;
}

static bool is_known(uintptr_t base, const char *name)
{
    for (const struct intercept_plan *plan = intercept_applied; plan; plan = plan->next) {
        const struct intercept_object *objects = plan->objects.data;
        for (size_t i = 0; i < plan->objects.count; i++)
            if (same_object(plan, &objects[i], i, base, name))
                return true;
    }
    return false;
}

/* Already planned, by this scan: it began again for libZydis. */
static bool is_planned(const struct scan *scan)
{
    const struct intercept_object *objects = scan->plan->objects.data;
    const char *names = scan->plan->names.data;

    for (size_t i = 0; i < scan->plan->objects.count; i++)
        if (objects[i].base == scan->object.base &&
            !strcmp(names + (uintptr_t)objects[i].name, scan->name))
            return true;
    return false;
}

static int add_object(struct scan *scan)
{
    const size_t length = strlen(scan->name) + 1, at = scan->plan->names.count;

    for (size_t i = 0; i < length; i++) {
        char *c = vec_add(&scan->plan->names, 1);
        if (!c)
            return -ENOMEM;
        *c = scan->name[i];
    }
    struct intercept_object *object = vec_add(&scan->plan->objects, sizeof(*object));
    if (!object)
        return -ENOMEM;
    *object = (struct intercept_object){.base = scan->object.base,
                                        .start = scan->object.start,
                                        .end = scan->object.end,
                                        .name = (const char *)at, /* until the array rests */
                                        .critical = scan->critical,
                                        .vdso = scan->is_vdso};
    scan->object_index = scan->plan->objects.count - 1;
    return 0;
}

/* libZydis and libZycore must not be patched under their own feet; the shim calls the kernel
 * for itself. */
static bool is_excluded(const struct scan *scan)
{
    const struct object *object = &scan->object;
    const uintptr_t self = (uintptr_t)&intercept_scan;
    const char *name = base_name(scan->name);

    if (scan->is_vdso)
        return false;
    return (self >= object->start && self < object->end) ||
           starts_with(name, "linux-vdso.") || starts_with(name, "libZydis.so") ||
           starts_with(name, "libZycore.so");
}

static int on_object(struct dl_phdr_info *info, size_t size, void *context)
{
    struct scan *scan = context;

    (void)size;
    if (!object_init(&scan->object, info))
        return 0;
    scan->name = scan->object.name && *scan->object.name ? scan->object.name : NO_OBJECT_NAME;
    scan->critical = is_critical(scan->name);
    scan->is_vdso = scan->vdso && scan->object.base == scan->vdso;
    if (is_excluded(scan) || is_planned(scan) || is_known(scan->object.base, scan->name))
        return 0;

    struct intercept_plan *plan = scan->plan;
    struct intercept_report *const whole = scan->report;
    const struct intercept_report report = *whole;
    const size_t objects = plan->objects.count, names = plan->names.count;
    const size_t sites = plan->sites.count, ranges = plan->ranges.count;
    const bool critical = scan->reason_is_critical;

    scan->rc = add_object(scan);
    if (!scan->rc && scan->is_vdso) {
        scan->report = &scan->vdso_report;
        plan_object(scan);
        scan->report = whole;
    } else if (!scan->rc) {
        scan->report->objects++;
        plan_object(scan);
    }
    if (decode_wanted_zydis() && !scan->rc) {
        /* As if this object had not been met. libZydis cannot be opened here: dl_iterate_phdr holds
         * a lock of ld.so's. */
        *scan->report = report;
        plan->objects.count = objects;
        plan->names.count = names;
        plan->sites.count = sites;
        plan->ranges.count = ranges;
        scan->reason_is_critical = critical;
        scan->rc = -EAGAIN;
    }
    return scan->rc != 0;
}

/* The arrays have stopped growing: turn indexes into pointers. */
static void plan_link(struct intercept_plan *plan)
{
    struct intercept_object *objects = plan->objects.data;
    struct intercept_site *sites = plan->sites.data;

    for (size_t i = 0; i < plan->objects.count; i++)
        objects[i].name = (const char *)plan->names.data + (uintptr_t)objects[i].name;
    for (size_t i = 0; i < plan->sites.count; i++)
        sites[i].object = &objects[(uintptr_t)sites[i].object];
}

int intercept_scan(const struct intercept_config *config, struct intercept_plan **plan,
                   struct intercept_report *report)
{
    struct insn insns[INSNS] = {0};
    struct scan scan = {
        .config = config, .report = report, .vdso = config->vdso_entry ? getauxval(AT_SYSINFO_EHDR) : 0, .insns = insns};
    const char *reason = NULL;

    *plan = NULL;
    *report = (struct intercept_report){0};
    scratch_begin();
    scan.plan = arena_take(sizeof(*scan.plan), sizeof(*scan.plan));
    if (!scan.plan) {
        scan.rc = -ENOMEM;
        goto out;
    }
    scan.plan->others = config->others;
    scan.plan->objects = (struct vec){scan.plan->few_objects, 0, sizeof(scan.plan->few_objects), true};
    scan.plan->ranges = (struct vec){scan.plan->few_ranges, 0, sizeof(scan.plan->few_ranges), true};
    scan.plan->names = (struct vec){scan.plan->few_names, 0, sizeof(scan.plan->few_names), true};
    if (!intercept_applied && config->known) { /* what comes is known to be many */
        size_t most = 0;
        for (const struct intercept_known *known = config->known; known->sites; known++)
            most += known->count * sizeof(struct intercept_site);
        vec_lend(&scan.plan->sites, arena_take(most, most), most);
    }
    decode_wanted_zydis();
    while (dl_iterate_phdr(on_object, &scan), scan.rc == -EAGAIN) {
        scan.rc = decode_open(config->dlopen, &reason);
        if (scan.rc && scan.is_vdso) { /* which may stay as it is */
            snprintf(report->vdso, sizeof(report->vdso), "%s", reason);
            reason = NULL;
            scan.vdso = 0;
            scan.rc = 0;
        }
        if (scan.rc)
            break;
    }
    if (!report->vdso[0] && scan.vdso_report.reason[0])
        snprintf(report->vdso, sizeof(report->vdso), "%s", scan.vdso_report.reason);
    if (!scan.rc) {
        plan_link(scan.plan);
        scan.rc = stubs_build(scan.plan, config);
    }
out:
    if (scan.rc)
        snprintf(report->reason, sizeof(report->reason), "%s",
                 reason                                ? reason
                 : scan.plan && scan.plan->sites.count ? "no memory near an object for its stubs"
                                                       : "no memory for the plan");
    scratch_free();
    if (scan.rc || !scan.plan->objects.count) {
        intercept_undo_plan(scan.plan);
        return scan.rc;
    }
    *plan = scan.plan;
    return 0;
}
