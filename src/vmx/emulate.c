// SPDX-License-Identifier: MIT
#include "vmx/emulate.h"

#include "ept/walk.h"
#include "vmx/alu.h"
#include "vmx/emulate_internal.h"

#define VECTOR_UD 6

// ---- operands --------------------------------------------------------------------------------

// ModRM.rm's operand, or moffs.
struct operand {
    bool memory;
    u8 reg; // otherwise
    u8 size;
    struct place place;
};

static enum emulate_status find_rm(struct emulation *e, const struct instruction *i, unsigned size,
                                   u32 access, i64 displacement, struct operand *o)
{
    o->memory = i->has_memory;
    o->reg = i->rm;
    o->size = (u8)size;
    if (!o->memory)
        return EMULATE_DONE;
    u64 offset = memory_offset(i, e->gpr, e->rip) + (u64)displacement;
    return emulate_reach(e, i->memory.segment, emulate_cut(offset, i->address_size), size, access,
                         &o->place);
}

static u64 load(struct emulation *e, const struct instruction *i, const struct operand *o)
{
    return o->memory ? emulate_read(e, &o->place) : emulate_get_reg(e, i, o->reg, o->size);
}

static void store(struct emulation *e, const struct instruction *i, const struct operand *o,
                  u64 value)
{
    if (o->memory)
        emulate_write(e, &o->place, value);
    else
        emulate_set_reg(e, i, o->reg, o->size, value);
}

// ---- kinds of instructions -------------------------------------------------------------------

// Each kind accesses nothing before all that can fail has been tried; the caller moves RIP.

// rm = reg or an immediate.
static enum emulate_status mov_to_rm(struct emulation *e, const struct instruction *i, u64 value)
{
    struct operand rm;
    enum emulate_status s = find_rm(e, i, i->operand_size, WALK_WRITE, 0, &rm);
    if (s == EMULATE_DONE)
        store(e, i, &rm, emulate_cut(value, i->operand_size));
    return s;
}

// reg = rm of size bytes, extended to the operand size.
static enum emulate_status mov_from_rm(struct emulation *e, const struct instruction *i,
                                       unsigned reg, unsigned size, bool is_signed)
{
    struct operand rm;
    enum emulate_status s = find_rm(e, i, size, WALK_READ, 0, &rm);
    if (s != EMULATE_DONE)
        return s;
    u64 value = load(e, i, &rm);
    emulate_set_reg(e, i, reg, i->operand_size,
                    is_signed ? emulate_sign_extend(value, size) : value);
    return s;
}

// rm = rm op b; TEST and CMP do not write.
static enum emulate_status alu_rm(struct emulation *e, const struct instruction *i, enum alu_op op,
                                  u64 b)
{
    struct operand rm;
    bool writes = op != ALU_CMP && op != ALU_TEST;
    enum emulate_status s = find_rm(e, i, i->operand_size, writes ? WALK_WRITE : WALK_READ, 0, &rm);
    if (s != EMULATE_DONE)
        return s;
    u64 r = alu(op, i->operand_size, load(e, i, &rm), b, &e->rflags);
    if (writes)
        store(e, i, &rm, r);
    return s;
}

// reg = reg op rm.
static enum emulate_status alu_reg(struct emulation *e, const struct instruction *i, enum alu_op op)
{
    struct operand rm;
    enum emulate_status s = find_rm(e, i, i->operand_size, WALK_READ, 0, &rm);
    if (s != EMULATE_DONE)
        return s;
    u64 r = alu(op, i->operand_size, emulate_get_reg(e, i, i->reg, i->operand_size),
                load(e, i, &rm), &e->rflags);
    if (op != ALU_CMP)
        emulate_set_reg(e, i, i->reg, i->operand_size, r);
    return s;
}

// XCHG, and XADD when add is set.
static enum emulate_status exchange(struct emulation *e, const struct instruction *i, bool add)
{
    struct operand rm;
    unsigned size = i->operand_size;
    enum emulate_status s = find_rm(e, i, size, WALK_WRITE, 0, &rm);
    if (s != EMULATE_DONE)
        return s;
    u64 old = load(e, i, &rm), value = emulate_get_reg(e, i, i->reg, size);
    if (add)
        value = alu(ALU_ADD, size, old, value, &e->rflags);
    emulate_set_reg(e, i, i->reg, size, old);
    store(e, i, &rm, value);
    return s;
}

