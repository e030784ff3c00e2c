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

    if (addr >= end || !ZYAN_SUCCESS(zydis_decode(&lengths, NULL, bytes, end - addr, &d)))
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

/* libZydis takes 0.1 to 0.2 microseconds an instruction, and there are 25 000 to look at
 * before the program's first thread can run. Nineteen of twenty are of a few plain forms, whose
 * length follows from these tables; what is not in them goes to libZydis. A unit test holds the
 * two against each other over whole libraries. */
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
    [0x05] = KNOWN | CLASS,  [0x0b] = KNOWN | CLASS,  [0x10 ... 0x17] = MODRM,
    [0x1e] = MODRM | CLASS,  [0x1f] = MODRM,          [0x28 ... 0x2f] = MODRM,
    [0x40 ... 0x4f] = MODRM, [0x50 ... 0x6f] = MODRM, [0x70 ... 0x73] = MODRM | IMM8,
    [0x74 ... 0x76] = MODRM, [0x7e ... 0x7f] = MODRM, [0x80 ... 0x8f] = REL32,
    [0x90 ... 0x9f] = MODRM, [0xa2] = KNOWN,          [0xa3] = MODRM,
    [0xa4] = MODRM | IMM8,   [0xa5] = MODRM,          [0xab] = MODRM,
    [0xac] = MODRM | IMM8,   [0xad] = MODRM,          [0xae ... 0xb1] = MODRM,
    [0xb3] = MODRM,          [0xb6 ... 0xb7] = MODRM, [0xba] = MODRM | IMM8,
    [0xbb ... 0xc1] = MODRM, [0xc2] = MODRM | IMM8,   [0xc6] = MODRM | IMM8,
    [0xc7] = MODRM,          [0xc8 ... 0xcf] = KNOWN, [0xd1 ... 0xef] = MODRM,
    [0xf1 ... 0xfe] = MODRM,
};

#undef ALU

/* The bytes of a memory operand behind its ModRM; sets disp and disp32. */
static unsigned operand_length(struct insn *insn, const uint8_t *modrm)
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
        insn->disp = (uint8_t)((uintptr_t)modrm + 1 + length - insn->addr);
        memcpy(&insn->disp32, modrm + 1 + length, 4);
    }
    return length + disp;
}

static bool decode_quick(uintptr_t addr, struct insn *insn)
{
    const uint8_t *p = (const uint8_t *)addr;
    bool narrow = false;

    *insn = (struct insn){.addr = addr};
    for (unsigned n = 0; unlikely(one_byte[*p] & PREFIX); p++) {
        narrow |= *p == 0x66;
        if (++n > 4)
            return false;
    }
    if ((*p & 0xf0) == 0x40)
        insn->rex = *p++ & 15;

    unsigned form = one_byte[*p];
    if (*p == 0x0f) {
        insn->map = ZYDIS_OPCODE_MAP_0F;
        form = escaped[*++p];
    }
    insn->opcode = *p++;
    if (!(form & KNOWN) || (narrow && (form & (REL8 | REL32) & ~KNOWN)))
        return false;
    if (form & MODRM & ~KNOWN) {
        insn->modrm = *p;
        p += 1 + operand_length(insn, p);
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
    insn->length = (uint8_t)((uintptr_t)p - addr);
    if (form & CLASS)
        insn->flags |=
            insn->map ? classify_0f(insn, (const uint8_t *)addr) : classify_one_byte(insn);
    if (form & (REL8 | REL32) & ~KNOWN)
        insn->flags |= INSN_RELATIVE | INSN_FIXED;
    if (form & (REL8 | REL32) & ~KNOWN)
        insn->target = addr + insn->length + (uintptr_t)(intptr_t)rel;
    else if (insn->flags & INSN_RIP)
        insn->target = addr + insn->length + (uintptr_t)(intptr_t)insn->disp32;
    return true;
}

bool decode_insn(uintptr_t addr, uintptr_t end, struct insn *insn)
{
    /* The quick decoder looks before it knows the length: up to 24 bytes, which must be there. */
    const bool room = addr < end && (end - addr >= 24 || addr % PAGE_SIZE <= PAGE_SIZE - 24);

    if (room && decode_quick(addr, insn) && insn->length <= 15 && insn->length <= end - addr)
        return true;
    return decode_exact(addr, end, insn);
}

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

bool decode_writes_rax(const struct insn *insn)
{
    if (insn->map == ZYDIS_OPCODE_MAP_DEFAULT) {
        const bool reg_is_rax = !(insn->modrm & 0x38) && !(insn->rex & 4);
        const bool rm_is_rax = insn->modrm >= 0xc0 && !(insn->modrm & 7) && !(insn->rex & 1);

        /* Most of what stands before a syscall; spares the slow decoder. */
        switch (insn->opcode) {
        case 0x01:
        case 0x29:
        case 0x31:
        case 0x89:
            return rm_is_rax;
        case 0x03:
        case 0x33:
        case 0x63:
        case 0x8b:
        case 0x8d:
            return reg_is_rax;
        case 0xb9:
        case 0xba:
        case 0xbb:
        case 0xbc:
        case 0xbd:
        case 0xbe:
        case 0xbf:
            return false;
        default:
            break;
        }
    }

    ZydisDecodedInstruction d;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    if (!ZYAN_SUCCESS(
            zydis_decode_full(&full, (const void *)insn->addr, insn->length, &d, operands)))
        return true;
    for (unsigned i = 0; i < d.operand_count; i++)
        if (operand_is_rax(&operands[i]))
            return true;
    return false;
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
