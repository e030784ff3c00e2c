/* shim/intercept: every `syscall` of libc and ld.so is found and redirected, and libc works on.
 *
 * HANDOFF_TEST_SITES=1 prints the table of sites. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <criterion/criterion.h>

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../shim/intercept/decode.h"
#include "../../shim/intercept/intercept.h"
#include "../../shim/intercept/object.h"

extern char **environ;

/* --- the smallest possible entry: count, do the call, go on where the stub says ------------- */

void test_entry(void);
unsigned long test_entry_calls;

__asm__(".text\n"
        ".globl test_entry\n"
        ".hidden test_entry\n"
        ".type test_entry, @function\n"
        "test_entry:\n"
        "    lock incq test_entry_calls(%rip)\n"
        "    lea -128(%rsp), %rsp\n"
        "    push (%r11)\n"
        "    syscall\n"
        "    pop %rcx\n"
        "    lea 128(%rsp), %rsp\n"
        "    jmp *%rcx\n"
        ".size test_entry, . - test_entry\n");
_Static_assert(STUB_RESUME == 0, "test_entry");

/* A process made with a new stack, or sharing its parent's frame, cannot return through
 * this entry: it has the wrong stack, or the parent's. */
static int want_all_but_clone(int nr, const char *object, void *context)
{
    (void)object;
    (void)context;
    return nr == SYS_clone || nr == SYS_clone3 || nr == SYS_vfork || nr == SYS_fork
               ? INTERCEPT_NATIVE
               : INTERCEPT_PATCH;
}

static const struct intercept_config config = {.entry = (uintptr_t)test_entry,
                                               .want = want_all_but_clone};
static const struct intercept_config config_all = {.entry = (uintptr_t)test_entry};

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void print_report(const char *title, const struct intercept_report *r)
{
    fprintf(stderr,
            "%s: %u objects (%u skipped), %u sites: %u patched (%u keep the syscall), %u native, "
            "%u refused (%u critical), %u of unknown number; %s\n",
            title, r->objects, r->skipped, r->sites, r->patched, r->kept, r->native, r->refused,
            r->critical, r->unknown, r->reason);
}

static void print_line(const char *text, void *context)
{
    (void)context;
    fprintf(stderr, "%s\n", text);
}

/* Criterion's messages are sent by a thread of libnanomsg. While libc is not executable it must not
 * run: wait until it has sent what there was and sleeps. Only we would wake it. */
static void wait_until_alone(void)
{
    bool asleep;
    do {
        DIR *tasks = opendir("/proc/self/task");
        cr_assert_not_null(tasks);
        asleep = true;
        for (struct dirent *task; (task = readdir(tasks));) {
            char path[300], line[256] = "";
            if (task->d_name[0] == '.' || atoi(task->d_name) == gettid())
                continue;
            snprintf(path, sizeof(path), "/proc/self/task/%s/stat", task->d_name);
            FILE *f = fopen(path, "r");
            if (!f)
                continue;
            const char *state = fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
            asleep = asleep && state && state[2] == 'S';
            fclose(f);
        }
        closedir(tasks);
        sched_yield();
    } while (!asleep);
}

static struct intercept_plan *patch(const struct intercept_config *c)
{
    struct intercept_report report;
    struct intercept_plan *plan;

    const double start = now_us();
    cr_assert_eq(intercept_scan(c, &plan, &report), 0, "%s", report.reason);
    const double scanned = now_us();
    cr_assert_eq(report.critical, 0, "%s", report.reason);
    wait_until_alone();
    cr_assert_eq(intercept_apply(plan, &report), 0, "%s", report.reason);
    const double applied = now_us();
    print_report("patched", &report);
    fprintf(stderr, "scan %.0f us, apply %.0f us\n", scanned - start, applied - scanned);
    return plan;
}

static size_t count_in(const struct intercept_plan *plan, const char *part)
{
    const struct intercept_site *sites;
    const size_t count = intercept_plan_sites(plan, &sites);
    size_t found = 0;

    for (size_t i = 0; i < count; i++)
        found += strstr(sites[i].object->name, part) != NULL;
    return found;
}

static long count_by_objdump(const char *path)
{
    char command[256];
    long count = -1;

    snprintf(command, sizeof(command), "objdump -d %s 2>/dev/null | grep -cP '\\tsyscall'", path);
    FILE *f = popen(command, "r");
    if (f) {
        if (fscanf(f, "%ld", &count) != 1)
            count = -1;
        pclose(f);
    }
    return count;
}