static enum emulate_status cmpxchg(struct emulation *e, const struct instruction *i)
{
    struct operand rm;
    unsigned size = i->operand_size;
    enum emulate_status s = find_rm(e, i, size, WALK_WRITE, 0, &rm);
    if (s != EMULATE_DONE)
        return s;
    u64 old = load(e, i, &rm);
    alu(ALU_CMP, size, emulate_cut(e->gpr[RAX], size), old, &e->rflags);
    bool equal = e->rflags & FLAG_ZF;
    // Memory is written either way (SDM Vol. 2, CMPXCHG); a register keeps even its upper half.
    if (equal || rm.memory)
        store(e, i, &rm, equal ? emulate_get_reg(e, i, i->reg, size) : old);
    if (!equal)
        emulate_set_gpr(e, RAX, size, old);
    return s;
}

// BT, BTS, BTR, BTC by op 0 to 3. A bit number in a register reaches beyond a memory operand.
static enum emulate_status bit_test(struct emulation *e, const struct instruction *i, unsigned op,
                                    bool by_register)
{
    unsigned size = i->operand_size, bits = size * 8;
    i64 number = i->immediate & (bits - 1), beyond = 0;
    if (by_register) {
        number = (i64)emulate_sign_extend(e->gpr[i->reg], size);
        beyond = (number >> (size == 8 ? 6 : size == 4 ? 5 : 4)) * size;
        number &= bits - 1;
    }
    struct operand rm;
    enum emulate_status s = find_rm(e, i, size, op == 0 ? WALK_READ : WALK_WRITE, beyond, &rm);
    if (s != EMULATE_DONE)
        return s;
    u64 value = load(e, i, &rm), bit = BIT(number);
    e->rflags = (e->rflags & ~FLAG_CF) | ((value & bit) ? FLAG_CF : 0);
    if (op == 1)
        store(e, i, &rm, value | bit);
    else if (op == 2)
        store(e, i, &rm, value & ~bit);
    else if (op == 3)
        store(e, i, &rm, value ^ bit);
    return s;
}

// The operand is read whether the condition holds or not, and 4 bytes clear the upper half.
static enum emulate_status cmov(struct emulation *e, const struct instruction *i)
{
    struct operand rm;
    unsigned size = i->operand_size;
    enum emulate_status s = find_rm(e, i, size, WALK_READ, 0, &rm);
    if (s != EMULATE_DONE)
        return s;
    u64 value = load(e, i, &rm);
    bool holds = condition_holds(i->opcode, e->rflags);
    emulate_set_reg(e, i, i->reg, size, holds ? value : emulate_get_reg(e, i, i->reg, size));
    return s;
}

// ---- dispatch --------------------------------------------------------------------------------

static enum emulate_status one_byte(struct emulation *e, const struct instruction *i)
{
    u64 reg = emulate_get_reg(e, i, i->reg, i->operand_size), immediate = (u64)i->immediate;
    switch (i->opcode) {
    case 0x00 ... 0x3f:
        if ((i->opcode & 7) < 2)
            return alu_rm(e, i, i->opcode >> 3, reg);
        if ((i->opcode & 7) < 4)
            return alu_reg(e, i, i->opcode >> 3);
        return EMULATE_UNSUPPORTED;
    case 0x63: // MOVSXD; ARPL in other modes
        if (i->code_size != CODE_64)
            return EMULATE_UNSUPPORTED;
        return mov_from_rm(e, i, i->reg, MIN(i->operand_size, 4u), true);
    case 0x80 ... 0x83:
        return alu_rm(e, i, emulate_group(i), immediate);
    case 0x84:
    case 0x85:
        return alu_rm(e, i, ALU_TEST, reg);
    case 0x86:
    case 0x87:
        return exchange(e, i, false);
    case 0x88:
    case 0x89:
        return mov_to_rm(e, i, reg);
    case 0x8a:
    case 0x8b:
        return mov_from_rm(e, i, i->reg, i->operand_size, false);
    case 0xa0:
    case 0xa1:
        return mov_from_rm(e, i, RAX, i->operand_size, false);
    case 0xa2:
    case 0xa3:
        return mov_to_rm(e, i, e->gpr[RAX]);
    case 0xc6:
    case 0xc7:
        return emulate_group(i) == 0 ? mov_to_rm(e, i, immediate) : EMULATE_UNSUPPORTED;
    case 0xf6:
    case 0xf7:
        if (emulate_group(i) < 2)
            return alu_rm(e, i, ALU_TEST, immediate);
        if (emulate_group(i) < 4)
            return alu_rm(e, i, emulate_group(i) == 2 ? ALU_NOT : ALU_NEG, 0);
        return EMULATE_UNSUPPORTED;
    case 0xfe:
    case 0xff:
        if (emulate_group(i) < 2)
            return alu_rm(e, i, emulate_group(i) == 0 ? ALU_INC : ALU_DEC, 0);
        return EMULATE_UNSUPPORTED;
    default:
        return EMULATE_UNSUPPORTED;
    }
}

