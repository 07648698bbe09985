// SPDX-License-Identifier: MIT
// Bits found, counted, gathered and scattered: BSF, BSR, TZCNT, LZCNT, POPCNT, BMI1, BMI2; and the
// others of maps 0F38 and 0F3A that work on general registers: MOVBE, CRC32, ADCX, ADOX.
#include "x86/bits.h"
#include "x86/emulate_system.h"
#include "x86/registers.h"

static void set_flags(struct emulation *e, u64 which, u64 value)
{
    e->rflags = (e->rflags & ~which) | (value & which);
}

static unsigned trailing_zeros(u64 v, unsigned bits)
{
    return v == 0 ? bits : (unsigned)__builtin_ctzll(v);
}

static unsigned leading_zeros(u64 v, unsigned bits)
{
    return v == 0 ? bits : (unsigned)__builtin_clzll(v) - (64 - bits);
}

static unsigned ones(u64 v)
{
    unsigned n = 0;
    for (; v != 0; v &= v - 1)
        n++;
    return n;
}

// BSF, BSR: without a bit the destination stays as it is, and of the flags ZF alone is defined.
// TZCNT, LZCNT: CF and ZF are.
static enum emulate_status scan(struct emulation *e, const struct instruction *i)
{
    bool backwards = i->opcode & 1;
    bool counts = i->repeat == 0xf3 && (e->features & (backwards ? EMULATE_LZCNT : EMULATE_BMI1));
    unsigned size = i->operand_size, bits = size * 8;
    u64 value;
    enum emulate_status s = emulate_load_rm(e, i, size, &value);
    if (s != EMULATE_DONE)
        return s;
    unsigned n = backwards ? leading_zeros(value, bits) : trailing_zeros(value, bits);
    if (counts) {
        set_flags(e, RFLAGS_CF | RFLAGS_ZF,
                  (value == 0 ? RFLAGS_CF : 0) | (n == 0 ? RFLAGS_ZF : 0));
    } else {
        set_flags(e, RFLAGS_ZF, value == 0 ? RFLAGS_ZF : 0);
        if (value == 0)
            return s;
        if (backwards)
            n = bits - 1 - n;
    }
    emulate_set_gpr(e, i->reg, size, n);
    return s;
}

static enum emulate_status popcnt(struct emulation *e, const struct instruction *i)
{
    u64 value;
    if (!(e->features & EMULATE_POPCNT))
        return emulate_raise_ud(e);
    enum emulate_status s = emulate_load_rm(e, i, i->operand_size, &value);
    if (s != EMULATE_DONE)
        return s;
    set_flags(e, ALU_FLAGS, value == 0 ? RFLAGS_ZF : 0);
    emulate_set_gpr(e, i->reg, i->operand_size, ones(value));
    return s;
}

enum emulate_status emulate_bits(struct emulation *e, const struct instruction *i)
{
    if (i->opcode != 0xb8)
        return scan(e, i); // BC, BD
    return i->repeat == 0xf3 ? popcnt(e, i) : emulate_raise_ud(e);
}

// ---- maps 0F38 and 0F3A ------------------------------------------------------------------------

static u64 swap(u64 v, unsigned size)
{
    return __builtin_bswap64(v) >> (64 - size * 8);
}

// F0 loads, F1 stores.
static enum emulate_status movbe(struct emulation *e, const struct instruction *i)
{
    struct operand rm;
    bool stores = i->opcode & 1;
    unsigned size = i->operand_size;
    if (!(e->features & EMULATE_MOVBE) || !i->has_memory)
        return emulate_raise_ud(e);
    enum emulate_status s = emulate_find_rm(e, i, size, stores ? WALK_WRITE : WALK_READ, 0, &rm);
    if (s != EMULATE_DONE)
        return s;
    if (stores)
        emulate_store(e, i, &rm, swap(e->gpr[i->reg], size));
    else
        emulate_set_gpr(e, i->reg, size, swap(emulate_load(e, i, &rm), size));
    return s;
}

// The polynomial 11EDC6F41H with its bits reversed (SDM Vol. 2, CRC32).
#define CRC32C 0x82f63b78u

