#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "object.h"

#include <elf.h>
#include <errno.h>
#include <immintrin.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/platform/x86.h>

#include "../base/base.h"
#include "../base/sys.h"

/* Reach of unwind information past its end that still counts as the function. */
#define FUNCTION_GAP_MAX 64

/* --- reading .eh_frame and what hangs off it ------------------------------------------- */

struct reader {
    const uint8_t *p, *end;
    bool bad;
};

static uint8_t read_u8(struct reader *r)
{
    if (r->p >= r->end) {
        r->bad = true;
        return 0;
    }
    return *r->p++;
}

static uint64_t read_bytes(struct reader *r, size_t size)
{
    uint64_t value = 0;
    if ((size_t)(r->end - r->p) < size) {
        r->bad = true;
        return 0;
    }
    memcpy(&value, r->p, size);
    r->p += size;
    return value;
}

static uint64_t read_uleb(struct reader *r)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        const uint8_t byte = read_u8(r);
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return value;
    }
    r->bad = true;
    return 0;
}

enum {
    ENC_OMIT = 0xff,
    ENC_INDIRECT = 0x80,
    ENC_PCREL = 0x10,
    ENC_DATAREL = 0x30,
};

/* A pointer in one of the encodings of the LSB's exception frames. Only those that linkers
 * emit for x86_64: absolute or relative to itself. */
static uintptr_t read_encoded(struct reader *r, uint8_t enc)
{
    const uintptr_t at = (uintptr_t)r->p;
    uint64_t value;

    switch (enc & 0x0f) {
    case 0x00:
    case 0x04:
    case 0x0c:
        value = read_bytes(r, 8);
        break;
    case 0x01:
        value = read_uleb(r);
        break;
    case 0x02:
        value = read_bytes(r, 2);
        break;
    case 0x0a:
        value = (uint64_t)(int64_t)(int16_t)read_bytes(r, 2);
        break;
    case 0x03:
        value = read_bytes(r, 4);
        break;
    case 0x0b:
        value = (uint64_t)(int64_t)(int32_t)read_bytes(r, 4);
        break;
    default:
        r->bad = true;
        return 0;
    }
    if ((enc & 0x70) == ENC_PCREL)
        return value ? value + at : 0;
    if (enc & 0x70)
        r->bad = true;
    return value;
}

struct cie {
    uint8_t fde_enc, lsda_enc;
    bool augmented, signal_frame;
};

static bool read_cie(const uint8_t *at, const uint8_t *end, struct cie *cie)
{
    struct reader r = {at, end, false};
    const uint32_t length = (uint32_t)read_bytes(&r, 4);

    if (!length || length == 0xffffffff || length > (size_t)(end - r.p))
        return false;
    r.end = r.p + length;
    if (read_bytes(&r, 4) != 0) /* not a CIE */
        return false;
    const uint8_t version = read_u8(&r);
    const char *augmentation = (const char *)r.p;
    while (read_u8(&r))
        ;
    if (version != 1 && version != 3)
        return false;
    read_uleb(&r); /* code alignment */
    read_uleb(&r); /* data alignment; signed, but as long */
    if (version == 1)
        read_u8(&r);
    else
        read_uleb(&r); /* return address register */

    *cie = (struct cie){.fde_enc = 0, .lsda_enc = ENC_OMIT};
    if (!*augmentation)
        return !r.bad;
    if (*augmentation++ != 'z')
        return false;
    cie->augmented = true;
    read_uleb(&r);
    for (; *augmentation && !r.bad; augmentation++) {
        switch (*augmentation) {
        case 'R':
            cie->fde_enc = read_u8(&r);
            break;
        case 'L':
            cie->lsda_enc = read_u8(&r);
            break;
        case 'P': {
            const uint8_t enc = read_u8(&r);
            read_encoded(&r, enc & 0x7f);
            break;
        }
        case 'S':
            cie->signal_frame = true;
            break;
        case 'B':
            break;
        default:
            return false;
        }
    }
    return !r.bad;
}