/* --- scanning ------------------------------------------------------------------------------ */

Test(intercept, scan_finds_every_site_that_objdump_finds)
{
    struct intercept_report report;
    struct intercept_plan *plan;

    cr_assert_eq(intercept_scan(&config_all, &plan, &report), 0, "%s", report.reason);
    print_report("planned", &report);
    if (getenv("HANDOFF_TEST_SITES"))
        intercept_dump(plan, print_line, NULL);
    cr_expect_eq(report.critical, 0, "%s", report.reason);

    const long libc = count_by_objdump("/lib/x86_64-linux-gnu/libc.so.6");
    const long ld = count_by_objdump("/lib64/ld-linux-x86-64.so.2");
    if (libc > 0 && ld > 0) {
        /* one in each is rt_sigreturn; what objdump takes for one in data is none */
        cr_expect_eq((long)count_in(plan, "/libc.so.6"), libc - 1);
        const long patched = (long)count_in(plan, "/ld-linux-x86-64.so.2");
        cr_expect(patched == ld || patched == ld - 1, "%ld of %ld", patched, ld);
    }
    intercept_undo_plan(plan);
}

Test(intercept, most_numbers_are_known)
{
    struct intercept_report report;
    struct intercept_plan *plan;

    cr_assert_eq(intercept_scan(&config_all, &plan, &report), 0, "%s", report.reason);
    cr_expect_lt(report.unknown * 10, report.sites);
    intercept_undo_plan(plan);
}

/* Runs both decoders over a segment as if it were one function: from each instruction
 * to the next, one byte on where there is none. */
static void compare_decoders(uintptr_t start, uintptr_t end, const char *name, size_t *count)
{
    for (uintptr_t at = start; at < end;) {
        struct insn quick, exact;
        if (!decode_exact(at, end, &exact)) { /* the quick one need not notice */
            at++;
            continue;
        }
        cr_assert(decode_insn(at, end, &quick));
        cr_assert_eq(quick.length, exact.length, "%s at %lx", name, at - start);
        cr_assert_eq(quick.flags, exact.flags, "%s at %lx: %x %x", name, at - start, quick.flags,
                     exact.flags);
        cr_assert_eq(quick.disp, exact.disp, "%s at %lx", name, at - start);
        cr_assert_eq(quick.disp32, exact.disp32, "%s at %lx", name, at - start);
        cr_assert_eq(quick.target, exact.target, "%s at %lx", name, at - start);
        cr_assert_eq(quick.modrm, exact.modrm, "%s at %lx", name, at - start);
        cr_assert_eq(quick.rex, exact.rex, "%s at %lx", name, at - start);
        cr_assert_eq(quick.map, exact.map, "%s at %lx", name, at - start);
        cr_assert(decode_writes_rax(&exact) || !decode_exact_writes_rax(&exact), "%s at %lx", name,
                  at - start);
        ++*count;
        at += exact.length;
    }
}

static int compare_object(struct dl_phdr_info *info, size_t size, void *count)
{
    (void)size;
    if (strstr(info->dlpi_name, "vdso"))
        return 0;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *phdr = &info->dlpi_phdr[i];
        const uintptr_t start = info->dlpi_addr + phdr->p_vaddr;
        if (phdr->p_type == PT_LOAD && (phdr->p_flags & PF_X))
            compare_decoders(start, start + phdr->p_filesz, info->dlpi_name, count);
    }
    return 0;
}

Test(intercept, quick_decoder_agrees_with_libzydis)
{
    const char *reason;
    size_t count = 0;

    cr_assert_eq(decode_open(NULL, &reason), 0);
    dl_iterate_phdr(compare_object, &count);
    fprintf(stderr, "%zu instructions decode alike\n", count);
    cr_expect_gt(count, 100000);
}

/* What the walk hands out to look at, and why, by the decoder. Jumps of 32 bits are left to
 * object_mark_rel32. */
static bool is_worth_a_look(const struct insn *insn)
{
    const bool jmp = (insn->map == 0 && insn->opcode == 0xe9) ||
                     (insn->map == 1 && (insn->opcode & 0xf0) == 0x80);

    return (insn->flags & (INSN_SYSCALL | INSN_SWITCH)) || ((insn->flags & INSN_RELATIVE) && !jmp);
}

