#include "decode.h"

#include <Zydis/Zydis.h>
#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include "../base/base.h"

static __typeof__(&ZydisDecoderInit) zydis_init;
static __typeof__(&ZydisDecoderEnableMode) zydis_mode;
static __typeof__(&ZydisDecoderDecodeInstruction) zydis_decode;
static __typeof__(&ZydisDecoderDecodeFull) zydis_decode_full;

static ZydisDecoder lengths; /* minimal mode: boundaries, opcode, raw parts */
static ZydisDecoder full;    /* operands too */
static bool wanted;

bool decode_wanted_zydis(void)
{
    const bool was = wanted;
    wanted = false;
    return was;
}

/* Is libZydis there to be asked? */
static bool have_zydis(void)
{
    if (!zydis_decode)
        wanted = true;
    return zydis_decode != NULL;
}

int decode_open(void *(*open)(const char *, int), const char **reason)
{
    if (zydis_decode)
        return 0;

    void *lib = (open ? open : dlopen)("libZydis.so.4.0", RTLD_NOW | RTLD_LOCAL);
    if (!lib) {
        *reason = "cannot load libZydis.so.4.0 (install the package libzydis4.0)";
        return -ENOSYS;
    }
    __typeof__(&ZydisGetVersion) version = (__typeof__(version))dlsym(lib, "ZydisGetVersion");
    zydis_init = (__typeof__(zydis_init))dlsym(lib, "ZydisDecoderInit");
    zydis_mode = (__typeof__(zydis_mode))dlsym(lib, "ZydisDecoderEnableMode");
    zydis_decode_full = (__typeof__(zydis_decode_full))dlsym(lib, "ZydisDecoderDecodeFull");
    __typeof__(zydis_decode) decode =
        (__typeof__(decode))dlsym(lib, "ZydisDecoderDecodeInstruction");

    if (!version || !zydis_init || !zydis_mode || !zydis_decode_full || !decode ||
        ZYDIS_VERSION_MAJOR(version()) != ZYDIS_VERSION_MAJOR(ZYDIS_VERSION) ||
        ZYDIS_VERSION_MINOR(version()) != ZYDIS_VERSION_MINOR(ZYDIS_VERSION)) {
        *reason = "libZydis.so.4.0 is not the version this was built for";
        goto fail;
    }
    if (!ZYAN_SUCCESS(zydis_init(&full, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)) ||
        !ZYAN_SUCCESS(zydis_init(&lengths, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)) ||
        !ZYAN_SUCCESS(zydis_mode(&lengths, ZYDIS_DECODER_MODE_MINIMAL, ZYAN_TRUE))) {
        *reason = "libZydis.so.4.0 was built without what handoff needs";
        goto fail;
    }
    zydis_decode = decode;
    return 0;
fail:
    dlclose(lib);
    return -ENOSYS;
}

static uint8_t classify_one_byte(const struct insn *insn)
{
    const unsigned op = insn->opcode, reg = insn->modrm >> 3 & 7;

    switch (op) {
    case 0x8d:
        return INSN_LEA;
    case 0xeb:
    case 0xe9: /* jmp */
    case 0xc2:
    case 0xc3:
    case 0xca:
    case 0xcb:
    case 0xcf: /* ret, iret */
    case 0xf4: /* hlt */
        return INSN_FIXED | INSN_BARRIER;
    case 0xcc:
    case 0xcd:
    case 0xf1: /* int */
    case 0xe8: /* call */
        return INSN_FIXED;
    case 0xff:
        if (reg == 2 || reg == 3)
            return INSN_FIXED;
        if (reg == 4 || reg == 5)
            return INSN_FIXED | INSN_BARRIER | INSN_SWITCH;
        return 0;
    default:
        return 0;
    }
}

static uint8_t classify_0f(const struct insn *insn, const uint8_t *bytes)
{
    switch (insn->opcode) {
    case 0x05:
        return INSN_FIXED | INSN_SYSCALL;
    case 0x07: /* sysret */
    case 0x34: /* sysenter */
    case 0x35:
        return INSN_FIXED;
    case 0x0b: /* ud2 and its kin */
    case 0xb9:
    case 0xff:
        return INSN_FIXED | INSN_BARRIER;
    case 0x1e:
        return insn->length == 4 && bytes[0] == 0xf3 && insn->modrm == 0xfa ? INSN_ENDBR : 0;
    default:
        return 0;
    }
}