static bool read_fde(const struct object *object, const uint8_t *at, struct function *function)
{
    const uint8_t *end = (const uint8_t *)object->end;
    struct reader r = {at, end, false};

    if ((uintptr_t)at < object->start || at >= end)
        return false;
    const uint32_t length = (uint32_t)read_bytes(&r, 4);
    if (!length || length == 0xffffffff || length > (size_t)(end - r.p))
        return false;
    r.end = r.p + length;
    const uint8_t *cie_at = r.p - (uint32_t)read_bytes(&r, 4);
    struct cie cie;
    if ((uintptr_t)cie_at < object->start || cie_at >= at || !read_cie(cie_at, end, &cie))
        return false;

    function->start = read_encoded(&r, cie.fde_enc);
    function->fde_end = function->start + read_encoded(&r, cie.fde_enc & 0x0f);
    /* Unwinders look a return address up at one less, so the information of a signal
     * trampoline starts a byte before its code. */
    function->start += cie.signal_frame;
    function->lsda = 0;
    if (cie.augmented) {
        read_uleb(&r);
        if (cie.lsda_enc != ENC_OMIT)
            function->lsda = read_encoded(&r, cie.lsda_enc);
    }
    return !r.bad;
}

bool object_find_function(const struct object *object, uintptr_t addr, struct function *function)
{
    size_t low = 0, high = object->index_count; /* the last entry that starts at or before addr */

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (object->index_base + (uintptr_t)(intptr_t)object->index[middle].start <= addr)
            low = middle + 1;
        else
            high = middle;
    }
    if (!low)
        return false;
    const uintptr_t fde = object->index_base + (uintptr_t)(intptr_t)object->index[low - 1].fde;
    if (!read_fde(object, (const uint8_t *)fde, function))
        return false;
    if (function->start > addr || addr >= function->fde_end + FUNCTION_GAP_MAX)
        return false;

    uintptr_t next = 0;
    for (unsigned i = 0; i < object->text_count; i++)
        if (function->start >= object->text[i].start && function->start < object->text[i].end)
            next = object->text[i].end;
    if (low < object->index_count) {
        const uintptr_t start = object->index_base + (uintptr_t)(intptr_t)object->index[low].start;
        if (start < next)
            next = start;
    }
    if (function->fde_end > next)
        return false;
    function->end = function->fde_end;
    if (addr >= function->end)
        function->end = next;
    return addr < function->end;
}

bool object_mark_landing_pads(struct object *object, const struct function *function)
{
    if (!function->lsda)
        return true;
    if (function->lsda < object->start || function->lsda >= object->end)
        return false;

    struct reader r = {(const uint8_t *)function->lsda, (const uint8_t *)object->end, false};
    uintptr_t pads = function->start;
    uint8_t enc = read_u8(&r);
    if (enc != ENC_OMIT)
        pads = read_encoded(&r, enc);
    enc = read_u8(&r);
    if (enc != ENC_OMIT)
        read_uleb(&r); /* offset of the type table */
    enc = read_u8(&r);
    const uint64_t size = read_uleb(&r);
    if (r.bad || size > (size_t)(r.end - r.p))
        return false;
    r.end = r.p + size;
    while (r.p < r.end && !r.bad) {
        read_encoded(&r, enc); /* start */
        read_encoded(&r, enc); /* length */
        const uintptr_t pad = read_encoded(&r, enc);
        read_uleb(&r); /* action */
        if (pad)
            object_mark_target(object, pads + pad);
    }
    return !r.bad;
}

/* --- the object ------------------------------------------------------------------------- */

static void find_index(struct object *object, const ElfW(Phdr) * phdr)
{
    const uint8_t *hdr = (const uint8_t *)(object->base + phdr->p_vaddr);
    uint32_t count;

    /* version 1, a 32-bit count, a table of 32-bit offsets from hdr */
    if (phdr->p_memsz < 12 || hdr[0] != 1 || hdr[2] != 0x03 || hdr[3] != 0x3b)
        return;
    if ((hdr[1] & 0x0f) != 0x0b && (hdr[1] & 0x0f) != 0x03)
        return;
    memcpy(&count, hdr + 8, 4);
    if (count > (phdr->p_memsz - 12) / 8)
        return;
    object->index = (const void *)(hdr + 12);
    object->index_count = count;
    object->index_base = (uintptr_t)hdr;
}

/* A note segment that may hold the build id (elf(5), NT_GNU_BUILD_ID). */
static void find_build_id(struct object *object, const ElfW(Phdr) *phdr)
{
    static const char gnu[4] = "GNU";
    const uintptr_t end = object->base + phdr->p_vaddr + phdr->p_filesz;
    ElfW(Nhdr) note;

    if (phdr->p_align > 4 || !object_readable(object, end - phdr->p_filesz, phdr->p_filesz))
        return;
    for (uintptr_t at = end - phdr->p_filesz; end - at > sizeof(note);) {
        memcpy(&note, (const void *)at, sizeof(note));
        const uintptr_t name = at + sizeof(note);
        const uint64_t name_size = ALIGN_UP((uint64_t)note.n_namesz, 4), size = ALIGN_UP((uint64_t)note.n_descsz, 4);
        if (name_size + size > end - name)
            return;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof(gnu) && note.n_descsz == BUILD_ID_BYTES &&
            !memcmp((const void *)name, gnu, sizeof(gnu)))
            object->build_id = (const uint8_t *)(name + name_size);
        at = name + name_size + size;
    }
}

