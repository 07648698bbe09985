// SPDX-License-Identifier: MIT
#include "x86/decode.h"

#include "x86/registers.h"

// What follows an opcode, and how its operand size is chosen (SDM Vol. 2, appendix A).
enum {
    MODRM = 0x01,
    BYTE = 0x02,      // operands of one byte
    IMM8 = 0x04,      // a byte
    IMMZ = 0x08,      // 2 bytes, or 4 with an operand size of 4 or 8
    STACK = 0x10,     // in 64-bit mode the operand has 8 bytes, or 2 with 66
    NEAR = 0x20,      // in 64-bit mode the operand has 8 bytes
    NO64 = 0x40,      // undefined in 64-bit mode
    IRREGULAR = 0x80, // the rest is in irregular_forms()
    UD = 0xff,
};

// Short names for the tables only.
#define __ 0
#define M_ MODRM
#define MB (MODRM | BYTE)
#define M8 (MODRM | IMM8)
#define MZ (MODRM | IMMZ)
#define Mb (MODRM | BYTE | IMM8)
#define MO (MODRM | IRREGULAR)
#define MS (MODRM | STACK)
#define I8 IMM8
#define Ib (BYTE | IMM8)
#define IZ IMMZ
#define B_ BYTE
#define O_ IRREGULAR
#define OB (IRREGULAR | BYTE)
#define O8 (IRREGULAR | IMM8)
#define S_ STACK
#define S8 (STACK | IMM8)
#define SZ (STACK | IMMZ)
#define SO (STACK | IRREGULAR)
#define N_ NEAR
#define N8 (NEAR | IMM8)
#define NZ (NEAR | IMMZ)
#define NO (NEAR | IRREGULAR)
#define X_ NO64
#define X8 (NO64 | IMM8)
#define XM (NO64 | MODRM)
#define XO (NO64 | IRREGULAR)
#define Xb (NO64 | MODRM | BYTE | IMM8)
#define MX (MODRM | BYTE | IRREGULAR)

static const u8 one_byte[256] = {
    //       0   1   2   3   4   5   6   7   8   9   a   b   c   d   e   f
    /* 0 */ MB, M_, MB, M_, Ib, IZ, X_, X_, MB, M_, MB, M_, Ib, IZ, X_, UD,
    /* 1 */ MB, M_, MB, M_, Ib, IZ, X_, X_, MB, M_, MB, M_, Ib, IZ, X_, X_,
    /* 2 */ MB, M_, MB, M_, Ib, IZ, UD, X_, MB, M_, MB, M_, Ib, IZ, UD, X_,
    /* 3 */ MB, M_, MB, M_, Ib, IZ, UD, X_, MB, M_, MB, M_, Ib, IZ, UD, X_,
    /* 4 */ __, __, __, __, __, __, __, __, __, __, __, __, __, __, __, __,
    /* 5 */ S_, S_, S_, S_, S_, S_, S_, S_, S_, S_, S_, S_, S_, S_, S_, S_,
    /* 6 */ X_, X_, XM, MO, UD, UD, UD, UD, SZ, MZ, S8, M8, B_, O_, B_, O_,
    /* 7 */ N8, N8, N8, N8, N8, N8, N8, N8, N8, N8, N8, N8, N8, N8, N8, N8,
    /* 8 */ Mb, MZ, Xb, M8, MB, M_, MB, M_, MB, M_, MB, M_, M_, M_, M_, MS,
    /* 9 */ __, __, __, __, __, __, __, __, __, __, XO, __, S_, S_, __, __,
    /* a */ OB, O_, OB, O_, B_, __, B_, __, Ib, IZ, B_, __, B_, __, B_, __,
    /* b */ Ib, Ib, Ib, Ib, Ib, Ib, Ib, Ib, O_, O_, O_, O_, O_, O_, O_, O_,
    /* c */ Mb, M8, NO, N_, XM, XM, Mb, MZ, SO, S_, O_, __, __, I8, X_, __,
    /* d */ MB, M_, MB, M_, X8, X8, X_, B_, M_, M_, M_, M_, M_, M_, M_, M_,
    /* e */ N8, N8, N8, N8, Ib, O8, Ib, O8, NZ, NZ, XO, N8, B_, O_, B_, O_,
    /* f */ UD, __, UD, UD, __, __, MX, MO, __, __, __, __, __, __, MB, MO,
};