static enum emulate_status crc32(struct emulation *e, const struct instruction *i)
{
    unsigned size = i->opcode & 1 ? i->operand_size : 1;
    u64 value;
    if (!(e->features & EMULATE_CRC32))
        return emulate_raise_ud(e);
    enum emulate_status s = emulate_load_rm(e, i, size, &value);
    if (s != EMULATE_DONE)
        return s;
    u32 crc = (u32)e->gpr[i->reg];
    for (unsigned n = 0; n < size * 8; n++)
        crc = crc >> 1 ^ ((crc ^ value >> n) & 1 ? CRC32C : 0);
    emulate_set_gpr(e, i->reg, 8, crc);
    return s;
}

// ADCX by 66, ADOX by F3: ADC with the carry in CF or in OF, and no other flag.
static enum emulate_status add_carry(struct emulation *e, const struct instruction *i)
{
    u64 flag = i->repeat == 0xf3 ? RFLAGS_OF : RFLAGS_CF, value;
    unsigned size = i->code_size == CODE_64 && (i->rex & 8) ? 8 : 4; // 66 does not make it 2
    if (!(e->features & EMULATE_ADX) || i->repeat == 0xf2 || (i->repeat == 0 && !i->operand_66))
        return emulate_raise_ud(e);
    enum emulate_status s = emulate_load_rm(e, i, size, &value);
    if (s != EMULATE_DONE)
        return s;
    u64 flags = e->rflags & flag ? RFLAGS_CF : 0;
    value = alu(ALU_ADC, size, value, e->gpr[i->reg], &flags);
    emulate_set_gpr(e, i->reg, size, value);
    set_flags(e, flag, flags & RFLAGS_CF ? flag : 0);
    return s;
}

enum emulate_status emulate_0f38(struct emulation *e, const struct instruction *i)
{
    switch (i->opcode) {
    case 0x82: // INVPCID
        return emulate_system(e, i);
    case 0xf0:
    case 0xf1:
        if (i->repeat == 0xf2)
            return crc32(e, i);
        return i->repeat == 0xf3 ? emulate_raise_ud(e) : movbe(e, i);
    case 0xf6:
        return i->repeat == 0 && !i->operand_66 ? EMULATE_UNSUPPORTED : add_carry(e, i); // WRSS
    default:
        return EMULATE_UNSUPPORTED;
    }
}

// ---- BMI1 and BMI2 -----------------------------------------------------------------------------

// The lowest bits of v to the places that mask names; and back.
static u64 scatter(u64 v, u64 mask)
{
    u64 r = 0;
    for (; mask != 0; mask &= mask - 1, v >>= 1)
        r |= v & 1 ? mask & -mask : 0;
    return r;
}

static u64 gather(u64 v, u64 mask)
{
    u64 r = 0;
    for (unsigned n = 0; mask != 0; mask &= mask - 1, n++)
        r |= v & mask & -mask ? BIT(n) : 0;
    return r;
}

static u64 low_bits(u64 v, unsigned n)
{
    return n < 64 ? v & (BIT(n) - 1) : v;
}

// What pp says.
enum { PP_NONE, PP_66, PP_F3, PP_F2 };

static unsigned pp_of(const struct instruction *i)
{
    return i->repeat == 0xf2 ? PP_F2 : i->repeat == 0xf3 ? PP_F3 : i->operand_66 ? PP_66 : PP_NONE;
}

// Whether it is one of them, and so what CPUID must offer; 0: it is none.
static u32 needs(const struct instruction *i)
{
    unsigned pp = pp_of(i);
    if (i->map == MAP_0F3A) // RORX
        return i->opcode == 0xf0 && pp == PP_F2 ? EMULATE_BMI2 : 0;
    if (i->map != MAP_0F38)
        return 0;
    switch (i->opcode) {
    case 0xf2: // ANDN
        return pp == PP_NONE ? EMULATE_BMI1 : 0;
    case 0xf3: // BLSR, BLSMSK, BLSI
        return pp == PP_NONE && emulate_group(i) >= 1 && emulate_group(i) <= 3 ? EMULATE_BMI1 : 0;
    case 0xf5: // BZHI, PEXT, PDEP
        return pp != PP_66 ? EMULATE_BMI2 : 0;
    case 0xf6: // MULX
        return pp == PP_F2 ? EMULATE_BMI2 : 0;
    case 0xf7: // BEXTR, and SHLX, SARX, SHRX
        return pp == PP_NONE ? EMULATE_BMI1 : EMULATE_BMI2;
    default:
        return 0;
    }
}