/* Returns where it stopped. */
static uintptr_t compare_walk(uintptr_t start, uintptr_t end, struct starts *starts)
{
    struct insn insn;
    uintptr_t at = start;
    size_t looked = 0;
    int32_t disp;

    decode_starts(start, end, end, starts);
    for (size_t i = 0; i < starts->count; i++, at += insn.length) {
        cr_assert_eq(start + starts->at[i], at);
        cr_assert(decode_insn(at, end, &insn));
        if (looked == starts->look_count || (starts->look[looked] & LOOK_INDEX) != i) {
            cr_assert_not(is_worth_a_look(&insn), "at %lx", at);
            continue;
        }
        switch (starts->look[looked++] & LOOK_KIND) {
        case LOOK_REL8:
            cr_assert_eq(insn.target,
                         at + insn.length + (uintptr_t)(intptr_t)((int8_t *)at)[insn.length - 1]);
            break;
        case LOOK_CALL:
            memcpy(&disp, (void *)(at + insn.length - 4), 4);
            cr_assert_eq(insn.target, at + insn.length + (uintptr_t)(intptr_t)disp);
            break;
        default:
            break;
        }
    }
    cr_assert_eq(looked, starts->look_count);
    cr_assert_eq(start + starts->at[starts->count], at);
    return at;
}

static int walk_object(struct dl_phdr_info *info, size_t size, void *context)
{
    size_t *count = context;

    (void)size;
    if (strstr(info->dlpi_name, "vdso"))
        return 0;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *phdr = &info->dlpi_phdr[i];
        const uintptr_t end = info->dlpi_addr + phdr->p_vaddr + phdr->p_filesz;
        if (phdr->p_type != PT_LOAD || !(phdr->p_flags & PF_X))
            continue;
        struct starts starts = {.at = malloc((phdr->p_filesz + 1) * 4),
                                .look = malloc((phdr->p_filesz + 1) * 4)};
        for (uintptr_t at = end - phdr->p_filesz; at < end; at++) {
            at = compare_walk(at, end, &starts);
            *count += starts.count;
        }
        free(starts.at);
        free(starts.look);
    }
    return 0;
}

Test(intercept, walk_agrees_with_the_decoder)
{
    const char *reason;
    size_t count = 0;

    cr_assert_eq(decode_open(NULL, &reason), 0);
    dl_iterate_phdr(walk_object, &count);
    cr_expect_gt(count, 100000);
}

/* --- branches in raw bytes ------------------------------------------------------------------ */

static uintptr_t naive_short_branch(uintptr_t from, uintptr_t to, uintptr_t low, uintptr_t high)
{
    for (uintptr_t at = from; at + 2 <= to; at++) {
        const uint8_t *p = (const uint8_t *)at;
        const uintptr_t target = at + 2 + (uintptr_t)(intptr_t)(int8_t)p[1];
        if (((p[0] >= 0x70 && p[0] <= 0x7f) || (p[0] >= 0xe0 && p[0] <= 0xe3) || p[0] == 0xeb) &&
            target >= low && target < high)
            return at;
    }
    return 0;
}

Test(intercept, short_branches_are_found_in_raw_bytes)
{
    static uint8_t bytes[600];
    unsigned seed = 1, found = 0;

    for (unsigned round = 0; round < 20000; round++) {
        for (size_t i = 0; i < sizeof(bytes); i++) {
            seed = seed * 1103515245 + 12345;
            bytes[i] = seed & 0x10000 ? (seed & 0x20000 ? 0xeb : 0x74) : (uint8_t)(seed >> 20);
        }
        const uintptr_t from = (uintptr_t)bytes + round % 64, to = from + round % 300,
                        low = from + (round * 7) % 500;
        const uintptr_t expected = naive_short_branch(from, to, low, low + 1 + round % 26);
        cr_assert_eq(object_short_branch(from, to, low, low + 1 + round % 26), expected);
        found += expected != 0;
    }
    cr_expect(found > 1000 && found < 19000, "%u", found);
}

/* Every displacement of 32 bits that could be a branch's, wherever it stands in libc, is recorded,
 * and nothing else. */