bool decode_exact(uintptr_t addr, uintptr_t end, struct insn *insn)
{
    const uint8_t *bytes = (const uint8_t *)addr;
    ZydisDecodedInstruction d;

    if (addr >= end || !have_zydis() ||
        !ZYAN_SUCCESS(zydis_decode(&lengths, NULL, bytes, end - addr, &d)))
        return false;

    *insn = (struct insn){
        .addr = addr,
        .length = d.length,
        .opcode = d.opcode,
        .map = (uint8_t)d.opcode_map,
    };
    const bool legacy = d.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY;
    if (!legacy)
        insn->map = 0xff;

    if (d.attributes & ZYDIS_ATTRIB_HAS_MODRM)
        insn->modrm = (uint8_t)(d.raw.modrm.mod << 6 | d.raw.modrm.reg << 3 | d.raw.modrm.rm);
    if (d.attributes & ZYDIS_ATTRIB_HAS_REX)
        insn->rex = (uint8_t)(d.raw.rex.W << 3 | d.raw.rex.R << 2 | d.raw.rex.X << 1 | d.raw.rex.B);
    if (d.raw.disp.size == 32) {
        insn->disp = d.raw.disp.offset;
        insn->disp32 = (int32_t)d.raw.disp.value;
    }

    if (legacy && d.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT)
        insn->flags = classify_one_byte(insn);
    else if (legacy && d.opcode_map == ZYDIS_OPCODE_MAP_0F)
        insn->flags = classify_0f(insn, bytes);

    if (d.raw.imm[0].is_relative) {
        insn->flags |= INSN_RELATIVE | INSN_FIXED;
        insn->target = addr + d.length + (uintptr_t)d.raw.imm[0].value.s;
    } else if ((d.attributes & ZYDIS_ATTRIB_HAS_MODRM) && d.raw.modrm.mod == 0 &&
               d.raw.modrm.rm == 5 && insn->disp) {
        insn->flags |= INSN_RIP;
        insn->target = addr + d.length + (uintptr_t)(intptr_t)insn->disp32;
        /* With an address-size prefix the sum is cut to 32 bits: leave it alone. */
        if (d.address_width != 64)
            insn->flags |= INSN_FIXED;
    }
    return true;
}

/* --- the quick decoder -------------------------------------------------------------------- */

/* libZydis takes 0.1 to 0.2 microseconds an instruction, and there are 25 000 to look at before the
 * program's first thread can run; to open it takes 100, or milliseconds where it is not in memory
 * yet. All but a few are of some plain forms, whose length follows from these tables; what is not
 * in them goes to libZydis. A unit test holds the two against each other over whole libraries. */
enum {
    SLOW = 0,       /* ask libZydis */
    KNOWN = 1 << 0, /* no operand bytes but what the other bits say */
    MODRM = KNOWN | 1 << 1,
    IMM8 = KNOWN | 1 << 2,
    IMM16 = KNOWN | 1 << 3,
    IMM32 = KNOWN | 1 << 4, /* 16 bits with prefix 66 */
    IMM64 = KNOWN | 1 << 5, /* 64 bits with REX.W, else as IMM32 */
    REL8 = KNOWN | 1 << 6,
    REL32 = KNOWN | 1 << 7,
    CLASS = 1 << 8, /* has flags of its own */
    PREFIX = 1 << 9,
};

#define ALU(op)                                                                                    \
    [op] = MODRM, [op + 1] = MODRM, [op + 2] = MODRM, [op + 3] = MODRM, [op + 4] = IMM8,           \
    [op + 5] = IMM32

