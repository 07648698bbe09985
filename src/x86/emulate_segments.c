// SPDX-License-Identifier: MIT
// Instructions about segments and selectors with an operand in memory: MOV of segment registers,
// LDS to LSS, ARPL, LAR, LSL, and group 6: SLDT, STR, LLDT, LTR, VERR, VERW.
#include "x86/bits.h"
#include "x86/emulate_system.h"
#include "x86/registers.h"
#include "x86/vectors.h"

// Types of system descriptors (SDM Vol. 3, table 3-2).
enum { TSS_16 = 1, LDT = 2, CALL_GATE_16 = 4, TASK_GATE = 5, TSS_32 = 9, CALL_GATE_32 = 12 };
#define TYPE(access) ((access)&15)
#define TSS_BUSY     2u

// A selector is stored as a word, whatever the operand size.
static enum emulate_status store_selector(struct emulation *e, const struct instruction *i,
                                          enum segment_name segment)
{
    struct operand rm;
    struct segment value;
    unsigned size = i->has_memory ? 2 : i->operand_size;
    enum emulate_status s = emulate_find_rm(e, i, size, WALK_WRITE, 0, &rm);
    if (s != EMULATE_DONE)
        return s;
    e->ops->segment(e->ctx, segment, &value);
    emulate_store(e, i, &rm, value.selector);
    return s;
}

// 8C and 8E.
static enum emulate_status mov_segment(struct emulation *e, const struct instruction *i)
{
    enum segment_name segment = SEG_ES + emulate_group(i);
    u64 selector;
    if (segment > SEG_GS || (i->opcode == 0x8e && segment == SEG_CS))
        return emulate_raise_ud(e);
    if (i->opcode == 0x8c)
        return store_selector(e, i, segment);
    enum emulate_status s = emulate_load_rm(e, i, 2, &selector);
    if (s == EMULATE_DONE)
        s = emulate_load_segment(e, segment, (u16)selector);
    e->blocks = s == EMULATE_DONE && segment == SEG_SS;
    return s;
}

enum emulate_status emulate_load_pointer(struct emulation *e, const struct instruction *i,
                                         u64 *offset, u16 *selector)
{
    struct operand first, second;
    if (!i->has_memory)
        return emulate_raise_ud(e);
    enum emulate_status s = emulate_find_rm(e, i, i->operand_size, WALK_READ, 0, &first);
    if (s == EMULATE_DONE)
        s = emulate_find_rm(e, i, 2, WALK_READ, i->operand_size, &second);
    if (s != EMULATE_DONE)
        return s;
    *offset = emulate_load(e, i, &first);
    *selector = (u16)emulate_load(e, i, &second);
    return s;
}

// LES, LDS, LSS, LFS, LGS.
static enum emulate_status load_pointer(struct emulation *e, const struct instruction *i)
{
    enum segment_name segment = i->map == MAP_0F    ? SEG_ES + (i->opcode & 7)
                                : i->opcode == 0xc4 ? SEG_ES
                                                    : SEG_DS;
    u64 offset;
    u16 selector;
    enum emulate_status s = emulate_load_pointer(e, i, &offset, &selector);
    if (s == EMULATE_DONE)
        s = emulate_load_segment(e, segment, selector);
    if (s == EMULATE_DONE)
        emulate_set_gpr(e, i->reg, i->operand_size, offset);
    return s;
}

static void set_zf(struct emulation *e, bool on)
{
    e->rflags = (e->rflags & ~RFLAGS_ZF) | (on ? RFLAGS_ZF : 0);
}

static enum emulate_status arpl(struct emulation *e, const struct instruction *i)
{
    struct operand rm;
    enum emulate_status s = emulate_find_rm(e, i, 2, WALK_WRITE, 0, &rm);
    if (s != EMULATE_DONE)
        return s;
    u64 value = emulate_load(e, i, &rm), rpl = SELECTOR_RPL(e->gpr[i->reg]);
    bool lower = SELECTOR_RPL(value) < rpl;
    if (lower)
        emulate_store(e, i, &rm, (value & ~3ul) | rpl);
    set_zf(e, lower);
    return s;
}

// ---- descriptors looked at ---------------------------------------------------------------------

// Which system descriptors LAR and LSL know, by mode (SDM Vol. 2, LAR, LSL).
static bool knows(const struct emulation *e, bool lar, unsigned type)
{
    u32 segments = (u32)(BIT(LDT) | BIT(TSS_32) | BIT(TSS_32 | TSS_BUSY));
    u32 gates = (u32)BIT(CALL_GATE_32);
    if (!e->long_mode) {
        segments |= (u32)(BIT(TSS_16) | BIT(TSS_16 | TSS_BUSY));
        gates |= (u32)(BIT(CALL_GATE_16) | BIT(TASK_GATE));
    }
    return (segments | (lar ? gates : 0)) >> type & 1;
}