static int mark_libc(struct dl_phdr_info *info, size_t size, void *context)
{
    static struct object object;
    static struct vec memory[2];
    size_t *marked = context, near = 0;
    bool sets_gs = false;

    (void)size;
    if (!strstr(info->dlpi_name, "/libc.so.6") || !object_init(&object, info))
        return 0;
    const uintptr_t text = object.text_start, end = object.text_end;
    uint8_t *naive = calloc(1, end - text);
    cr_assert_eq(object.text_count, 1);
    cr_assert_eq(object_clear_near(&object, &memory[0]), 0);
    for (uintptr_t at = text; (at = segment_next_syscall(&object.text[0], at, &sets_gs)); at += 2, near++)
        object_mark_near(&object, at);
    cr_assert_gt(near, 100);
    cr_assert_eq(object_clear_targets(&object, &memory[1]), 0);
    object_mark_rel32(&object);
    for (const uint8_t *p = (const uint8_t *)text; p + 6 <= (const uint8_t *)end; p++) {
        int32_t disp;
        const uint8_t *at = p + 1 + (*p == 0x0f);
        if (*p != 0xe9 && (*p != 0x0f || p[1] >> 4 != 8))
            continue;
        memcpy(&disp, at, 4);
        const uintptr_t target = (uintptr_t)at + 4 + (uintptr_t)(intptr_t)disp;
        if (target >= text && target < end)
            naive[target - text] = 1;
    }
    for (uintptr_t at = text; at < end; at++) {
        if (object_is_target(&object, at)) {
            cr_assert(naive[at - text], "%lx", at - text);
            ++*marked;
        } else if (naive[at - text]) {
            object_mark_target(&object, at); /* not recorded, since not near */
            cr_assert_not(object_is_target(&object, at), "%lx", at - text);
        }
    }
    for (uintptr_t at = text; (at = segment_next_syscall(&object.text[0], at, &sets_gs)); at += 2)
        for (uintptr_t around = at - NEAR_BEFORE; around < at + NEAR_AFTER; around++) {
            object_mark_target(&object, around);
            cr_assert(object_is_target(&object, around));
        }
    free(naive);
    return 1;
}

Test(intercept, system_calls_and_wrgsbase_are_found_in_raw_bytes)
{
    static const uint8_t sets[][5] = {{0xf3, 0x48, 0x0f, 0xae, 0xd8}, {0xf3, 0x49, 0x0f, 0xae, 0xdf}, {0x90, 0xf3, 0x0f, 0xae, 0xd9}};
    static const uint8_t others[][5] = {
        {0xf3, 0x48, 0x0f, 0xae, 0xd0 /* wrfsbase */}, {0xf3, 0x48, 0x0f, 0xae, 0xc8 /* rdgsbase */},
        {0x90, 0x48, 0x0f, 0xae, 0xd8 /* none */},     {0x90, 0x90, 0x0f, 0xae, 0xf8 /* sfence */}};
    uint8_t text[400];
    const struct segment segment = {.start = (uintptr_t)text, .end = (uintptr_t)text + sizeof text};
    for (size_t at = 0; at + 5 <= sizeof text; at++) {
        for (int i = 0; i < 7; i++) {
            bool sets_gs = false;
            memset(text, 0x90, sizeof text);
            memcpy(text + at, i < 3 ? sets[i] : others[i - 3], 5);
            cr_assert_eq(segment_next_syscall(&segment, segment.start, &sets_gs), 0);
            cr_assert_eq(sets_gs, i < 3, "%d at %zu", i, at);
        }
        bool sets_gs = false;
        memset(text, 0x90, sizeof text);
        memcpy(text + at, "\x0f\xae\xf8\x0f\x05", 5);
        cr_assert_eq(segment_next_syscall(&segment, segment.start, &sets_gs), (uintptr_t)text + at + 3);
        cr_assert_eq(segment_next_syscall(&segment, segment.start + at + 4, &sets_gs), 0);
        cr_assert_not(sets_gs);
    }
}

Test(intercept, long_branches_are_found_in_raw_bytes)
{
    size_t marked = 0;

    cr_assert_eq(dl_iterate_phdr(mark_libc, &marked), 1);
    cr_expect_gt(marked, 100);
}

/* --- libZydis on demand ----------------------------------------------------------------------- */

static unsigned opened;

static void *count_dlopen(const char *file, int flags)
{
    opened++;
    return dlopen(file, flags);
}

static void *no_dlopen(const char *file, int flags)
{
    (void)file;
    (void)flags;
    opened++;
    return NULL;
}