static const uint16_t one_byte[256] = {
    ALU(0x00),
    ALU(0x08),
    ALU(0x10),
    ALU(0x18),
    ALU(0x20),
    ALU(0x28),
    ALU(0x30),
    ALU(0x38),
    [0x2e] = PREFIX,
    [0x50 ... 0x5f] = KNOWN, /* push, pop */
    [0x63] = MODRM,
    [0x64] = PREFIX,
    [0x66] = PREFIX,
    [0x68] = IMM32,
    [0x69] = MODRM | IMM32,
    [0x6a] = IMM8,
    [0x6b] = MODRM | IMM8,
    [0x70 ... 0x7f] = REL8,
    [0x80] = MODRM | IMM8,
    [0x81] = MODRM | IMM32,
    [0x83] = MODRM | IMM8,
    [0x84 ... 0x8b] = MODRM,
    [0x8d] = MODRM | CLASS,
    [0x90 ... 0x99] = KNOWN,
    [0xa4 ... 0xa7] = KNOWN,
    [0xa8] = IMM8,
    [0xa9] = IMM32,
    [0xaa ... 0xaf] = KNOWN,
    [0xb0 ... 0xb7] = IMM8,
    [0xb8 ... 0xbf] = IMM64,
    [0xc0 ... 0xc1] = MODRM | IMM8,
    [0xc2] = IMM16 | CLASS,
    [0xc3] = KNOWN | CLASS,
    [0xc6] = MODRM | IMM8,
    [0xc7] = MODRM | IMM32,
    [0xc9] = KNOWN,
    [0xcc] = KNOWN | CLASS,
    [0xd0 ... 0xd3] = MODRM,
    [0xd8 ... 0xdf] = MODRM, /* x87 */
    [0xe0 ... 0xe3] = REL8,
    [0xe8 ... 0xe9] = REL32 | CLASS,
    [0xeb] = REL8 | CLASS,
    [0xf0] = PREFIX,
    [0xf2 ... 0xf3] = PREFIX,
    [0xf4] = KNOWN | CLASS,
    [0xf6 ... 0xf7] = MODRM, /* and an immediate for test; see below */
    [0xfe] = MODRM,
    [0xff] = MODRM | CLASS,
};

static const uint16_t escaped[256] = {
    [0x00 ... 0x03] = MODRM, /* rdtscp and lsl are in the vDSO */
    [0x0d] = MODRM,
    [0x18 ... 0x1d] = MODRM, /* prefetches, and what may become something one day */
    [0x77] = KNOWN,
    [0xb8] = MODRM,
    [0xc3] = MODRM,
    [0xc4 ... 0xc5] = MODRM | IMM8,
    [0xd0] = MODRM,
    [0xf0] = MODRM,
    [0x05] = KNOWN | CLASS,
    [0x0b] = KNOWN | CLASS,
    [0x10 ... 0x17] = MODRM,
    [0x1e] = MODRM | CLASS,
    [0x1f] = MODRM,
    [0x28 ... 0x2f] = MODRM,
    [0x31] = KNOWN,
    [0x40 ... 0x4f] = MODRM,
    [0x50 ... 0x6f] = MODRM,
    [0x70 ... 0x73] = MODRM | IMM8,
    [0x74 ... 0x76] = MODRM,
    [0x7e ... 0x7f] = MODRM,
    [0x80 ... 0x8f] = REL32,
    [0x90 ... 0x9f] = MODRM,
    [0xa2] = KNOWN,
    [0xa3] = MODRM,
    [0xa4] = MODRM | IMM8,
    [0xa5] = MODRM,
    [0xab] = MODRM,
    [0xac] = MODRM | IMM8,
    [0xad] = MODRM,
    [0xae ... 0xb1] = MODRM,
    [0xb3] = MODRM,
    [0xb6 ... 0xb7] = MODRM,
    [0xba] = MODRM | IMM8,
    [0xbb ... 0xc1] = MODRM,
    [0xc2] = MODRM | IMM8,
    [0xc6] = MODRM | IMM8,
    [0xc7] = MODRM,
    [0xc8 ... 0xcf] = KNOWN,
    [0xd1 ... 0xef] = MODRM,
    [0xf1 ... 0xfe] = MODRM,
};

#undef ALU

/* The bytes of a memory operand behind its ModRM; sets disp and disp32. `first` is the
 * instruction's first byte. */
static unsigned operand_length(struct insn *insn, const uint8_t *first, const uint8_t *modrm)
{
    const unsigned mod = *modrm >> 6, rm = *modrm & 7;
    unsigned length = 0, disp = mod == 1 ? 1 : mod == 2 ? 4 : 0;

    if (mod == 3)
        return 0;
    if (rm == 4) {
        length = 1;
        if (mod == 0 && (modrm[1] & 7) == 5)
            disp = 4;
    } else if (mod == 0 && rm == 5) {
        disp = 4;
        insn->flags |= INSN_RIP;
    }
    if (disp == 4) {
        insn->disp = (uint8_t)(modrm + 1 + length - first);
        memcpy(&insn->disp32, modrm + 1 + length, 4);
    }
    return length + disp;
}