bool object_init(struct object *object, const struct dl_phdr_info *info)
{
    *object = (struct object){.base = info->dlpi_addr,
                              .name = info->dlpi_name,
                              .text_start = UINTPTR_MAX,
                              .start = UINTPTR_MAX};

    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *phdr = &info->dlpi_phdr[i];
        const uintptr_t start = object->base + phdr->p_vaddr;

        if (phdr->p_type == PT_GNU_EH_FRAME)
            find_index(object, phdr);
        if (phdr->p_type != PT_LOAD)
            continue;
        if (start < object->start)
            object->start = start;
        if (start + phdr->p_memsz > object->end)
            object->end = start + phdr->p_memsz;
        if ((phdr->p_flags & PF_R) && object->load_count < LOADS_MAX)
            object->loads[object->load_count++] = (struct span){start, start + phdr->p_filesz};
        if ((phdr->p_flags & (PF_X | PF_R)) != (PF_X | PF_R) || !phdr->p_filesz ||
            object->text_count == TEXT_SEGMENTS_MAX)
            continue;
        object->text[object->text_count++] = (struct segment){
            .start = start,
            .end = start + phdr->p_filesz,
            .prot = PROT_READ | PROT_EXEC | (phdr->p_flags & PF_W ? PROT_WRITE : 0),
        };
        if (start < object->text_start)
            object->text_start = start;
        if (start + phdr->p_filesz > object->text_end)
            object->text_end = start + phdr->p_filesz;
    }
    for (unsigned i = 0; i < info->dlpi_phnum && !object->build_id; i++)
        if (info->dlpi_phdr[i].p_type == PT_NOTE)
            find_build_id(object, &info->dlpi_phdr[i]);
    return object->text_count != 0;
}

int object_clear_near(struct object *object, struct vec *memory)
{
    const size_t words = (object->text_end - object->text_start) / NEAR_BYTES / 64 + 1;

    if (!vec_reserve(memory, words * (sizeof(uint64_t) + sizeof(uint32_t))))
        return -ENOMEM;
    object->near = memory->data;
    object->rank = (uint32_t *)(object->near + words);
    memset(object->near, 0, words * sizeof(uint64_t));
    return 0;
}

int object_clear_targets(struct object *object, struct vec *memory)
{
    const size_t words = (object->text_end - object->text_start) / NEAR_BYTES / 64 + 1;
    uint32_t count = 0;

    for (size_t i = 0; i < words; i++) {
        object->rank[i] = count;
        count += (uint32_t)__builtin_popcountll(object->near[i]);
    }
    if (!vec_reserve(memory, count * sizeof(uint64_t)))
        return -ENOMEM;
    object->targets = memory->data;
    memset(object->targets, 0, count * sizeof(uint64_t));
    return 0;
}

bool object_readable(const struct object *object, uintptr_t addr, size_t size)
{
    for (unsigned i = 0; i < object->load_count; i++)
        if (addr >= object->loads[i].start && addr < object->loads[i].end &&
            size <= object->loads[i].end - addr)
            return true;
    return false;
}

void object_mark_near(struct object *object, uintptr_t syscall)
{
    uintptr_t first = syscall - NEAR_BEFORE, last = syscall + NEAR_AFTER;

    if (first < object->text_start || first > syscall)
        first = object->text_start;
    if (last >= object->text_end)
        last = object->text_end - 1;
    for (uintptr_t g = (first - object->text_start) / NEAR_BYTES;
         g <= (last - object->text_start) / NEAR_BYTES; g++)
        object->near[g / 64] |= 1ull << g % 64;
}

/* --- scans of raw bytes ----------------------------------------------------------------- */