Test(intercept, zydis_is_opened_when_an_instruction_needs_it)
{
    struct intercept_config c = config;
    struct intercept_report without, first, again;
    struct intercept_plan *plan;
    const struct intercept_site *sites;
    size_t found = 0;

    c.dlopen = count_dlopen;
    cr_assert_eq(intercept_scan(&c, &plan, &without), 0, "%s", without.reason);
    cr_expect_eq(opened, 0, "libc and what else is here should not need it");
    intercept_undo_plan(plan);

    char *lib = dlopen(NEEDS_ZYDIS, RTLD_NOW);
    cr_assert_not_null(lib, "%s", dlerror());
    const uintptr_t function = (uintptr_t)dlsym(lib, "needs_zydis");
    cr_assert_eq(intercept_scan(&c, &plan, &first), 0, "%s", first.reason);
    cr_expect_eq(opened, 1);
    const size_t count = intercept_plan_sites(plan, &sites);
    for (size_t i = 0; i < count; i++)
        found += site_addr(&sites[i]) - function < 16 && sites[i].nr == SYS_getppid;
    cr_expect_eq(found, 1);
    intercept_undo_plan(plan);

    /* the object at which it began again is not there twice, nor is any */
    cr_assert_eq(intercept_scan(&c, &plan, &again), 0, "%s", again.reason);
    cr_expect_eq(opened, 1);
    cr_expect_eq(memcmp(&first, &again, sizeof(first)), 0);
    cr_expect_eq(first.objects, without.objects + 1);
    cr_expect_eq(first.sites, without.sites + 1);
    cr_expect_eq(first.patched, without.patched + 1);
    intercept_undo_plan(plan);
}

Test(intercept, without_zydis_the_scan_says_so)
{
    struct intercept_config c = config;
    struct intercept_report report;
    struct intercept_plan *plan;

    cr_assert_not_null(dlopen(NEEDS_ZYDIS, RTLD_NOW));
    c.dlopen = no_dlopen;
    cr_expect_eq(intercept_scan(&c, &plan, &report), -ENOSYS);
    cr_expect_eq(opened, 1);
    cr_expect_null(plan);
    cr_expect(strstr(report.reason, "libZydis"), "%s", report.reason);
}

/* What was found when handoff was built is what a scan finds now. */
static int want_some(int nr, const char *object, void *context)
{
    (void)object;
    (void)context;
    return nr % 2 ? INTERCEPT_PATCH : INTERCEPT_NATIVE;
}

static void expect_same(const struct intercept_config *a, const struct intercept_config *b)
{
    struct intercept_report reports[2];
    struct intercept_plan *plans[2];
    const struct intercept_site *sites[2];

    cr_assert_eq(intercept_scan(a, &plans[0], &reports[0]), 0, "%s", reports[0].reason);
    cr_assert_eq(intercept_scan(b, &plans[1], &reports[1]), 0, "%s", reports[1].reason);
    cr_expect_eq(reports[0].sites, reports[1].sites);
    cr_expect_eq(reports[0].native, reports[1].native);
    cr_expect_eq(reports[0].patched, reports[1].patched);
    cr_expect_eq(reports[0].unknown, reports[1].unknown);
    cr_expect_eq(reports[0].kept, reports[1].kept);
    const size_t count = intercept_plan_sites(plans[0], &sites[0]);
    cr_assert_eq(intercept_plan_sites(plans[1], &sites[1]), count);
    for (size_t i = 0; i < count; i++) {
        const struct intercept_site *x = &sites[0][i], *y = &sites[1][i];
        cr_assert_eq(site_addr(x), site_addr(y));
        cr_expect_eq(x->nr, y->nr);
        cr_expect_eq(x->flags, y->flags);
        cr_expect_eq(x->window, y->window);
        cr_expect_eq(x->window_len, y->window_len);
        cr_expect_eq(x->before_len, y->before_len);
        cr_expect_eq(x->after_len, y->after_len);
        cr_expect_eq(x->keeps_syscall, y->keeps_syscall);
        cr_expect_eq(memcmp(x->original, y->original, x->window_len), 0);
        cr_expect_eq(strcmp(x->object->name, y->object->name), 0);
    }
    intercept_undo_plan(plans[0]);
    intercept_undo_plan(plans[1]);
}

Test(intercept, known_objects_are_what_a_scan_finds)
{
    cr_assert_not_null(known_objects[0].sites, "libc has a build id");
    cr_assert_not_null(known_objects[1].sites, "ld.so too");
    struct intercept_config scans = config_all, knows = config_all;
    knows.known = known_objects;
    expect_same(&scans, &knows);
    scans.want = knows.want = want_some;
    expect_same(&scans, &knows);
}

/* What is known of libc, to be made wrong. */
static struct intercept_known_site wrong_sites[4096];
static struct intercept_known wrong[2];

static void wrong_begin(void)
{
    wrong[0] = known_objects[0];
    cr_assert_leq(wrong[0].count, 4096);
    memcpy(wrong_sites, wrong[0].sites, wrong[0].count * sizeof(wrong_sites[0]));
    wrong[0].sites = wrong_sites;
}

