// SPDX-License-Identifier: MIT
// Far CALL, JMP and RET, where a pointer or the stack is a device's: to code of the same privilege.
// Gates, tasks and other levels are not carried out.
#include "x86/bits.h"
#include "x86/emulate_system.h"
#include "x86/registers.h"
#include "x86/vectors.h"

// Types of system descriptors that lead somewhere (SDM Vol. 3, table 3-2). Only CALL_GATE_32 is
// there in IA-32e mode, as the 64-bit call gate.
enum { TSS_16 = 1, CALL_GATE_16 = 4, TASK_GATE = 5, TSS_32 = 9, CALL_GATE_32 = 12 };
#define TYPE(access) ((access)&15)

struct target {
    u64 offset;
    struct segment cs;
    struct descriptor descriptor; // in protected mode
};

// Whether a RIP may lie at offset in this code segment.
static bool reaches(const struct emulation *e, const struct segment *cs, u64 offset)
{
    if (e->long_mode && (cs->access & SEGMENT_LONG))
        return emulate_is_canonical(offset);
    return offset <= cs->limit;
}

// What CALL and JMP make of a system descriptor: #GP or #NP where the processor refuses it, else
// EMULATE_UNSUPPORTED. A TSS is to be available.
static enum emulate_status through_system(struct emulation *e, u16 selector, u32 access)
{
    u32 leads = (u32)BIT(CALL_GATE_32);
    if (!e->long_mode)
        leads |= (u32)(BIT(TSS_16) | BIT(CALL_GATE_16) | BIT(TASK_GATE) | BIT(TSS_32));
    unsigned dpl = SEGMENT_DPL(access);
    if (!(leads >> TYPE(access) & 1) || dpl < e->cpl || dpl < SELECTOR_RPL(selector))
        return emulate_raise_selector(e, VECTOR_GP, selector);
    if (!(access & SEGMENT_PRESENT))
        return emulate_raise_selector(e, VECTOR_NP, selector);
    return EMULATE_UNSUPPORTED;
}

// Whether the code segment can be gone to with this RPL, which of RET is the new CPL.
static bool may_enter(const struct emulation *e, u32 access, unsigned rpl, bool returns)
{
    unsigned dpl = SEGMENT_DPL(access), level = returns ? rpl : e->cpl;
    if (!(access & SEGMENT_NOT_SYSTEM) || !(access & SEGMENT_CODE))
        return false;
    if (e->long_mode && (access & SEGMENT_LONG) && (access & SEGMENT_BIG))
        return false;
    if (returns && rpl < e->cpl)
        return false;
    return access & SEGMENT_CONFORMING ? dpl <= level : rpl <= level && dpl == level;
}

// Where selector:offset leads (SDM Vol. 2, CALL, JMP, RET). returns: of RET, whose RPL is the CPL
// that it returns to.
static enum emulate_status find_target(struct emulation *e, u16 selector, u64 offset, bool returns,
                                       struct target *t)
{
    bool there;
    t->offset = offset;
    if (!emulate_is_protected(e)) {
        e->ops->segment(e->ctx, SEG_CS, &t->cs);
        t->cs.selector = selector;
        t->cs.base = (u64)selector << 4;
        return reaches(e, &t->cs, offset) ? EMULATE_DONE : emulate_raise_gp(e);
    }
    if (SELECTOR_NULL(selector))
        return emulate_raise_gp(e);
    enum emulate_status s = emulate_descriptor(e, selector, &t->descriptor, &there);
    if (s != EMULATE_DONE)
        return s;
    t->cs = t->descriptor.segment;
    u32 access = t->cs.access;
    unsigned rpl = SELECTOR_RPL(selector);
    if (there && !returns && !(access & SEGMENT_NOT_SYSTEM))
        return through_system(e, selector, access);
    if (!there || !may_enter(e, access, rpl, returns))
        return emulate_raise_selector(e, VECTOR_GP, selector);
    if (!(access & SEGMENT_PRESENT))
        return emulate_raise_selector(e, VECTOR_NP, selector);
    if (returns && rpl > e->cpl)
        return EMULATE_UNSUPPORTED;
    if (!reaches(e, &t->cs, offset))
        return emulate_raise_gp(e);
    t->cs.selector = (u16)(SELECTOR_ERROR(selector) | e->cpl);
    return EMULATE_DONE;
}

