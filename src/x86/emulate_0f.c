// SPDX-License-Identifier: MIT
// The opcodes of map 0F.
#include "x86/emulate_system.h"

// The operand is read whether the condition holds or not, and 4 bytes clear the upper half.
static enum emulate_status cmov(struct emulation *e, const struct instruction *i)
{
    struct operand rm;
    unsigned size = i->operand_size;
    enum emulate_status s = emulate_find_rm(e, i, size, WALK_READ, 0, &rm);
    if (s != EMULATE_DONE)
        return s;
    u64 value = emulate_load(e, i, &rm);
    bool holds = condition_holds(i->opcode, e->rflags);
    emulate_set_reg(e, i, i->reg, size, holds ? value : emulate_get_reg(e, i, i->reg, size));
    return s;
}

// MOVNTI has no 16-bit form, in 16-bit code either, and 66, F2 and F3 make other opcodes of it.
static enum emulate_status movnti(struct emulation *e, const struct instruction *i)
{
    struct operand rm;
    if (i->operand_66 || i->repeat != 0 || !i->has_memory)
        return emulate_raise_ud(e);
    unsigned size = MAX(i->operand_size, (u8)4);
    enum emulate_status s = emulate_find_rm(e, i, size, WALK_WRITE, 0, &rm);
    if (s == EMULATE_DONE)
        emulate_store(e, i, &rm, emulate_cut(e->gpr[i->reg], size));
    return s;
}

// 0F AE: CLFLUSH, CLFLUSHOPT, CLWB need a translation for reading, and a device has no cache line.
static enum emulate_status flush(struct emulation *e, const struct instruction *i)
{
    struct operand rm;
    unsigned group = emulate_group(i);
    if (!i->has_memory || i->repeat != 0 || (group != 7 && !(group == 6 && i->operand_66)))
        return EMULATE_UNSUPPORTED; // XSAVE, PTWRITE and others
    return emulate_find_rm(e, i, 1, WALK_READ, 0, &rm);
}

static enum emulate_status rare_two_byte(struct emulation *e, const struct instruction *i)
{
    switch (i->opcode) {
    case 0x00:
    case 0x02:
    case 0x03:
    case 0xb2:
    case 0xb4:
    case 0xb5:
        return emulate_segments(e, i);
    case 0x01:
        return emulate_system(e, i);
    case 0x0d: // hints, and what is none yet: nothing is accessed
    case 0x18 ... 0x1f:
        return EMULATE_DONE;
    case 0xa0:
    case 0xa1:
    case 0xa8:
    case 0xa9:
        return emulate_stack(e, i);
    case 0xa4:
    case 0xa5:
    case 0xac:
    case 0xad:
        return emulate_shift(e, i);
    case 0xae:
        return flush(e, i);
    case 0xaf:
        return emulate_multiply(e, i);
    case 0xb8:
    case 0xbc:
    case 0xbd:
        return emulate_bits(e, i);
    case 0xc3:
        return movnti(e, i);
    default:
        return EMULATE_UNSUPPORTED;
    }
}

enum emulate_status emulate_0f(struct emulation *e, const struct instruction *i)
{
    switch (i->opcode) {
    case 0x40 ... 0x4f:
        return cmov(e, i);
    case 0x90 ... 0x9f:
        return emulate_mov_to_rm(e, i, condition_holds(i->opcode, e->rflags));
    case 0xa3: // BT
    case 0xab: // BTS
    case 0xb3: // BTR
    case 0xbb: // BTC
    case 0xba:
    case 0xb0: // CMPXCHG
    case 0xb1:
    case 0xc0: // XADD
    case 0xc1:
    case 0xc7:
        return emulate_locked(e, i);
    case 0xb6: // MOVZX
    case 0xb7:
    case 0xbe: // MOVSX
    case 0xbf:
        return emulate_mov_from_rm(e, i, i->reg, i->opcode & 1 ? 2 : 1, i->opcode >= 0xbe);
    default:
        return rare_two_byte(e, i);
    }
}