/* Known wrongly on purpose: what is told of it must show whether it was used. */
Test(intercept, what_is_not_the_known_object_is_scanned)
{
    struct intercept_config scans = config_all, knows = config_all;
    struct intercept_report report;
    struct intercept_plan *plan;

    wrong_begin();
    wrong_sites[1].nr = 4711;
    knows.known = wrong;
    cr_assert_eq(intercept_scan(&knows, &plan, &report), 0);
    const struct intercept_site *planned;
    size_t count = intercept_plan_sites(plan, &planned), seen = 0;
    for (size_t i = 0; i < count; i++)
        seen += planned[i].nr == 4711;
    cr_assert_eq(seen, 1, "it is used");
    intercept_undo_plan(plan);

    wrong[0].build_id[3] ^= 1;
    expect_same(&scans, &knows);
    wrong[0].build_id[3] ^= 1;
    wrong[0].text_end += 4096;
    expect_same(&scans, &knows);
}

/* By its build id it is the known object, and it is not: found out in the midst of patching, of which nothing is left then. */
Test(intercept, text_that_is_not_the_known_objects_stays)
{
    struct intercept_config scans = config_all, knows = config_all;
    struct intercept_report report;
    struct intercept_plan *plan;

    wrong_begin();
    wrong_sites[wrong[0].count / 2].original[0] ^= 1;
    knows.known = wrong;
    cr_assert_eq(intercept_scan(&knows, &plan, &report), 0);
    cr_expect_eq(intercept_apply(plan, &report), -ESTALE);
    intercept_undo_plan(plan);
    knows.known = known_objects;
    expect_same(&scans, &knows);
    cr_assert_eq(intercept_scan(&scans, &plan, &report), 0);
    cr_expect_eq(intercept_apply(plan, &report), 0, "%s", report.reason);
}

static int want_nothing(int nr, const char *object, void *context)
{
    (void)nr;
    (void)object;
    (void)context;
    return INTERCEPT_NATIVE;
}

Test(intercept, refused_numbers_stay_native)
{
    const struct intercept_config c = {.entry = (uintptr_t)test_entry, .want = want_nothing};
    struct intercept_report report;
    struct intercept_plan *plan;
    const struct intercept_site *sites;

    cr_assert_eq(intercept_scan(&c, &plan, &report), 0, "%s", report.reason);
    const size_t count = intercept_plan_sites(plan, &sites);
    for (size_t i = 0; i < count; i++)
        cr_expect_eq(sites[i].nr, -1);
    cr_expect_eq(report.native + report.unknown + report.refused, report.sites);
    intercept_undo_plan(plan);
}

Test(intercept, other_threads_rule_out_what_is_not_atomic)
{
    const struct intercept_config c = {.entry = (uintptr_t)test_entry, .others = true};
    struct intercept_report report;
    struct intercept_plan *plan;
    const struct intercept_site *sites;

    cr_assert_eq(intercept_scan(&c, &plan, &report), 0, "%s", report.reason);
    print_report("others", &report);
    cr_expect_gt(report.critical, 0);
    cr_expect_gt(report.patched, 0);
    const size_t count = intercept_plan_sites(plan, &sites);
    for (size_t i = 0; i < count; i++) {
        cr_expect(sites[i].keeps_syscall);
        cr_expect_leq((sites[i].window & 7) + 5, 8);
    }
    intercept_undo_plan(plan);
}

/* --- applying ------------------------------------------------------------------------------ */

Test(intercept, second_scan_has_nothing_new)
{
    struct intercept_report report;
    struct intercept_plan *plan;

    patch(&config);
    cr_assert_eq(intercept_scan(&config, &plan, &report), 0);
    cr_expect_null(plan);
    cr_expect_eq(report.objects, 0);
}

Test(intercept, object_opened_later_is_planned_alone)
{
    struct intercept_report report;
    struct intercept_plan *plan;

    patch(&config);
    void *lib = dlopen("libgomp.so.1", RTLD_NOW);
    if (!lib)
        cr_skip_test("no libgomp");
    cr_assert_eq(intercept_scan(&config, &plan, &report), 0);
    print_report("libgomp", &report);
    cr_assert_not_null(plan);
    cr_expect_eq(report.objects, 1);
    cr_expect_gt(report.patched, 0);
    cr_expect_eq(count_in(plan, "libgomp"), report.patched);
    cr_expect_eq(intercept_apply(plan, &report), 0, "%s", report.reason);
}