/* The program's vector registers are its own here: all this runs in ordinary code (intercept.h). */
static inline __m128i load16(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

/* Which of 16 positions hold the bytes 0f 05, or 0f ae. */
static inline __m128i match_syscall(const uint8_t *p)
{
    const __m128i second = load16(p + 1);
    return _mm_and_si128(_mm_cmpeq_epi8(load16(p), _mm_set1_epi8(0x0f)),
                         _mm_or_si128(_mm_cmpeq_epi8(second, _mm_set1_epi8(0x05)),
                                      _mm_cmpeq_epi8(second, _mm_set1_epi8((char)0xae))));
}

/* p: 0f ae, of wrgsbase? f3 stands before it, and a REX prefix most often. */
static bool is_wrgsbase(const struct segment *segment, const uint8_t *p)
{
    const uint8_t *start = (const uint8_t *)segment->start, *end = (const uint8_t *)segment->end;

    if (end - p < 3 || (p[2] & 0xf8) != 0xd8 || p == start)
        return false;
    return p[-1] == 0xf3 || ((p[-1] & 0xf0) == 0x40 && p - start >= 2 && p[-2] == 0xf3);
}

uintptr_t segment_next_syscall(const struct segment *segment, uintptr_t from, bool *sets_gs)
{
    const uint8_t *p = (const uint8_t *)from, *end = (const uint8_t *)segment->end;

    while (end - p >= 2) {
        const uint8_t *until = end - 1;
        if (end - p >= 65) {
            const __m128i a = match_syscall(p), b = match_syscall(p + 16);
            const __m128i c = match_syscall(p + 32), d = match_syscall(p + 48);
            until = p + 64;
            if (!_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(a, b), _mm_or_si128(c, d)))) {
                p = until;
                continue;
            }
        }
        for (; p < until; p++) {
            if (p[0] != 0x0f)
                continue;
            if (p[1] == 0x05)
                return (uintptr_t)p;
            if (p[1] == 0xae && is_wrgsbase(segment, p))
                *sets_gs = true;
        }
    }
    return 0;
}

static bool is_short_branch(const uint8_t *p, uintptr_t low, uintptr_t high)
{
    const uintptr_t target = (uintptr_t)p + 2 + (uintptr_t)(intptr_t)(int8_t)p[1];

    return target - low < high - low &&
           ((p[0] & 0xf0) == 0x70 || (p[0] & 0xfc) == 0xe0 || p[0] == 0xeb);
}

/* By the displacement first, since few fit: modulo 256, how far from low it leads. */
uintptr_t object_short_branch(uintptr_t from, uintptr_t to, uintptr_t low, uintptr_t high)
{
    const __m128i steps = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m128i most = _mm_set1_epi8((char)(high - low - 1));
    uintptr_t at = from;

    for (; at + 17 <= to; at += 16) {
        const __m128i origin = _mm_add_epi8(_mm_set1_epi8((char)(at + 2 - low)), steps);
        const __m128i away = _mm_add_epi8(load16((const uint8_t *)at + 1), origin);
        unsigned hits = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(away, most), away));
        for (; hits; hits &= hits - 1)
            if (is_short_branch((const uint8_t *)at + __builtin_ctz(hits), low, high))
                return at + (unsigned)__builtin_ctz(hits);
    }
    for (; at + 2 <= to; at++)
        if (is_short_branch((const uint8_t *)at, low, high))
            return at;
    return 0;
}

/* Which of 16 or 32 positions hold e9, or 0f 80 to 0f 8f. Not e8: what is called is a function,
 * with an entry of its own in the index, and none begins inside a window, which lies in one
 * function. */
static inline unsigned match_rel32(const uint8_t *p)
{
    const __m128i bytes = load16(p), next = load16(p + 1);
    const __m128i jmps = _mm_cmpeq_epi8(bytes, _mm_set1_epi8((char)0xe9));
    const __m128i jccs = _mm_and_si128(
        _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x0f)),
        _mm_cmpeq_epi8(_mm_and_si128(next, _mm_set1_epi8((char)0xf0)), _mm_set1_epi8((char)0x80)));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(jmps, jccs));
}

#define AVX2 __attribute__((__target__("avx2,bmi,popcnt")))

AVX2 static inline unsigned match_rel32_avx2(const uint8_t *p)
{
    const __m256i bytes = _mm256_loadu_si256((const __m256i *)p),
                  next = _mm256_loadu_si256((const __m256i *)(p + 1));
    const __m256i jmps = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8((char)0xe9));
    const __m256i jccs =
        _mm256_and_si256(_mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(0x0f)),
                         _mm256_cmpeq_epi8(_mm256_and_si256(next, _mm256_set1_epi8((char)0xf0)),
                                           _mm256_set1_epi8((char)0x80)));
    return (unsigned)_mm256_movemask_epi8(_mm256_or_si256(jmps, jccs));
}

