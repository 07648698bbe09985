// SPDX-License-Identifier: MIT
// Instructions that read and write at once: XCHG, XADD, CMPXCHG, CMPXCHG8B and 16B, BT to BTC; and
// where LOCK is allowed.
#include "x86/bits.h"
#include "x86/emulate_system.h"
#include "x86/registers.h"

// XCHG, and XADD when add is set.
static enum emulate_status exchange(struct emulation *e, const struct instruction *i, bool add)
{
    struct operand rm;
    unsigned size = i->operand_size;
    enum emulate_status s = emulate_find_rm(e, i, size, WALK_WRITE, 0, &rm);
    if (s != EMULATE_DONE)
        return s;
    u64 old = emulate_load(e, i, &rm), value = emulate_get_reg(e, i, i->reg, size);
    if (add)
        value = alu(ALU_ADD, size, old, value, &e->rflags);
    emulate_set_reg(e, i, i->reg, size, old);
    emulate_store(e, i, &rm, value);
    return s;
}

static enum emulate_status cmpxchg(struct emulation *e, const struct instruction *i)
{
    struct operand rm;
    unsigned size = i->operand_size;
    enum emulate_status s = emulate_find_rm(e, i, size, WALK_WRITE, 0, &rm);
    if (s != EMULATE_DONE)
        return s;
    u64 old = emulate_load(e, i, &rm);
    alu(ALU_CMP, size, emulate_cut(e->gpr[RAX], size), old, &e->rflags);
    bool equal = e->rflags & RFLAGS_ZF;
    // Memory is written either way (SDM Vol. 2, CMPXCHG); a register keeps even its upper half.
    if (equal || rm.memory)
        emulate_store(e, i, &rm, equal ? emulate_get_reg(e, i, i->reg, size) : old);
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
    enum emulate_status s =
        emulate_find_rm(e, i, size, op == 0 ? WALK_READ : WALK_WRITE, beyond, &rm);
    if (s != EMULATE_DONE)
        return s;
    u64 value = emulate_load(e, i, &rm), bit = BIT(number);
    e->rflags = (e->rflags & ~RFLAGS_CF) | ((value & bit) ? RFLAGS_CF : 0);
    if (op == 1)
        emulate_store(e, i, &rm, value | bit);
    else if (op == 2)
        emulate_store(e, i, &rm, value & ~bit);
    else if (op == 3)
        emulate_store(e, i, &rm, value ^ bit);
    return s;
}

// CMPXCHG8B, and with REX.W CMPXCHG16B, whose operand must be aligned; it is accessed in two
// halves.
static enum emulate_status cmpxchg_pair(struct emulation *e, const struct instruction *i)
{
    struct operand rm;
    unsigned half = i->code_size == CODE_64 && (i->rex & 8) ? 8 : 4;
    if (half == 8 && !(e->features & EMULATE_CX16))
        return emulate_raise_ud(e);
    enum emulate_status s = emulate_find_rm(e, i, 2 * half, WALK_WRITE, 0, &rm);
    if (s != EMULATE_DONE)
        return s;
    if (half == 8 && rm.place.gpa.v % 16 != 0)
        return emulate_raise_gp(e);
    struct place upper = {
        .linear = rm.place.linear + 8, .gpa = GPA(rm.place.gpa.v + 8), .size = 8, .first = 8};
    u64 low, high;
    if (half == 8) {
        rm.place.size = rm.place.first = 8;
        low = emulate_read(e, &rm.place);
        high = emulate_read(e, &upper);
    } else {
        u64 both = emulate_read(e, &rm.place);
        low = (u32)both;
        high = both >> 32;
    }
    bool equal = low == emulate_cut(e->gpr[RAX], half) && high == emulate_cut(e->gpr[RDX], half);
    u64 new_low = equal ? emulate_cut(e->gpr[RBX], half) : low;
    u64 new_high = equal ? emulate_cut(e->gpr[RCX], half) : high;
    if (half == 8) {
        emulate_write(e, &rm.place, new_low);
        emulate_write(e, &upper, new_high);
    } else {
        emulate_write(e, &rm.place, new_high << 32 | new_low);
    }
    e->rflags = (e->rflags & ~RFLAGS_ZF) | (equal ? RFLAGS_ZF : 0);
    if (!equal) {
        emulate_set_gpr(e, RAX, half, low);
        emulate_set_gpr(e, RDX, half, high);
    }
    return s;
}

// Only instructions emulated here matter.
bool emulate_lockable(const struct instruction *i)
{
    if (!i->has_memory)
        return false;
    if (i->map == MAP_0F)
        return i->opcode == 0xab || i->opcode == 0xb3 || i->opcode == 0xbb ||
               (i->opcode == 0xba && emulate_group(i) > 4) || i->opcode == 0xb0 ||
               i->opcode == 0xb1 || i->opcode == 0xc0 || i->opcode == 0xc1 ||
               (i->opcode == 0xc7 && emulate_group(i) == 1);
    if (i->map != MAP_ONE_BYTE || i->encoding != ENCODING_LEGACY)
        return false;
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

enum emulate_status emulate_locked(struct emulation *e, const struct instruction *i)
{
    if (i->map == MAP_ONE_BYTE)
        return exchange(e, i, false);
    switch (i->opcode) {
    case 0xb0:
    case 0xb1:
        return cmpxchg(e, i);
    case 0xba:
        return emulate_group(i) >= 4 ? bit_test(e, i, emulate_group(i) & 3, false)
                                     : emulate_raise_ud(e);
    case 0xc0:
    case 0xc1:
        return exchange(e, i, true);
    case 0xc7:
        if (!i->has_memory || emulate_group(i) != 1)
            return EMULATE_UNSUPPORTED; // XSAVEC and others
        return cmpxchg_pair(e, i);
    default: // A3, AB, B3, BB
        return bit_test(e, i, i->opcode >> 3 & 3, true);
    }
}