// What LAR, LSL, VERR and VERW find out, which raise no exception for what they look at.
static enum emulate_status look_at(struct emulation *e, u16 selector, struct segment *found,
                                   bool *visible)
{
    struct descriptor d;
    *visible = false;
    if (SELECTOR_NULL(selector))
        return EMULATE_DONE;
    enum emulate_status s = emulate_descriptor(e, selector, &d, visible);
    if (s != EMULATE_DONE || !*visible)
        return s;
    *found = d.segment;
    u32 access = d.segment.access,
        conforming = SEGMENT_NOT_SYSTEM | SEGMENT_CODE | SEGMENT_CONFORMING;
    unsigned dpl = SEGMENT_DPL(access);
    *visible =
        (access & conforming) == conforming || (e->cpl <= dpl && SELECTOR_RPL(selector) <= dpl);
    return s;
}

// 0F 02 and 0F 03.
static enum emulate_status lar_lsl(struct emulation *e, const struct instruction *i)
{
    bool lar = i->opcode == 2, visible;
    struct segment found;
    u64 selector;
    enum emulate_status s = emulate_load_rm(e, i, 2, &selector);
    if (s == EMULATE_DONE)
        s = look_at(e, (u16)selector, &found, &visible);
    if (s != EMULATE_DONE)
        return s;
    if (visible && !(found.access & SEGMENT_NOT_SYSTEM))
        visible = knows(e, lar, TYPE(found.access));
    set_zf(e, visible);
    if (visible) {
        u64 rights = (u64)(found.access & 0xf0ff) << 8;
        emulate_set_gpr(e, i->reg, i->operand_size, lar ? rights : found.limit);
    }
    return s;
}

// VERR and VERW: whether the segment could be read, or written.
static enum emulate_status verify(struct emulation *e, u16 selector, bool write)
{
    struct segment found;
    bool visible;
    enum emulate_status s = look_at(e, selector, &found, &visible);
    if (s != EMULATE_DONE)
        return s;
    if (visible) {
        bool code = found.access & SEGMENT_CODE, second = found.access & SEGMENT_WRITABLE;
        visible =
            (found.access & SEGMENT_NOT_SYSTEM) && (write ? !code && second : !code || second);
    }
    set_zf(e, visible);
    return s;
}

// ---- LDTR and TR -------------------------------------------------------------------------------

static enum emulate_status load_system(struct emulation *e, enum segment_name segment, u16 selector)
{
    struct descriptor d;
    bool there, ldtr = segment == SEG_LDTR;
    if (SELECTOR_NULL(selector)) {
        if (!ldtr)
            return emulate_raise_gp(e);
        struct segment none = {.selector = selector, .access = SEGMENT_UNUSABLE};
        e->ops->set_segment(e->ctx, segment, &none);
        return EMULATE_DONE;
    }
    if (selector & SELECTOR_LDT)
        return emulate_raise_selector(e, VECTOR_GP, selector);
    enum emulate_status s = emulate_descriptor(e, selector, &d, &there);
    if (s != EMULATE_DONE)
        return s;
    unsigned type = TYPE(d.segment.access);
    if (!there || (d.segment.access & SEGMENT_NOT_SYSTEM) ||
        !(ldtr ? type == LDT : type == TSS_32 || (type == TSS_16 && !e->long_mode)) ||
        !emulate_is_canonical(d.segment.base))
        return emulate_raise_selector(e, VECTOR_GP, selector);
    if (!(d.segment.access & SEGMENT_PRESENT))
        return emulate_raise_selector(e, VECTOR_NP, selector);
    if (!ldtr)
        s = emulate_mark(e, &d, TSS_BUSY);
    if (s == EMULATE_DONE)
        e->ops->set_segment(e->ctx, segment, &d.segment);
    return s;
}

// 0F 00.
static enum emulate_status group_6(struct emulation *e, const struct instruction *i)
{
    unsigned group = emulate_group(i);
    u64 selector;
    if (group < 2) {
        if (e->cpl > 0 && (e->cr4 & CR4_UMIP))
            return emulate_raise_gp(e);
        return store_selector(e, i, group == 0 ? SEG_LDTR : SEG_TR);
    }
    if (group > 5)
        return emulate_raise_ud(e);
    if (group < 4 && e->cpl > 0)
        return emulate_raise_gp(e);
    enum emulate_status s = emulate_load_rm(e, i, 2, &selector);
    if (s != EMULATE_DONE)
        return s;
    if (group < 4)
        return load_system(e, group == 2 ? SEG_LDTR : SEG_TR, (u16)selector);
    return verify(e, (u16)selector, group == 5);
}

enum emulate_status emulate_segments(struct emulation *e, const struct instruction *i)
{
    if (i->map == MAP_ONE_BYTE && (i->opcode & 0xfd) == 0x8c)
        return mov_segment(e, i);
    if ((i->map == MAP_ONE_BYTE && i->opcode != 0x63) || (i->map == MAP_0F && i->opcode >= 0xb2))
        return load_pointer(e, i);
    if (!emulate_is_protected(e)) // none of the others is known there
        return emulate_raise_ud(e);
    if (i->map == MAP_ONE_BYTE)
        return arpl(e, i);
    return i->opcode == 0 ? group_6(e, i) : lar_lsl(e, i);
}
