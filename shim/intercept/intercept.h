/* Redirects `syscall` instructions of loaded objects to stubs.
 *
 * Words
 *   site     a `syscall` instruction in the text of a loaded object
 *   window   the whole instructions at a site that a 5-byte jmp overwrites
 *   stub     the code the jmp leads to; see stub_layout.h
 *   entry    the one routine that all stubs jump to; the caller of this module
 *            supplies it
 *   plan     what a scan has decided and prepared but not yet written
 *
 * Patching is done in two steps because libc patches badly under its own feet:
 * intercept_scan() decides everything, allocates and writes the stubs, and may
 * use libc; intercept_apply() makes text writable, stores jumps and makes it
 * executable again, and uses nothing but raw system calls.
 *
 * What is never guessed: a site is patched only where the function around it
 * is known (.eh_frame), decodes from its start without a hole, and no branch
 * that can be seen enters the window: relative branches of the same function,
 * of its neighbours, rel32 branches of the whole object (cold parts), switch
 * tables and landing pads. Everything else stays native and is counted.
 *
 * Context of all but the look-ups: ordinary code on a program's stack, not in a
 * signal handler; one call at a time (the caller holds a lock from scan to apply). */
#ifndef HANDOFF_INTERCEPT_H
#define HANDOFF_INTERCEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stub_layout.h"

/* Two 4-byte instructions short of the jmp, the syscall, and the longest instruction. */
#define INTERCEPT_WINDOW_MAX 26

typedef enum {
    INTERCEPT_NATIVE = 0, /* leave the site as it is: costs nothing */
    INTERCEPT_PATCH = 1,
} intercept_decision;

struct intercept_object {
    uintptr_t base;       /* load bias, as dl_iterate_phdr gives it */
    uintptr_t start, end; /* all that is mapped of it */
    const char *name;     /* as dl_iterate_phdr gives it; "[exe]" for the executable */
    bool critical;        /* libc, libpthread or ld.so */
    bool vdso;
};

/* Constant once the plan it belongs to is applied; lives as long as the process. */
struct intercept_site {
    uintptr_t window; /* first overwritten byte */
    uintptr_t stub;   /* start of the stub, its literals included; 0: it has none, and the site stays as it is */
    const struct intercept_object *object;
    int16_t nr;            /* number known from the code before the site, or -1 */
    uint8_t keeps_syscall; /* the instruction itself stayed in place */
    uint8_t window_len;    /* bytes overwritten */
    uint8_t before_len;    /* displaced bytes that stood before the syscall */
    uint8_t after_len;     /* displaced bytes that stood after it; none where it is kept */
    uint8_t flags;         /* STUB_SSE_ONLY */
    uint8_t original[INTERCEPT_WINDOW_MAX];
};

/* Of the `syscall`. */
static inline uintptr_t site_addr(const struct intercept_site *site)
{
    return site->window + site->before_len;
}
/* Where the jmp leads. */
static inline uintptr_t site_code(const struct intercept_site *site)
{
    return site->stub + STUB_ENTER - site->before_len;
}
/* The call is done from here on. */
static inline uintptr_t site_after(const struct intercept_site *site)
{
    return site->stub + STUB_AFTER;
}
/* Where execution goes on after the call: behind the syscall, or in the stub where that is displaced, and perhaps
 * instructions that followed it. (Not into the window: that is an instruction's start only where the syscall stayed.) */
static inline uintptr_t site_resume(const struct intercept_site *site)
{
    return site->keeps_syscall ? site_addr(site) + 2 : site_after(site);
}
/* One past the stub's last byte. */
static inline uintptr_t site_stub_end(const struct intercept_site *site)
{
    return site_after(site) + (site->keeps_syscall ? 0 : site->after_len + 5u);
}

/* What a scan found in an object when handoff was built (make_known.c), so that it need not be found again in the first
 * pthread_create of every process. Offsets from the load bias. The list ends with an entry whose `sites` is NULL. */