static const u8 map_0f[256] = {
    //       0   1   2   3   4   5   6   7   8   9   a   b   c   d   e   f
    /* 0 */ M_, M_, M_, M_, UD, __, __, __, __, __, UD, __, UD, M_, __, M8,
    /* 1 */ M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_,
    /* 2 */ MO, MO, MO, MO, UD, UD, UD, UD, M_, M_, M_, M_, M_, M_, M_, M_,
    /* 3 */ __, __, __, __, __, __, UD, __, UD, UD, UD, UD, UD, UD, UD, UD,
    /* 4 */ M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_,
    /* 5 */ M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_,
    /* 6 */ M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_,
    /* 7 */ M8, M8, M8, M8, M_, M_, M_, __, M_, M_, UD, UD, M_, M_, M_, M_,
    /* 8 */ NZ, NZ, NZ, NZ, NZ, NZ, NZ, NZ, NZ, NZ, NZ, NZ, NZ, NZ, NZ, NZ,
    /* 9 */ MB, MB, MB, MB, MB, MB, MB, MB, MB, MB, MB, MB, MB, MB, MB, MB,
    /* a */ S_, S_, __, M_, M8, M_, UD, UD, S_, S_, __, M_, M8, M_, M_, M_,
    /* b */ MB, M_, M_, M_, M_, M_, M_, M_, M_, M_, M8, M_, M_, M_, M_, M_,
    /* c */ MB, M_, M8, M_, M8, M8, M8, M_, __, __, __, __, __, __, __, __,
    /* d */ M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_,
    /* e */ M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_,
    /* f */ M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_, M_,
};

// The bytes still to come.
struct cursor {
    const u8 *at;
    unsigned left; // bytes
    bool short_of; // more were wanted than there are
};

static u8 take8(struct cursor *c)
{
    if (c->left == 0) {
        c->short_of = true;
        return 0;
    }
    c->left--;
    return *c->at++;
}

// size bytes (1, 2, 4, 8), sign-extended.
static i64 take(struct cursor *c, unsigned size)
{
    int16_t v16;
    int32_t v32;
    i64 v64;
    if (c->left < size) {
        c->short_of = true;
        return 0;
    }
    const u8 *from = c->at;
    c->at += size;
    c->left -= size;
    switch (size) {
    case 1:
        return (int8_t)*from;
    case 2:
        __builtin_memcpy(&v16, from, 2);
        return v16;
    case 4:
        __builtin_memcpy(&v32, from, 4);
        return v32;
    default:
        __builtin_memcpy(&v64, from, 8);
        return v64;
    }
}

static u8 peek(const struct cursor *c)
{
    return c->left ? *c->at : 0;
}

// Takes the prefixes and returns the byte after them. REX counts only as the last of them (SDM
// Vol. 2, 2.2.1); of F2 and F3, and of segment overrides, the last one given.
static u8 take_prefixes(struct cursor *c, struct instruction *i, bool *address_67)
{
    bool wide = i->code_size == CODE_64;
    u8 rex = 0;
    for (;;) {
        u8 byte = take8(c);
        if (wide && (byte & 0xf0) == 0x40) {
            rex = byte;
            continue;
        }
        switch (byte) {
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e:
            if (!wide)
                i->segment_override = SEG_ES + (byte >> 3 & 3);
            break;
        case 0x64:
        case 0x65:
            i->segment_override = SEG_FS + (byte & 1);
            break;
        case 0x66:
            i->operand_66 = true;
            break;
        case 0x67:
            *address_67 = true;
            break;
        case 0xf0:
            i->lock = true;
            break;
        case 0xf2:
        case 0xf3:
            i->repeat = byte;
            break;
        default:
            i->rex = rex;
            return byte;
        }
        rex = 0;
    }
}

