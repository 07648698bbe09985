// SPDX-License-Identifier: MIT
#include "x86/emulate.h"

#include "x86/bits.h"
#include "x86/emulate_system.h"
#include "x86/registers.h"
#include "x86/vectors.h"

// ---- kinds of instructions -------------------------------------------------------------------

// Each kind accesses nothing before all that can fail has been tried; the caller moves RIP.

enum emulate_status emulate_mov_to_rm(struct emulation *e, const struct instruction *i, u64 value)
{
    struct operand rm;
    enum emulate_status s = emulate_find_rm(e, i, i->operand_size, WALK_WRITE, 0, &rm);
    if (s == EMULATE_DONE)
        emulate_store(e, i, &rm, emulate_cut(value, i->operand_size));
    return s;
}

enum emulate_status emulate_mov_from_rm(struct emulation *e, const struct instruction *i,
                                        unsigned reg, unsigned size, bool is_signed)
{
    struct operand rm;
    enum emulate_status s = emulate_find_rm(e, i, size, WALK_READ, 0, &rm);
    if (s != EMULATE_DONE)
        return s;
    u64 value = emulate_load(e, i, &rm);
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
    enum emulate_status s =
        emulate_find_rm(e, i, i->operand_size, writes ? WALK_WRITE : WALK_READ, 0, &rm);
    if (s != EMULATE_DONE)
        return s;
    u64 r = alu(op, i->operand_size, emulate_load(e, i, &rm), b, &e->rflags);
    if (writes)
        emulate_store(e, i, &rm, r);
    return s;
}

// reg = reg op rm.
static enum emulate_status alu_reg(struct emulation *e, const struct instruction *i, enum alu_op op)
{
    struct operand rm;
    enum emulate_status s = emulate_find_rm(e, i, i->operand_size, WALK_READ, 0, &rm);
    if (s != EMULATE_DONE)
        return s;
    u64 r = alu(op, i->operand_size, emulate_get_reg(e, i, i->reg, i->operand_size),
                emulate_load(e, i, &rm), &e->rflags);
    if (op != ALU_CMP)
        emulate_set_reg(e, i, i->reg, i->operand_size, r);
    return s;
}

// AL = the byte at rBX + AL.
static enum emulate_status xlat(struct emulation *e, const struct instruction *i)
{
    enum segment_name segment = i->segment_override == NO_REGISTER ? SEG_DS : i->segment_override;
    u64 offset = emulate_cut(e->gpr[RBX] + (u8)e->gpr[RAX], i->address_size);
    struct place p;
    enum emulate_status s = emulate_reach(e, segment, offset, 1, WALK_READ, &p);
    if (s == EMULATE_DONE)
        emulate_set_gpr(e, RAX, 1, emulate_read(e, &p));
    return s;
}

// #BR unless the index lies between the two bounds.
static enum emulate_status bound(struct emulation *e, const struct instruction *i)
{
    struct operand lower, upper;
    unsigned size = i->operand_size;
    enum emulate_status s = emulate_find_rm(e, i, size, WALK_READ, 0, &lower);
    if (s == EMULATE_DONE)
        s = emulate_find_rm(e, i, size, WALK_READ, size, &upper);
    if (s != EMULATE_DONE)
        return s;
    i64 index = (i64)emulate_sign_extend(e->gpr[i->reg], size);
    i64 least = (i64)emulate_sign_extend(emulate_load(e, i, &lower), size);
    i64 most = (i64)emulate_sign_extend(emulate_load(e, i, &upper), size);
    if (index < least || index > most)
        return emulate_raise(e, (struct emulate_exception){.vector = VECTOR_BR});
    return s;
}

// ---- dispatch --------------------------------------------------------------------------------

static enum emulate_status alu_opcode(struct emulation *e, const struct instruction *i)
{
    if ((i->opcode & 7) < 2)
        return alu_rm(e, i, i->opcode >> 3, emulate_get_reg(e, i, i->reg, i->operand_size));
    if ((i->opcode & 7) < 4)
        return alu_reg(e, i, i->opcode >> 3);
    return (i->opcode & 7) > 5 && i->opcode < 0x20 ? emulate_stack(e, i) : EMULATE_UNSUPPORTED;
}

static enum emulate_status group_3(struct emulation *e, const struct instruction *i)
{
    switch (emulate_group(i)) {
    case 0:
    case 1:
        return alu_rm(e, i, ALU_TEST, (u64)i->immediate);
    case 2:
        return alu_rm(e, i, ALU_NOT, 0);
    case 3:
        return alu_rm(e, i, ALU_NEG, 0);
    default:
        return emulate_multiply(e, i);
    }
}