/* The VEX and EVEX forms: `p` is at c5, c4 or 62. Their maps are regular: a ModRM always, but for
 * vzeroupper, and in map 3 an immediate byte. */
static bool decode_vex(const uint8_t *first, const uint8_t *p, struct insn *insn)
{
    unsigned map = 1;

    switch (*p++) {
    case 0xc5:
        p += 1;
        break;
    case 0xc4:
        map = *p & 0x1f;
        p += 2;
        break;
    default:
        map = *p & 7;
        if ((p[0] & 8) || !(p[1] & 4))
            return false;
        p += 3;
        break;
    }
    if (map < 1 || map > 3)
        return false;
    insn->map = 0xff;
    insn->opcode = *p++;
    if (map == 1 && (insn->opcode & 0xf0) == 0x80) /* branches, on a CPU of long ago */
        return false;
    if (map != 1 || insn->opcode != 0x77) {
        insn->modrm = *p;
        p += 1 + operand_length(insn, first, p);
    }
    if (map == 3 || (map == 1 && ((insn->opcode & 0xfc) == 0x70 || insn->opcode == 0xc2 ||
                                  (insn->opcode >= 0xc4 && insn->opcode <= 0xc6))))
        p += 1;
    insn->length = (uint8_t)(p - first);
    if (insn->flags & INSN_RIP)
        insn->target = insn->addr + insn->length + (uintptr_t)(intptr_t)insn->disp32;
    return true;
}

/* `p` has the bytes of the instruction at addr, and up to 24 that can be read. */
static bool decode_quick(const uint8_t *p, uintptr_t addr, struct insn *insn)
{
    const uint8_t *const first = p;
    bool narrow = false;

    *insn = (struct insn){.addr = addr};
    for (unsigned n = 0; unlikely(one_byte[*p] & PREFIX); p++) {
        narrow |= *p == 0x66;
        if (++n > 4)
            return false;
    }
    if (p == first && (*p == 0xc5 || *p == 0xc4 || *p == 0x62))
        return decode_vex(first, p, insn);
    if ((*p & 0xf0) == 0x40)
        insn->rex = *p++ & 15;

    unsigned form = one_byte[*p];
    if (*p == 0x0f) {
        insn->map = ZYDIS_OPCODE_MAP_0F;
        form = escaped[*++p];
        if (*p == 0x38 || *p == 0x3a) { /* maps of their own, and regular */
            insn->map = *p == 0x38 ? ZYDIS_OPCODE_MAP_0F38 : ZYDIS_OPCODE_MAP_0F3A;
            form = *p++ == 0x38 ? MODRM : MODRM | IMM8;
        }
    }
    insn->opcode = *p++;
    if (!(form & KNOWN) || (narrow && (form & (REL8 | REL32) & ~KNOWN)))
        return false;
    if (form & MODRM & ~KNOWN) {
        insn->modrm = *p;
        p += 1 + operand_length(insn, first, p);
        if (!insn->map && (insn->opcode & 0xfe) == 0xf6 && (insn->modrm & 0x38) < 0x10)
            form |= insn->opcode == 0xf6 ? IMM8 : IMM32;
        if (!insn->map && (insn->opcode & 0xfe) == 0xc6 && insn->modrm == 0xf8)
            return false; /* xabort, xbegin */
    }
    const bool wide = (insn->rex & 8) != 0;
    if (form & IMM8 & ~KNOWN)
        p += 1;
    if (form & IMM16 & ~KNOWN)
        p += 2;
    if (form & IMM32 & ~KNOWN)
        p += narrow && !wide ? 2 : 4;
    if (form & IMM64 & ~KNOWN)
        p += wide ? 8 : narrow ? 2 : 4;

    int32_t rel = 0;
    if (form & REL8 & ~KNOWN) {
        rel = (int8_t)*p;
        p += 1;
    }
    if (form & REL32 & ~KNOWN) {
        memcpy(&rel, p, 4);
        p += 4;
    }
    insn->length = (uint8_t)(p - first);
    if (form & CLASS)
        insn->flags |= insn->map ? classify_0f(insn, first) : classify_one_byte(insn);
    if (form & (REL8 | REL32) & ~KNOWN)
        insn->flags |= INSN_RELATIVE | INSN_FIXED;
    if (form & (REL8 | REL32) & ~KNOWN)
        insn->target = addr + insn->length + (uintptr_t)(intptr_t)rel;
    else if (insn->flags & INSN_RIP)
        insn->target = addr + insn->length + (uintptr_t)(intptr_t)insn->disp32;
    return true;
}