// ModRM's memory operand with SIB and displacement (SDM Vol. 2, tables 2-1 to 2-3).
static void take_memory(struct cursor *c, struct instruction *i, unsigned rex)
{
    static const u8 base_16[8] = {RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX};
    static const u8 index_16[4] = {RSI, RDI, RSI, RDI};
    struct memory_operand *m = &i->memory;
    unsigned mod = i->modrm >> 6, rm = i->modrm & 7;
    unsigned displacement_size = mod == 1 ? 1 : mod == 2 ? i->address_size : 0;

    i->has_memory = true;
    m->scale = 1;
    m->index = NO_REGISTER;
    if (i->address_size == 2) {
        m->base = base_16[rm];
        if (rm < 4)
            m->index = index_16[rm];
        if (mod == 0 && rm == 6) {
            m->base = NO_REGISTER;
            displacement_size = 2;
        }
    } else {
        bool sib = rm == 4;
        if (sib) {
            u8 byte = take8(c);
            unsigned index = (byte >> 3 & 7) | (rex & 2) << 2;
            if (index != RSP) {
                m->index = (u8)index;
                m->scale = (u8)(1u << (byte >> 6));
            }
            rm = byte & 7;
        }
        displacement_size = MIN(displacement_size, 4u);
        m->base = (u8)(rm | (rex & 1) << 3);
        if (mod == 0 && rm == 5) {
            m->base = NO_REGISTER;
            m->rip_based = !sib && i->code_size == CODE_64;
            displacement_size = 4;
        }
    }
    if (displacement_size)
        m->displacement = take(c, displacement_size);
    m->segment = m->base == RBP || m->base == RSP ? SEG_SS : SEG_DS;
}

static void take_modrm(struct cursor *c, struct instruction *i, unsigned rex, bool registers_only)
{
    i->has_modrm = true;
    i->modrm = take8(c);
    i->reg = (u8)((i->modrm >> 3 & 7) | (rex & 4) << 1);
    if (i->modrm >= 0xc0 || registers_only)
        i->rm = (u8)((i->modrm & 7) | (rex & 1) << 3);
    else
        take_memory(c, i, rex);
}

static void take_immediate(struct cursor *c, struct instruction *i, unsigned size)
{
    i->immediate_size = (u8)size;
    i->immediate = take(c, size);
}

static u8 operand_size(const struct instruction *i, unsigned form)
{
    if (form & BYTE)
        return 1;
    if (i->code_size != CODE_64)
        return (i->code_size == CODE_16) == i->operand_66 ? 4 : 2;
    if ((i->rex & 8) || (form & NEAR))
        return 8;
    return i->operand_66 ? 2 : form & STACK ? 8 : 4;
}

// What the table does not say. Returns the form that remains.
static unsigned irregular_forms(struct cursor *c, struct instruction *i, unsigned form)
{
    unsigned group = i->modrm >> 3 & 7;
    if (i->map == MAP_0F) { // 20..23, MOV of CR and DR
        i->operand_size = i->code_size == CODE_64 ? 8 : 4;
        return form;
    }
    switch (i->opcode) {
    case 0x63: // ARPL, or MOVSXD
        if (i->code_size != CODE_64)
            i->operand_size = 2;
        break;
    case 0x6d: // INS, OUTS, IN, OUT: no port is wider than 4 bytes
    case 0x6f:
    case 0xe5:
    case 0xe7:
    case 0xed:
    case 0xef:
        i->operand_size = MIN(i->operand_size, (u8)4);
        break;
    case 0x9a: // CALL and JMP to a far pointer
    case 0xea:
        take_immediate(c, i, i->operand_size);
        i->immediate2 = (u16)take(c, 2);
        break;
    case 0xa0 ... 0xa3:
        i->has_memory = true;
        i->memory = (struct memory_operand){
            .segment = SEG_DS, .base = NO_REGISTER, .index = NO_REGISTER, .scale = 1};
        i->memory.displacement = take(c, i->address_size);
        break;
    case 0xb8 ... 0xbf:
        take_immediate(c, i, i->operand_size);
        break;
    case 0xc2:
    case 0xca:
        take_immediate(c, i, 2);
        break;
    case 0xc8: // ENTER
        take_immediate(c, i, 2);
        i->immediate2 = take8(c);
        break;
    case 0xf6:
        return group < 2 ? form | IMM8 : form;
    case 0xf7:
        return group < 2 ? form | IMMZ : form;
    case 0xff:
        if (group == 2 || group == 4 || group == 6)
            i->operand_size = operand_size(i, group == 6 ? STACK : NEAR);
        break;
    default:
        break;
    }
    return form;
}