static enum emulate_status go(struct emulation *e, struct target *t)
{
    if (emulate_is_protected(e)) {
        enum emulate_status s = emulate_mark(e, &t->descriptor, SEGMENT_ACCESSED);
        if (s != EMULATE_DONE)
            return s;
        t->cs.access |= SEGMENT_ACCESSED;
    }
    e->ops->set_segment(e->ctx, SEG_CS, &t->cs);
    e->next = t->offset;
    return EMULATE_DONE;
}

static enum emulate_status jump(struct emulation *e, u16 selector, u64 offset)
{
    struct target t;
    enum emulate_status s = find_target(e, selector, offset, false, &t);
    return s == EMULATE_DONE ? go(e, &t) : s;
}

static enum emulate_status call(struct emulation *e, const struct instruction *i, u16 selector,
                                u64 offset)
{
    unsigned size = i->operand_size;
    struct stack stack = emulate_stack_begin(e);
    struct segment cs;
    struct target t;
    struct place p[2];
    u64 back = e->next;
    e->ops->segment(e->ctx, SEG_CS, &cs);
    enum emulate_status s = find_target(e, selector, offset, false, &t);
    if (s == EMULATE_DONE)
        s = emulate_push(e, &stack, size, &p[0]);
    if (s == EMULATE_DONE)
        s = emulate_push(e, &stack, size, &p[1]);
    if (s == EMULATE_DONE)
        s = go(e, &t);
    if (s != EMULATE_DONE)
        return s;
    emulate_write(e, &p[0], cs.selector);
    emulate_write(e, &p[1], emulate_cut(back, size));
    emulate_stack_end(e, &stack);
    return s;
}

// FF /3 and /5: the offset, and behind it the selector.
static enum emulate_status by_pointer(struct emulation *e, const struct instruction *i)
{
    u64 to;
    u16 segment;
    enum emulate_status s = emulate_load_pointer(e, i, &to, &segment);
    if (s != EMULATE_DONE)
        return s;
    return emulate_group(i) == 3 ? call(e, i, segment, to) : jump(e, segment, to);
}

// CA and CB.
static enum emulate_status ret(struct emulation *e, const struct instruction *i)
{
    struct stack stack = emulate_stack_begin(e);
    struct place p[2];
    struct target t;
    enum emulate_status s = emulate_pop(e, &stack, i->operand_size, &p[0]);
    if (s == EMULATE_DONE)
        s = emulate_pop(e, &stack, i->operand_size, &p[1]);
    if (s != EMULATE_DONE)
        return s;
    u64 offset = emulate_read(e, &p[0]);
    s = find_target(e, (u16)emulate_read(e, &p[1]), offset, true, &t);
    if (s == EMULATE_DONE)
        s = go(e, &t);
    if (s != EMULATE_DONE)
        return s;
    stack.sp = emulate_cut(stack.sp + (u16)i->immediate, stack.width);
    emulate_stack_end(e, &stack);
    return s;
}

enum emulate_status emulate_far(struct emulation *e, const struct instruction *i)
{
    switch (i->opcode) {
    case 0x9a:
        return call(e, i, i->immediate2, emulate_cut((u64)i->immediate, i->operand_size));
    case 0xea:
        return jump(e, i->immediate2, emulate_cut((u64)i->immediate, i->operand_size));
    case 0xca:
    case 0xcb:
        return ret(e, i);
    case 0xff:
        return by_pointer(e, i);
    default:
        return EMULATE_UNSUPPORTED;
    }
}