Test(intercept, text_is_never_left_writable_and_executable)
{
    patch(&config);
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    cr_assert_not_null(maps);
    while (fgets(line, sizeof(line), maps))
        cr_expect_null(strstr(line, "rwx"), "%s", line);
    fclose(maps);
}

Test(intercept, find_knows_every_byte_of_a_stub_and_nothing_else)
{
    const struct intercept_site *sites;
    struct intercept_plan *plan = patch(&config);
    const size_t count = intercept_plan_sites(plan, &sites);

    cr_assert_gt(count, 0);
    for (size_t i = 0; i < count; i++) {
        const struct intercept_site *s = &sites[i];
        for (uintptr_t pc = s->stub; pc < site_stub_end(s); pc++)
            cr_assert_eq(intercept_find(pc), s);
        cr_expect_null(intercept_find(site_addr(s)));
        cr_expect_eq(s->stub % STUB_ALIGN, 0);
        cr_expect_eq(*(uintptr_t *)(s->stub + STUB_RESUME), site_resume(s));
        cr_expect_eq(*(uintptr_t *)(s->stub + STUB_SITE_END), site_addr(s) + 2);
        /* where the program goes on is never inside of what was overwritten */
        cr_expect(site_resume(s) < s->window || site_resume(s) >= s->window + s->window_len);
        cr_expect_eq(site_resume(s) == site_addr(s) + 2, s->keeps_syscall);
        /* of the vector state only libc may lose any, and Debian's, being for every x86-64, does */
        cr_expect_eq(*(uint8_t *)(s->stub + STUB_FLAGS), s->object->critical ? STUB_SSE_ONLY : 0);
    }
    cr_expect_not(intercept_in_stubs((uintptr_t)&sites));
    cr_expect_not(intercept_in_stubs((uintptr_t)test_entry));
}

Test(intercept, revert_restores_the_text)
{
    struct intercept_plan *plan = patch(&config);
    unsigned long calls = __atomic_load_n(&test_entry_calls, __ATOMIC_RELAXED);

    wait_until_alone();
    getppid();
    cr_expect_gt(__atomic_load_n(&test_entry_calls, __ATOMIC_RELAXED), calls);
    cr_assert_eq(intercept_revert(plan), 0);
    calls = __atomic_load_n(&test_entry_calls, __ATOMIC_RELAXED);
    getppid();
    cr_expect_eq(__atomic_load_n(&test_entry_calls, __ATOMIC_RELAXED), calls);
}

/* --- libc, redirected ---------------------------------------------------------------------- */

static void exercise_files(void)
{
    char path[] = "/tmp/handoff-test-XXXXXX", text[64] = "";
    struct stat st;
    const int fd = mkstemp(path);

    cr_assert_geq(fd, 0);
    cr_expect_eq(write(fd, "hello", 5), 5);
    cr_expect_eq(pwrite(fd, "J", 1, 0), 1);
    cr_expect_eq(lseek(fd, 0, SEEK_SET), 0);
    cr_expect_eq(read(fd, text, sizeof(text)), 5);
    cr_expect_str_eq(text, "Jello");
    cr_expect_eq(fstat(fd, &st), 0);
    cr_expect_eq(st.st_size, 5);
    close(fd);
    errno = 0;
    cr_expect_eq(read(fd, text, 1), -1);
    cr_expect_eq(errno, EBADF);

    FILE *f = fopen(path, "a+");
    cr_assert_not_null(f);
    fprintf(f, " %d %s\n", 42, "world");
    rewind(f);
    cr_expect_not_null(fgets(text, sizeof(text), f));
    cr_expect_str_eq(text, "Jello 42 world\n");
    fclose(f);
    cr_expect_eq(unlink(path), 0);

    void *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(p, MAP_FAILED);
    cr_expect_eq(munmap(p, 1 << 20), 0);
    cr_expect_eq(syscall(SYS_getpid), getpid());
    cr_expect_eq(syscall(SYS_pread64, -1, text, 1, 0), -1);
}