// The bytes after C4, C5 or 62, and all that follows (SDM Vol. 2, 2.3 and 2.7). Register bits are
// REX's, inverted; pp stands for 66, F3 or F2.
static void take_vector(struct cursor *c, struct instruction *i, u8 prefix)
{
    static const u8 repeats[4] = {0, 0, 0xf3, 0xf2};
    u8 first = take8(c), last = first; // the one with vvvv, L, pp
    unsigned rex = (u8)~first >> 5;    // R, X, B
    i->encoding = prefix == 0x62 ? ENCODING_EVEX : ENCODING_VEX;
    i->map = MAP_0F;
    i->operand_size = 4;
    if (prefix == 0xc5) {
        rex &= 4;
    } else {
        i->map = first & (prefix == 0x62 ? 0x07 : 0x1f);
        last = take8(c);
        if (prefix == 0x62)
            take8(c);
        if (i->code_size == CODE_64 && (last & 0x80))
            i->operand_size = 8;
    }
    i->vvvv = (u8)~last >> 3 & 15;
    i->vex_l = last >> 2 & 1;
    i->operand_66 = (last & 3) == 1;
    i->repeat = repeats[last & 3];
    if (i->code_size != CODE_64) {
        rex = 0;
        i->vvvv &= 7;
    }
    i->opcode = take8(c);
    bool no_modrm = i->encoding == ENCODING_VEX && i->map == MAP_0F && i->opcode == 0x77;
    if (!no_modrm)
        take_modrm(c, i, rex, false);
    if (i->map == MAP_0F3A || (i->map == MAP_0F && map_0f[i->opcode] == M8))
        take_immediate(c, i, 1);
}

static unsigned take_opcode(struct cursor *c, struct instruction *i, u8 byte)
{
    i->opcode = byte;
    if (byte != 0x0f)
        return one_byte[byte];
    i->map = MAP_0F;
    i->opcode = take8(c);
    if (i->opcode != 0x38 && i->opcode != 0x3a)
        return map_0f[i->opcode];
    i->map = i->opcode == 0x38 ? MAP_0F38 : MAP_0F3A;
    i->opcode = take8(c);
    return i->map == MAP_0F38 ? M_ : M8;
}

static enum error take_instruction(struct cursor *c, struct instruction *i)
{
    bool address_67 = false;
    u8 byte = take_prefixes(c, i, &address_67);
    if (i->code_size == CODE_64)
        i->address_size = address_67 ? 4 : 8;
    else
        i->address_size = (i->code_size == CODE_16) == address_67 ? 4 : 2;

    // Outside 64-bit mode these are LES, LDS and BOUND unless they name two registers.
    if ((byte == 0xc4 || byte == 0xc5 || byte == 0x62) &&
        (i->code_size == CODE_64 || peek(c) >= 0xc0)) {
        if (i->lock || i->operand_66 || i->repeat != 0 || i->rex != 0)
            return ERR_INVALID; // SDM Vol. 2, 2.3.2 to 2.3.4
        take_vector(c, i, byte);
    } else {
        unsigned form = take_opcode(c, i, byte);
        if (form == UD || ((form & NO64) && i->code_size == CODE_64))
            return ERR_INVALID;
        i->operand_size = operand_size(i, form);
        if (form & MODRM)
            take_modrm(c, i, i->rex, (form & IRREGULAR) && i->map == MAP_0F);
        else
            i->reg = (u8)((i->opcode & 7) | (i->rex & 1) << 3);
        if (form & IRREGULAR)
            form = irregular_forms(c, i, form);
        if (form & IMM8)
            take_immediate(c, i, 1);
        else if (form & IMMZ)
            take_immediate(c, i, MIN(i->operand_size, 4u));
    }
    if (i->has_memory && i->segment_override != NO_REGISTER)
        i->memory.segment = i->segment_override;
    return OK;
}

enum error decode(const u8 *code, unsigned available, enum code_size code_size,
                  struct instruction *i)
{
    struct cursor c = {.at = code, .left = MIN(available, (unsigned)INSTRUCTION_MAX)};
    *i = (struct instruction){.code_size = (u8)code_size, .segment_override = NO_REGISTER};
    enum error e = take_instruction(&c, i);
    if (c.short_of)
        return available >= INSTRUCTION_MAX ? ERR_FORMAT : ERR_TRUNCATED;
    i->length = (u8)(c.at - code);
    return e;
}