struct intercept_known_site {
    uint32_t addr;
    int16_t nr; /* or -1 */
    uint8_t window_len, before_len, after_len, keeps_syscall;
    uint8_t original[INTERCEPT_WINDOW_MAX];
};
struct intercept_known {
    uint8_t build_id[20];
    uint8_t flags; /* of its stubs */
    uint32_t text_start, text_end, count;
    const struct intercept_known_site *sites; /* all of its; those of rt_sigreturn last, the others by address */
};
extern const struct intercept_known known_objects[]; /* of the machine on which handoff was built */

struct intercept_config {
    uintptr_t entry;
    /* Objects that need no search if they are these, by build id; intercept_apply looks at the bytes. NULL: none. */
    const struct intercept_known *known;
    /* Asked for each site whose number is known: intercept_decision. Sites whose
     * number is not known are always patched, rt_sigreturn never. NULL: patch all. */
    int (*want)(int nr, const char *object, void *context);
    void *want_context;
    /* The process has other threads. Only windows of one instruction that keep
     * their syscall and can be replaced by one aligned 8-byte store are then used;
     * text stays executable meanwhile. All other sites count as refused, which in
     * libc makes the plan critical. */
    bool others;
    /* For the sites of the vDSO, which `want_vdso` is asked for. 0: it is left alone. */
    uintptr_t vdso_entry;
    int (*want_vdso)(int nr, const char *object, void *context);
    /* How to open libZydis: dlopen when NULL. For a caller that interposes dlopen. */
    void *(*dlopen)(const char *file, int flags);
};

struct intercept_report {
    unsigned objects;  /* objects looked at */
    unsigned skipped;  /* of these, not searched: text too large or without index */
    unsigned sites;    /* syscall instructions found */
    unsigned patched;  /* planned or patched */
    unsigned native;   /* left alone because `want` said so, or rt_sigreturn */
    unsigned refused;  /* wanted, but cannot be patched safely */
    unsigned unknown;  /* sites whose number is not known */
    unsigned kept;     /* of `patched`: the syscall stays in place */
    unsigned critical; /* of `refused`: those in libc, libpthread or ld.so */
    char reason[256];  /* the first refusal (a critical one wins), or the error; "" if none */
    char vdso[256];    /* why the vDSO stays as it is, which the other numbers leave out; "" if it does not */
    char sets_gs[64];  /* the first object with a wrgsbase in its text: the GS base is ours; "" if none */
};

struct intercept_plan;

/* Plans all objects that no applied plan covers yet. A refusal is no error: the
 * caller looks at report->critical. *plan is NULL when there is no
 * new object; a plan without sites is to be applied too: it remembers its objects.
 * pre: none of the objects can be unloaded before apply.
 * Errors: -ENOSYS no libZydis, and there is code that only it can decode; -ENOMEM no memory, or
 * none within 2 GiB of an object. */
int intercept_scan(const struct intercept_config *config, struct intercept_plan **plan,
                   struct intercept_report *report);

/* Patches. All or nothing: on error the text is as before and the plan still the
 * caller's. On success the plan belongs to this module for good. The vDSO, which the kernel may refuse to have written to,
 * may stay as it is: report->vdso.
 * Errors: those of mprotect(2), with report->reason filled in; -ESTALE: the text is not what config->known says. */
int intercept_apply(struct intercept_plan *plan, struct intercept_report *report);

/* Frees a plan that was not applied. NULL is allowed. */
void intercept_undo_plan(struct intercept_plan *plan);

/* Puts the original bytes back (for an activation that fails later, and for tests).
 * The stubs stay mapped: somebody may still be in them. pre: applied; no other threads.
 * Errors: those of mprotect(2). */
int intercept_revert(struct intercept_plan *plan);

/* The site whose stub holds pc, or NULL. Signal-safe, lock-free, any thread. */
const struct intercept_site *intercept_find(uintptr_t pc);
bool intercept_in_stubs(uintptr_t pc);

/* Sites of a plan, in no particular order; for reports and tests. */
size_t intercept_plan_sites(const struct intercept_plan *plan, const struct intercept_site **sites);

/* Calls `line` with one line of text per planned site. */
void intercept_dump(const struct intercept_plan *plan,
                    void (*line)(const char *text, void *context), void *context);

#endif