#define QUICK_BYTES 24u /* the quick decoder looks before it knows the length */

bool decode_insn(uintptr_t addr, uintptr_t end, struct insn *insn)
{
    const uint8_t *bytes = (const uint8_t *)addr;
    uint8_t copy[QUICK_BYTES] = {0};

    if (addr >= end)
        return false;
    if (end - addr < QUICK_BYTES && addr % PAGE_SIZE > PAGE_SIZE - QUICK_BYTES) {
        memcpy(copy, bytes, end - addr);
        bytes = copy;
    }
    if (decode_quick(bytes, addr, insn) && insn->length <= 15 && insn->length <= end - addr)
        return true;
    return decode_exact(addr, end, insn);
}

/* --- walking a function ------------------------------------------------------------------- */

/* The walk wants no more than lengths, and has no time for branches that it cannot foresee: one
 * look-up an opcode. Made from the tables above. */
enum {
    STEP_IMM = 0x0f,
    STEP_MODRM = 1 << 4,
    STEP_IMM64 = 1 << 5,  /* four bytes more with REX.W */
    STEP_LOOK = 1 << 6,   /* and how, in the upper bits, as LOOK_KIND */
    STEP_SLOW = 1 << 7,   /* a prefix, not known, or of a length that its ModRM decides */
    STEP_F8 = 1 << 8,     /* with this ModRM, a branch: xbegin */
    STEP_NARROW = 1 << 9, /* two bytes fewer with 66 */
};

static uint32_t steps[512];
static uint8_t
    modrm_length[256]; /* with SIB and displacement; 80: a SIB without base has four more */

static uint32_t step_of(unsigned form, unsigned map, unsigned opcode)
{
    uint32_t step = 0;

    if (!(form & KNOWN) || (!map && (opcode & 0xfe) == 0xf6))
        return STEP_SLOW;
    if (form & MODRM & ~KNOWN)
        step |= STEP_MODRM;
    if (form & (IMM8 | REL8) & ~KNOWN)
        step += 1;
    if (form & IMM16 & ~KNOWN)
        step += 2;
    if (form & (IMM32 | IMM64 | REL32) & ~KNOWN)
        step = (step + 4) | STEP_NARROW;
    if (form & IMM64 & ~KNOWN)
        step |= STEP_IMM64;
    if (form & REL8 & ~KNOWN)
        step |= STEP_LOOK | LOOK_REL8;
    else if (!map && opcode == 0xe8)
        step |= STEP_LOOK | LOOK_CALL;
    else if (map ? opcode == 0x05 : opcode == 0xff)
        step |= STEP_LOOK | LOOK_OTHER;
    else if (!map && (opcode & 0xfe) == 0xc6)
        step |= STEP_F8;
    return step;
}

static void steps_init(void)
{
    for (unsigned i = 0; i < 256; i++) {
        const unsigned mod = i >> 6, rm = i & 7;
        steps[i] = step_of(one_byte[i], 0, i);
        steps[256 + i] = step_of(escaped[i], ZYDIS_OPCODE_MAP_0F, i);
        modrm_length[i] = (uint8_t)(1 + (mod != 3 && rm == 4) +
                                    (mod == 1                        ? 1
                                     : mod == 2 || (!mod && rm == 5) ? 4
                                                                     : 0));
        if (!mod && rm == 4)
            modrm_length[i] |= 0x80;
    }
}

/* What a ModRM adds to an instruction whose opcode has this step, if it has one. */
static always_inline unsigned operand_bytes(uint32_t step, unsigned modrm, unsigned sib)
{
    const unsigned operand = modrm_length[modrm], more = (operand >> 7 & ((sib & 7) == 5)) << 2;

    return ((operand & 15) + more) & (0u - (step >> 4 & 1)); /* STEP_MODRM */
}

/* The length of the instruction that begins at p, behind any prefixes but REX; 0 where this is not
 * the way. At most 15 bytes are read. What it is with and without the escape byte is computed side
 * by side: each instruction waits for the one before it, so what counts is the longest way from its
 * first byte to its length. */
