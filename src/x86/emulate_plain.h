// SPDX-License-Identifier: MIT
// The short way for a driver's plain MOV to or from its device: no translation, and nothing is
// worked out that a MOV does not need. Inline, so that what the caller knows is not asked again.
#pragma once

#include "x86/emulate_internal.h"

static inline __attribute__((always_inline)) bool
emulate_plain_read(struct emulation *e, const struct instruction *i, gpa_t gpa)
{
    unsigned size = i->operand_size, to = i->reg;
    bool is_signed = false;
    switch (i->map << 8 | i->opcode) {
    case 0x8b:
        if (size == 4 && (gpa.v & 3) == 0) { // nearly all of them
            e->gpr[to] = (u32)e->ops->read(e->ctx, gpa, 4);
            return true;
        }
        break;
    case 0x8a:
        break;
    case 0x63:
        size = MIN(size, 4u);
        is_signed = true;
        break;
    case MAP_0F << 8 | 0xb6:
    case MAP_0F << 8 | 0xb7:
    case MAP_0F << 8 | 0xbe:
    case MAP_0F << 8 | 0xbf:
        size = i->opcode & 1 ? 2 : 1;
        is_signed = i->opcode >= 0xbe;
        break;
    default:
        return false;
    }
    if ((gpa.v & ~PAGE_MASK) > PAGE_SIZE - size)
        return false;
    u64 value = emulate_cut(e->ops->read(e->ctx, gpa, size), size);
    emulate_set_reg(e, i, to, i->operand_size,
                    is_signed ? emulate_sign_extend(value, size) : value);
    return true;
}

static inline __attribute__((always_inline)) bool
emulate_plain_write(struct emulation *e, const struct instruction *i, gpa_t gpa)
{
    unsigned size = i->operand_size;
    u64 value;
    if (i->map != MAP_ONE_BYTE || (gpa.v & ~PAGE_MASK) > PAGE_SIZE - size)
        return false;
    if ((i->opcode & 0xfe) == 0x88)
        value = emulate_get_reg(e, i, i->reg, size);
    else if ((i->opcode & 0xfe) == 0xc6 && emulate_group(i) == 0)
        value = emulate_cut((u64)i->immediate, size);
    else
        return false;
    e->ops->write(e->ctx, gpa, size, value);
    return true;
}

// The short way for what drivers do most, a plain MOV, MOVZX, MOVSX or MOVSXD in 64-bit mode whose
// only access is the one that caused the exit: at linear, which is gpa, a write or a read. No
// translation is asked for: the CPU has checked that access. False, and nothing done: emulate()
// must do it.
static inline __attribute__((always_inline)) bool emulate_plain_mov(struct emulation *e,
                                                                    const struct instruction *i,
                                                                    gva_t linear, gpa_t gpa,
                                                                    bool write)
{
    // An operand elsewhere, or an access in the other direction, is not what caused the exit.
    if (i->encoding != ENCODING_LEGACY || i->code_size != CODE_64 || !i->has_memory || i->lock ||
        i->memory.segment >= SEG_FS || memory_offset(i, e->gpr, e->rip) != linear.v)
        return false;
    if (!(write ? emulate_plain_write(e, i, gpa) : emulate_plain_read(e, i, gpa)))
        return false;
    emulate_finish(e, i->length);
    return true;
}