static void exercise_processes(void)
{
    int status;
    pid_t pid = fork();

    if (!pid)
        _exit(7);
    cr_expect_eq(waitpid(pid, &status, 0), pid);
    cr_expect_eq(WEXITSTATUS(status), 7);

    pid = vfork();
    if (!pid) {
        execl("/bin/sh", "sh", "-c", "exit 8", NULL);
        _exit(127);
    }
    cr_expect_eq(waitpid(pid, &status, 0), pid);
    cr_expect_eq(WEXITSTATUS(status), 8);

    cr_expect_eq(WEXITSTATUS(system("exit 9")), 9);

    char *argv[] = {"sh", "-c", "exit 10", NULL};
    cr_expect_eq(posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ), 0);
    cr_expect_eq(waitpid(pid, &status, 0), pid);
    cr_expect_eq(WEXITSTATUS(status), 10);
}

static volatile sig_atomic_t signals;

static void on_signal(int sig)
{
    (void)sig;
    signals++;
}

static void exercise_signals(void)
{
    struct sigaction act = {.sa_handler = on_signal};
    sigset_t set, old;

    cr_expect_eq(sigaction(SIGUSR1, &act, NULL), 0);
    raise(SIGUSR1);
    cr_expect_eq(signals, 1);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, &old);
    kill(getpid(), SIGUSR1);
    cr_expect_eq(signals, 1);
    sigprocmask(SIG_SETMASK, &old, NULL);
    cr_expect_eq(signals, 2);

    /* interrupts a sleep, which says so */
    const struct itimerspec in = {.it_value = {.tv_nsec = 2000000},
                                  .it_interval = {.tv_nsec = 2000000}};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    timer_t timer;
    cr_expect_eq(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    cr_expect_eq(timer_settime(timer, 0, &in, NULL), 0);
    errno = 0;
    cr_expect_eq(nanosleep(&(struct timespec){.tv_sec = 100}, NULL), -1);
    cr_expect_eq(errno, EINTR);
    timer_delete(timer);
    cr_expect_geq(signals, 3); /* more, if one came before the sleep */
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int turn;
static __thread int mine;

static void *play(void *arg)
{
    const int me = (int)(intptr_t)arg;

    for (mine = 0; mine < 1000; mine++) {
        pthread_mutex_lock(&mutex);
        while (turn % 4 != me)
            pthread_cond_wait(&cond, &mutex);
        turn++;
        pthread_cond_broadcast(&cond);
        pthread_mutex_unlock(&mutex);
    }
    return (void *)(intptr_t)mine;
}

static void *sleep_long(void *arg)
{
    sem_post(arg);
    for (;;)
        pause();
    return NULL;
}

static void exercise_threads(void)
{
    pthread_t threads[4];
    void *result;
    sem_t started;

    for (intptr_t i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, play, (void *)i), 0);
    for (int i = 0; i < 4; i++) {
        cr_expect_eq(pthread_join(threads[i], &result), 0);
        cr_expect_eq((intptr_t)result, 1000);
    }
    cr_expect_eq(turn, 4000);
    turn = 0;

    sem_init(&started, 0, 0);
    cr_assert_eq(pthread_create(&threads[0], NULL, sleep_long, &started), 0);
    sem_wait(&started);
    cr_expect_eq(pthread_cancel(threads[0]), 0);
    cr_expect_eq(pthread_join(threads[0], &result), 0);
    cr_expect_eq(result, PTHREAD_CANCELED);
}

static void exercise_network(void)
{
    struct addrinfo *list = NULL;
    int pair[2];
    char c = 0;

    cr_expect_eq(getaddrinfo("127.0.0.1", "80", NULL, &list), 0);
    freeaddrinfo(list);
    list = NULL;
    if (!getaddrinfo("localhost", "http", NULL, &list)) /* reads files, opens NSS modules */
        freeaddrinfo(list);
    cr_expect_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    cr_expect_eq(send(pair[0], "x", 1, 0), 1);
    cr_expect_eq(recv(pair[1], &c, 1, 0), 1);
    cr_expect_eq(c, 'x');
    errno = 0;
    cr_expect_eq(recv(pair[1], &c, 1, MSG_DONTWAIT), -1);
    cr_expect_eq(errno, EAGAIN);
    close(pair[0]);
    close(pair[1]);
}

static void exercise_all(void)
{
    const unsigned long calls = __atomic_load_n(&test_entry_calls, __ATOMIC_RELAXED);

    for (int round = 0; round < 5; round++) {
        exercise_files();
        exercise_processes();
        exercise_signals();
        signals = 0;
        exercise_network();
    }
    exercise_threads();
    cr_expect_gt(__atomic_load_n(&test_entry_calls, __ATOMIC_RELAXED), calls + 1000);
}

Test(intercept, libc_works_through_the_stubs)
{
    patch(&config);
    exercise_all();
}
