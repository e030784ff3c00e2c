/* Writes known.c: the sites of this machine's libc and ld.so, as a scan finds them. Run when handoff is built; another libc than that
 * is searched in each process.
 *
 * Every site gets a window, also those that nobody wants today: no two overlap, so any choice among them is good. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <asm/unistd.h>
#include <link.h>
#include <stdio.h>
#include <string.h>

#include "object.h"

struct found {
    const struct intercept_object *of;
    struct object object;
};

static int find_object(struct dl_phdr_info *info, size_t size, void *context)
{
    struct found *found = context;

    (void)size;
    return info->dlpi_addr == found->of->base && object_init(&found->object, info);
}

static void write_site(uintptr_t base, const struct intercept_site *site)
{
    printf("    {0x%lx, %d, %u, %u, %u, %u, {", (unsigned long)(site_addr(site) - base), site->nr, site->window_len, site->before_len,
           site->after_len, site->keeps_syscall);
    for (unsigned i = 0; i < site->window_len; i++)
        printf("%s0x%02x", i ? "," : "", site->original[i]);
    puts("}},");
}

/* rt_sigreturn is never planned, but counts: what unwinders know a signal frame by, and so never anything else. */
static void write_sigreturn(const struct object *object)
{
    static const uint8_t restorer[] = {0x48, 0xc7, 0xc0, __NR_rt_sigreturn, 0, 0, 0, 0x0f, 0x05};

    for (unsigned i = 0; i < object->text_count; i++) {
        const struct segment *text = &object->text[i];
        const uint8_t *at = (const uint8_t *)text->start, *end = (const uint8_t *)text->end;
        while ((at = memmem(at, (size_t)(end - at), restorer, sizeof(restorer)))) {
            at += sizeof(restorer);
            printf("    {.addr = 0x%lx, .nr = %d},\n", (unsigned long)((uintptr_t)at - 2 - object->base), __NR_rt_sigreturn);
        }
    }
}

int main(void)
{
    const struct intercept_config config = {0};
    struct intercept_report report;
    struct intercept_plan *plan;
    enum { OBJECTS = 8 };
    struct found objects[OBJECTS];
    unsigned count = 0;

    puts("/* Made by make_known.c. */\n#include \"intercept/intercept.h\"\n");
    if (intercept_scan(&config, &plan, &report) < 0 || report.critical) {
        fprintf(stderr, "make_known: %s: nothing is known of this machine's libc\n", report.reason);
        plan = NULL;
    }
    for (size_t i = 0; plan && i < plan->objects.count; i++) {
        const struct intercept_object *object = (const struct intercept_object *)plan->objects.data + i;
        struct found *found = &objects[count];
        if (!object->critical || count == OBJECTS)
            continue;
        found->of = object;
        if (!dl_iterate_phdr(find_object, found) || !found->object.build_id)
            continue;
        printf("/* %s */\nstatic const struct intercept_known_site sites%u[] = {\n", object->name, count);
        const struct intercept_site *sites = plan->sites.data;
        for (size_t k = 0; k < plan->sites.count; k++)
            if (sites[k].object == object)
                write_site(object->base, &sites[k]);
        write_sigreturn(&found->object);
        puts("};\n");
        count++;
    }
    puts("const struct intercept_known known_objects[] = {");
    for (unsigned i = 0; i < count; i++) {
        const struct object *object = &objects[i].object;
        const struct intercept_site *sites = plan->sites.data;
        size_t k = 0;
        while (sites[k].object != objects[i].of)
            k++;
        printf("    {{");
        for (unsigned b = 0; b < BUILD_ID_BYTES; b++)
            printf("0x%02x,", object->build_id[b]);
        printf("}, %u, 0x%lx, 0x%lx, sizeof(sites%u) / sizeof(sites%u[0]), sites%u},\n", sites[k].flags,
               (unsigned long)(object->text_start - object->base), (unsigned long)(object->text_end - object->base), i, i, i);
    }
    puts("    {.sites = 0},\n};");
    return 0;
}