// F3: the lowest set bit and what is below it. CF tells whether there was one.
static void lowest_set(struct emulation *e, const struct instruction *i, u64 value)
{
    unsigned size = i->operand_size, group = emulate_group(i);
    u64 r = group == 1 ? value & (value - 1) : group == 2 ? value ^ (value - 1) : value & -value;
    bool carry = group == 3 ? value != 0 : value == 0;
    set_flags(e, RFLAGS_CF | RFLAGS_OF | RFLAGS_SF | RFLAGS_ZF,
              alu_result_flags(size, r) | (carry ? RFLAGS_CF : 0));
    emulate_set_gpr(e, i->vvvv, size, r);
}

// F5 and F7 with vvvv as the control. Returns what goes to reg.
static u64 by_control(struct emulation *e, const struct instruction *i, u64 value)
{
    unsigned size = i->operand_size, bits = size * 8, n = (u8)e->gpr[i->vvvv];
    u64 r = value;
    if (i->opcode == 0xf5) { // BZHI
        if (n < bits)
            r = low_bits(value, n);
        set_flags(e, RFLAGS_CF | RFLAGS_OF | RFLAGS_SF | RFLAGS_ZF,
                  alu_result_flags(size, r) | (n >= bits ? RFLAGS_CF : 0));
    } else { // BEXTR: from bit n as many as the next byte says
        r = n < bits ? low_bits(value >> n, (u8)(e->gpr[i->vvvv] >> 8)) : 0;
        set_flags(e, RFLAGS_CF | RFLAGS_OF | RFLAGS_ZF, r == 0 ? RFLAGS_ZF : 0);
    }
    return r;
}

// Those that change no flag.
static u64 without_flags(struct emulation *e, const struct instruction *i, u64 value)
{
    static const u8 shifts[4] = {[PP_66] = ALU_SHL, [PP_F3] = ALU_SAR, [PP_F2] = ALU_SHR};
    unsigned size = i->operand_size;
    u64 flags = 0, other = emulate_cut(e->gpr[i->vvvv], size);
    switch (i->opcode) {
    case 0xf0:
        return alu_shift(ALU_ROR, size, value, (u8)i->immediate, &flags);
    case 0xf5:
        return pp_of(i) == PP_F2 ? scatter(other, value) : gather(other, value);
    case 0xf6: // MULX: the lower half to vvvv, the upper to reg, which wins
        emulate_set_gpr(e, i->vvvv, size,
                        alu_multiply(false, size, e->gpr[RDX], value, &other, &flags));
        return other;
    default: // F7
        return alu_shift(shifts[pp_of(i)], size, value, (u8)other, &flags);
    }
}

enum emulate_status emulate_vex(struct emulation *e, const struct instruction *i)
{
    u32 feature = needs(i);
    u64 value;
    if (feature == 0)
        return EMULATE_UNSUPPORTED;
    // VEX is none in real and virtual-8086 mode; RORX has no second source.
    if (!(e->features & feature) || i->vex_l || !emulate_is_protected(e) ||
        (i->map == MAP_0F3A && i->vvvv != 0))
        return emulate_raise_ud(e);
    enum emulate_status s = emulate_load_rm(e, i, i->operand_size, &value);
    if (s != EMULATE_DONE)
        return s;
    if (i->map == MAP_0F38 && i->opcode == 0xf3) {
        lowest_set(e, i, value);
        return s;
    }
    if (i->map == MAP_0F38 && i->opcode == 0xf2) { // ANDN
        value = alu(ALU_AND, i->operand_size, ~e->gpr[i->vvvv], value, &e->rflags);
    } else {
        bool control = i->map == MAP_0F38 && pp_of(i) == PP_NONE;
        value = control ? by_control(e, i, value) : without_flags(e, i, value);
    }
    emulate_set_gpr(e, i->reg, i->operand_size, value);
    return s;
}