static always_inline unsigned step_at(const uint8_t *p, uint32_t *step)
{
    uint64_t bytes;
    memcpy(&bytes, p, 8);
    const unsigned rex = (bytes & 0xf0) == 0x40, wide = rex & (unsigned)bytes >> 3;
    bytes >>= rex * 8;
    const unsigned escape = (bytes & 0xff) == 0x0f;
    bytes >>= escape * 8;
    *step = steps[escape << 8 | (bytes & 0xff)];
    if (unlikely(*step & STEP_SLOW))
        return 0;
    if (unlikely((*step & STEP_F8) && (bytes >> 8 & 0xff) == 0xf8))
        return 0;
    return rex + escape + 1 + (*step & STEP_IMM) +
           operand_bytes(*step, bytes >> 8 & 0xff, bytes >> 16 & 0xff) +
           ((*step >> 5 & wide) << 2); /* STEP_IMM64 */
}

/* The same with a few prefixes before it, and no more than a length: no branches. */
static unsigned step_behind_prefixes(const uint8_t *p)
{
    unsigned prefixes = 0, narrow = 0;
    uint32_t step;

    for (; one_byte[p[prefixes]] & PREFIX; prefixes++) {
        narrow |= p[prefixes] == 0x66;
        if (prefixes == 4)
            return 0;
    }
    const unsigned length = prefixes ? step_at(p + prefixes, &step) : 0;
    if (!length || (step & (STEP_LOOK | STEP_IMM64)) || (narrow && (step & STEP_NARROW)))
        return 0;
    return prefixes + length;
}

void decode_starts(uintptr_t start, uintptr_t end, uintptr_t limit, struct starts *starts)
{
    /* The quick way reads and takes no more than 20 bytes. */
    const uintptr_t quick = limit - start < 20 ? start : limit - 20,
                    quick_end = quick < end ? quick : end;
    uint32_t *const look = starts->look;
    uint32_t *out = starts->at;
    size_t looks = 0;
    uintptr_t at = start;

    if (!steps[0])
        steps_init();
    starts->vex = false;
    while (at < end) {
        struct insn insn;
        unsigned length;
        uint32_t step;

        const uint32_t index = (uint32_t)(out - starts->at);
        if (likely(at < quick_end)) {
            length = step_at((const uint8_t *)at, &step);
            if (likely(length)) {
                *out++ = (uint32_t)(at - start);
                look[looks] = index | (step & LOOK_KIND);
                looks += step >> 6 & 1; /* STEP_LOOK */
                at += length;
                continue;
            }
            length = step_behind_prefixes((const uint8_t *)at);
            if (length) {
                *out++ = (uint32_t)(at - start);
                at += length;
                continue;
            }
        }
        if (!decode_insn(at, limit, &insn))
            break;
        const uint8_t byte = *(const uint8_t *)at;
        starts->vex |= byte == 0xc4 || byte == 0xc5 || byte == 0x62;
        *out++ = (uint32_t)(at - start);
        if (insn.flags & INSN_FIXED)
            look[looks++] = index | LOOK_OTHER;
        at += insn.length;
    }
    *out = (uint32_t)(at - start);
    starts->count = (size_t)(out - starts->at);
    starts->look_count = looks;
}

/* --- rax ------------------------------------------------------------------------------------ */

