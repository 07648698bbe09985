// SPDX-License-Identifier: MIT
// MUL, IMUL, DIV, IDIV, and shifts and rotates, where they have an operand in memory.
#include "x86/emulate_system.h"
#include "x86/registers.h"
#include "x86/vectors.h"

// DX:AX and its kin; of bytes AX.
static void set_pair(struct emulation *e, unsigned size, u64 low, u64 high)
{
    if (size == 1) {
        emulate_set_gpr(e, RAX, 2, low | high << 8);
        return;
    }
    emulate_set_gpr(e, RAX, size, low);
    emulate_set_gpr(e, RDX, size, high);
}

// F6 and F7 /4 to /7: MUL, IMUL, DIV, IDIV of the pair by rm.
static enum emulate_status pair_by_rm(struct emulation *e, const struct instruction *i)
{
    unsigned size = i->operand_size;
    bool is_signed = emulate_group(i) & 1;
    u64 value, low = e->gpr[RAX], high = size == 1 ? low >> 8 : e->gpr[RDX];
    enum emulate_status s = emulate_load_rm(e, i, size, &value);
    if (s != EMULATE_DONE)
        return s;
    if (emulate_group(i) < 6)
        low = alu_multiply(is_signed, size, low, value, &high, &e->rflags);
    else if (!alu_divide(is_signed, size, &high, &low, value))
        return emulate_raise(e, (struct emulate_exception){.vector = VECTOR_DE});
    set_pair(e, size, low, high);
    return s;
}

// reg = rm times an immediate or reg itself.
static enum emulate_status reg_by_rm(struct emulation *e, const struct instruction *i, u64 factor)
{
    u64 value, high;
    enum emulate_status s = emulate_load_rm(e, i, i->operand_size, &value);
    if (s != EMULATE_DONE)
        return s;
    value = alu_multiply(true, i->operand_size, value, factor, &high, &e->rflags);
    emulate_set_gpr(e, i->reg, i->operand_size, value);
    return s;
}

enum emulate_status emulate_multiply(struct emulation *e, const struct instruction *i)
{
    if (i->map == MAP_0F) // AF
        return reg_by_rm(e, i, e->gpr[i->reg]);
    if (i->opcode == 0x69 || i->opcode == 0x6b)
        return reg_by_rm(e, i, (u64)i->immediate);
    return pair_by_rm(e, i);
}

// rm is written even where the count is 0.
static enum emulate_status shift_rm(struct emulation *e, const struct instruction *i, bool twice,
                                    unsigned count)
{
    struct operand rm;
    unsigned size = i->operand_size;
    enum emulate_status s = emulate_find_rm(e, i, size, WALK_WRITE, 0, &rm);
    if (s != EMULATE_DONE)
        return s;
    u64 value = emulate_load(e, i, &rm);
    if (twice)
        value = alu_shift_double(i->opcode < 0xa8, size, value, e->gpr[i->reg], count, &e->rflags);
    else
        value = alu_shift(emulate_group(i), size, value, count, &e->rflags);
    emulate_store(e, i, &rm, value);
    return s;
}

enum emulate_status emulate_shift(struct emulation *e, const struct instruction *i)
{
    if (i->map == MAP_0F) // SHLD A4, A5; SHRD AC, AD
        return shift_rm(e, i, true, (u8)(i->opcode & 1 ? e->gpr[RCX] : (u64)i->immediate));
    switch (i->opcode & 0xfe) {
    case 0xc0:
        return shift_rm(e, i, false, (u8)i->immediate);
    case 0xd0:
        return shift_rm(e, i, false, 1);
    default: // D2
        return shift_rm(e, i, false, (u8)e->gpr[RCX]);
    }
}