static enum emulate_status group_4_5(struct emulation *e, const struct instruction *i)
{
    unsigned group = emulate_group(i);
    if (group < 2)
        return alu_rm(e, i, group == 0 ? ALU_INC : ALU_DEC, 0);
    if (i->opcode != 0xff || group == 7)
        return emulate_raise_ud(e);
    if (group == 6)
        return emulate_stack(e, i);
    return group & 1 ? emulate_far(e, i) : emulate_near(e, i);
}

// What has an operand in memory seldom.
static enum emulate_status rare_one_byte(struct emulation *e, const struct instruction *i)
{
    switch (i->opcode) {
    case 0x62:
        return i->has_memory ? bound(e, i) : emulate_raise_ud(e);
    case 0x8c:
    case 0x8e:
    case 0xc4:
    case 0xc5:
        return emulate_segments(e, i);
    case 0x69:
    case 0x6b:
        return emulate_multiply(e, i);
    case 0x50 ... 0x61:
    case 0x68:
    case 0x6a:
    case 0x8f:
    case 0x9c:
    case 0x9d:
    case 0xc8:
    case 0xc9:
        return emulate_stack(e, i);
    case 0xc2:
    case 0xc3:
    case 0xe8:
        return emulate_near(e, i);
    case 0xc0:
    case 0xc1:
    case 0xd0 ... 0xd3:
        return emulate_shift(e, i);
    case 0xd7:
        return xlat(e, i);
    default:
        return emulate_far(e, i);
    }
}

static enum emulate_status one_byte(struct emulation *e, const struct instruction *i)
{
    u64 reg = emulate_get_reg(e, i, i->reg, i->operand_size), immediate = (u64)i->immediate;
    switch (i->opcode) {
    case 0x00 ... 0x3f:
        return alu_opcode(e, i);
    case 0x63: // MOVSXD; ARPL in other modes
        if (i->code_size != CODE_64)
            return emulate_segments(e, i);
        return emulate_mov_from_rm(e, i, i->reg, MIN(i->operand_size, 4u), true);
    case 0x80 ... 0x83:
        return alu_rm(e, i, emulate_group(i), immediate);
    case 0x84:
    case 0x85:
        return alu_rm(e, i, ALU_TEST, reg);
    case 0x86:
    case 0x87:
        return emulate_locked(e, i);
    case 0x88:
    case 0x89:
        return emulate_mov_to_rm(e, i, reg);
    case 0x8a:
    case 0x8b:
        return emulate_mov_from_rm(e, i, i->reg, i->operand_size, false);
    case 0xa0:
    case 0xa1:
        return emulate_mov_from_rm(e, i, RAX, i->operand_size, false);
    case 0xa2:
    case 0xa3:
        return emulate_mov_to_rm(e, i, e->gpr[RAX]);
    case 0x6c ... 0x6f:
    case 0xa4 ... 0xa7:
    case 0xaa ... 0xaf:
        return emulate_string(e, i);
    case 0xc6:
    case 0xc7:
        return emulate_group(i) == 0 ? emulate_mov_to_rm(e, i, immediate) : emulate_raise_ud(e);
    case 0xf6:
    case 0xf7:
        return group_3(e, i);
    case 0xfe:
    case 0xff:
        return group_4_5(e, i);
    default:
        return rare_one_byte(e, i);
    }
}

static enum emulate_status legacy(struct emulation *e, const struct instruction *i)
{
    switch (i->map) {
    case MAP_ONE_BYTE:
        return one_byte(e, i);
    case MAP_0F:
        return emulate_0f(e, i);
    case MAP_0F38:
        return emulate_0f38(e, i);
    default:
        return EMULATE_UNSUPPORTED;
    }
}

enum emulate_status emulate(struct emulation *e, const struct instruction *i)
{
    u64 next = e->rip + i->length;
    enum emulate_status s = EMULATE_UNSUPPORTED;
    e->next = e->code_size == CODE_64 ? next : (u32)next;
    e->blocks = false;
    if (i->lock && !emulate_lockable(i))
        return emulate_raise_ud(e);
    if (i->encoding == ENCODING_LEGACY)
        s = legacy(e, i);
    else if (i->encoding == ENCODING_VEX)
        s = emulate_vex(e, i);
    if (s == EMULATE_DONE) {
        e->rip = e->next;
        e->rflags &= ~RFLAGS_RF;
    }
    return s;
}