static bool operand_is_rax(const ZydisDecodedOperand *operand)
{
    if (operand->type != ZYDIS_OPERAND_TYPE_REGISTER ||
        !(operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
        return false;
    switch (operand->reg.value) {
    case ZYDIS_REGISTER_RAX:
    case ZYDIS_REGISTER_EAX:
    case ZYDIS_REGISTER_AX:
    case ZYDIS_REGISTER_AH:
    case ZYDIS_REGISTER_AL:
        return true;
    default:
        return false;
    }
}

bool decode_exact_writes_rax(const struct insn *insn)
{
    ZydisDecodedInstruction d;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];

    if (!have_zydis() || !ZYAN_SUCCESS(zydis_decode_full(&full, (const void *)insn->addr,
                                                         insn->length, &d, operands)))
        return true;
    for (unsigned i = 0; i < d.operand_count; i++)
        if (operand_is_rax(&operands[i]))
            return true;
    return false;
}

enum writes { WRITES_NONE, WRITES_REG, WRITES_RM, WRITES_OPCODE, WRITES_RAX, WRITES_UNKNOWN };

/* Which general register an instruction of the common forms sets, if any but those that no operand
 * names. */
static enum writes writes_of(const struct insn *insn)
{
    const unsigned op = insn->opcode, reg = insn->modrm >> 3 & 7;

    if (insn->map == ZYDIS_OPCODE_MAP_0F)
        switch (op) {
        case 0x10 ... 0x17: /* vector registers and memory */
        case 0x28:
        case 0x29:
        case 0x51 ... 0x6f:
        case 0xd4:
        case 0xd6:
        case 0xef:
        case 0x1e: /* endbr64, nop */
        case 0x1f:
            return WRITES_NONE;
        case 0x40 ... 0x4f: /* cmov */
        case 0xaf:
        case 0xb6:
        case 0xb7:
        case 0xbe:
        case 0xbf:
            return WRITES_REG;
        case 0x90 ... 0x9f: /* setcc */
            return WRITES_RM;
        default:
            return WRITES_UNKNOWN;
        }
    if (insn->map != ZYDIS_OPCODE_MAP_DEFAULT)
        return WRITES_UNKNOWN;
    switch (op) {
    case 0x00 ... 0x3f:
        if ((op & 7) > 5)
            return WRITES_UNKNOWN;
        if (op >= 0x38) /* cmp */
            return WRITES_NONE;
        return (op & 7) < 2 ? WRITES_RM : (op & 7) < 4 ? WRITES_REG : WRITES_RAX;
    case 0x50 ... 0x57: /* push */
    case 0x68:
    case 0x6a:
    case 0x84: /* test */
    case 0x85:
    case 0xa8:
    case 0xa9:
    case 0xc9: /* leave */
        return WRITES_NONE;
    case 0x58 ... 0x5f: /* pop */
    case 0xb0 ... 0xbf: /* mov */
        return WRITES_OPCODE;
    case 0x63:
    case 0x69:
    case 0x6b:
    case 0x8a:
    case 0x8b:
    case 0x8d:
        return WRITES_REG;
    case 0x80:
    case 0x81:
    case 0x83:
        return reg == 7 ? WRITES_NONE : WRITES_RM;
    case 0x88:
    case 0x89:
    case 0xc0:
    case 0xc1:
    case 0xc6:
    case 0xc7:
    case 0xd0 ... 0xd3:
        return WRITES_RM;
    case 0xf6:
    case 0xf7:
        return reg < 2 ? WRITES_NONE : reg < 4 ? WRITES_RM : WRITES_RAX;
    case 0xfe:
    case 0xff:
        return reg < 2 ? WRITES_RM : reg == 6 ? WRITES_NONE : WRITES_UNKNOWN;
    default:
        return WRITES_UNKNOWN;
    }
}

bool decode_writes_rax(const struct insn *insn)
{
    /* As a byte, register 4 may be ah. */
    static const uint8_t ah_or_al = 0x11, al = 0x01;
    const bool byte = insn->map
                          ? (insn->opcode & 0xf0) == 0x90
                          : !(insn->opcode & 1) || (insn->opcode >= 0xb0 && insn->opcode < 0xb8);
    const uint8_t hits = byte ? ah_or_al : al;

    switch (writes_of(insn)) {
    case WRITES_NONE:
        return false;
    case WRITES_REG:
        return !(insn->rex & 4) && (hits >> (insn->modrm >> 3 & 7) & 1);
    case WRITES_RM:
        return insn->modrm >= 0xc0 && !(insn->rex & 1) && (hits >> (insn->modrm & 7) & 1);
    case WRITES_OPCODE:
        return !(insn->rex & 1) && (hits >> (insn->opcode & 7) & 1);
    case WRITES_RAX:
        return true;
    case WRITES_UNKNOWN:
        break;
    }
    return decode_exact_writes_rax(insn);
}

bool decode_rax_constant(const struct insn *insn, int32_t *value)
{
    if (insn->map != ZYDIS_OPCODE_MAP_DEFAULT || (insn->rex & ~8u))
        return false;
    const uint8_t *end = (const uint8_t *)insn->addr + insn->length;

    switch (insn->opcode) {
    case 0xb8:
        if (insn->length != 5) /* movabs */
            return false;
        break;
    case 0xc7:
        if (insn->modrm != 0xc0 || insn->length < 6)
            return false;
        break;
    case 0x31:
    case 0x33:
        *value = 0;
        return insn->modrm == 0xc0 && insn->length <= 3;
    default:
        return false;
    }
    memcpy(value, end - 4, 4);
    return *value >= 0;
}