/* The target of what looks like a branch, relative to the start of the text. */
static always_inline uint32_t rel32_target(const uint8_t *branch, uintptr_t text)
{
    uint32_t disp;

    branch += 1 + (*branch == 0x0f);
    memcpy(&disp, branch, 4);
    return (uint32_t)((uintptr_t)branch + 4 - text) + disp;
}

static void mark_all(struct object *object, const uint32_t *targets, size_t count)
{
    const uint64_t *const near = object->near;
    const uint32_t size = (uint32_t)(object->text_end - object->text_start);

    for (size_t i = 0; i < count; i++) {
        const uint32_t target = targets[i];
        if (target < size &&
            unlikely(near[target / NEAR_BYTES / 64] >> target / NEAR_BYTES % 64 & 1))
            *object_targets_at(object, target) |= 1ull << target % NEAR_BYTES;
    }
}

#define BLOCK   64u   /* bytes looked at at once */
#define FOUND   4     /* of them are nearly always all */
#define TARGETS 1024u /* of a batch */

/* How many of 64 bytes look like a branch cannot be foreseen: so the first few are stored whether
 * they are there or not. Where there are none, _tzcnt_u64 says 64, and what is read is nowhere
 * used. Returns where it stopped. */
AVX2 static const uint8_t *mark_rel32_avx2(struct object *object, const uint8_t *p,
                                           const uint8_t *end)
{
    const uintptr_t text = object->text_start;
    uint32_t targets[TARGETS];
    size_t count = 0;

    for (; (size_t)(end - p) >= BLOCK + 8; p += BLOCK) {
        uint64_t hits = (uint64_t)match_rel32_avx2(p) | (uint64_t)match_rel32_avx2(p + 32) << 32;
        const size_t found = (size_t)_mm_popcnt_u64(hits);
        for (unsigned i = 0; i < FOUND; i++, hits = _blsr_u64(hits))
            targets[count + i] = rel32_target(p + _tzcnt_u64(hits), text);
        for (size_t i = FOUND; unlikely(i < found); i++, hits = _blsr_u64(hits))
            targets[count + i] = rel32_target(p + _tzcnt_u64(hits), text);
        count += found;
        if (unlikely(count > TARGETS - BLOCK)) {
            _mm256_zeroupper(); /* the compiler leaves it to us; without, all SSE after us is slow,
                                   the program's too */
            mark_all(object, targets, count);
            count = 0;
        }
    }
    _mm256_zeroupper();
    mark_all(object, targets, count);
    return p;
}

static const uint8_t *mark_rel32_sse2(struct object *object, const uint8_t *p, const uint8_t *end)
{
    const uintptr_t text = object->text_start;
    uint32_t targets[TARGETS];
    size_t count = 0;

    for (; (size_t)(end - p) >= BLOCK + 8; p += BLOCK) {
        uint64_t hits = (uint64_t)match_rel32(p) | (uint64_t)match_rel32(p + 16) << 16 |
                        (uint64_t)match_rel32(p + 32) << 32 | (uint64_t)match_rel32(p + 48) << 48;
        for (; hits; hits &= hits - 1)
            targets[count++] = rel32_target(p + __builtin_ctzll(hits), text);
        if (unlikely(count > TARGETS - BLOCK)) {
            mark_all(object, targets, count);
            count = 0;
        }
    }
    mark_all(object, targets, count);
    return p;
}

void object_mark_rel32(struct object *object)
{
    /* As glibc found it: to ask the CPU again is slow in a virtual machine. */
    const bool avx2 =
        CPU_FEATURE_ACTIVE(AVX2) && CPU_FEATURE_ACTIVE(BMI1) && CPU_FEATURE_ACTIVE(POPCNT);

    for (unsigned i = 0; i < object->text_count; i++) {
        const uint8_t *p = (const uint8_t *)object->text[i].start;
        const uint8_t *end = (const uint8_t *)object->text[i].end;

        p = (avx2 ? mark_rel32_avx2 : mark_rel32_sse2)(object, p, end);
        for (; end - p >= 5; p++) {
            if (*p != 0xe9 && (*p != 0x0f || end - p < 6 || p[1] >> 4 != 8))
                continue;
            const uint32_t target = rel32_target(p, object->text_start);
            mark_all(object, &target, 1);
        }
    }
}