static enum emulate_status two_byte(struct emulation *e, const struct instruction *i)
{
    switch (i->opcode) {
    case 0x40 ... 0x4f:
        return cmov(e, i);
    case 0x90 ... 0x9f:
        return mov_to_rm(e, i, condition_holds(i->opcode, e->rflags));
    case 0xa3: // BT
    case 0xab: // BTS
    case 0xb3: // BTR
    case 0xbb: // BTC
        return bit_test(e, i, i->opcode >> 3 & 3, true);
    case 0xb0:
    case 0xb1:
        return cmpxchg(e, i);
    case 0xba:
        return emulate_group(i) >= 4 ? bit_test(e, i, emulate_group(i) & 3, false)
                                     : EMULATE_UNSUPPORTED;
    case 0xb6: // MOVZX
    case 0xb7:
    case 0xbe: // MOVSX
    case 0xbf:
        return mov_from_rm(e, i, i->reg, i->opcode & 1 ? 2 : 1, i->opcode >= 0xbe);
    case 0xc0:
    case 0xc1:
        return exchange(e, i, true);
    case 0xc3: // MOVNTI; it has no 16-bit form, and F2 and F3 make other opcodes of it
        if (i->operand_66 || i->repeat != 0 || !i->has_memory)
            return EMULATE_UNSUPPORTED;
        return mov_to_rm(e, i, e->gpr[i->reg]);
    default:
        return EMULATE_UNSUPPORTED;
    }
}

// Whether LOCK may stand before i (SDM Vol. 2, LOCK). Only instructions emulated here matter.
static bool lockable(const struct instruction *i)
{
    if (!i->has_memory)
        return false;
    if (i->map == MAP_0F)
        return i->opcode == 0xab || i->opcode == 0xb3 || i->opcode == 0xbb ||
               (i->opcode == 0xba && emulate_group(i) > 4) || i->opcode == 0xb0 ||
               i->opcode == 0xb1 || i->opcode == 0xc0 || i->opcode == 0xc1;
    switch (i->opcode) {
    case 0x00 ... 0x37:
        return (i->opcode & 7) < 2;
    case 0x80 ... 0x83:
        return emulate_group(i) != ALU_CMP;
    case 0x86:
    case 0x87:
        return true;
    case 0xf6:
    case 0xf7:
        return emulate_group(i) == 2 || emulate_group(i) == 3;
    case 0xfe:
    case 0xff:
        return emulate_group(i) < 2;
    default:
        return false;
    }
}

enum emulate_status emulate(struct emulation *e, const struct instruction *i)
{
    if (i->encoding != ENCODING_LEGACY || i->map > MAP_0F)
        return EMULATE_UNSUPPORTED;
    if (i->lock && !lockable(i))
        return emulate_raise(e, (struct emulate_exception){.vector = VECTOR_UD});
    if (i->map == MAP_ONE_BYTE && i->opcode >= 0xa4 && i->opcode <= 0xaf &&
        (i->opcode & 0xfe) != 0xa8)
        return emulate_string(e, i);
    enum emulate_status s = i->map == MAP_0F ? two_byte(e, i) : one_byte(e, i);
    return s == EMULATE_DONE ? emulate_finish(e, i->length) : s;
}
