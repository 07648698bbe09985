// SPDX-License-Identifier: MIT
// Segment descriptors and the loading of segment registers (SDM Vol. 3, 3.4).
#include "x86/bits.h"
#include "x86/emulate_system.h"
#include "x86/registers.h"
#include "x86/vectors.h"

#define DESCRIPTOR_SIZE 8 // bytes; a system descriptor in IA-32e mode has as many again

enum emulate_status emulate_raise_selector(struct emulation *e, u8 vector, u16 selector)
{
    return emulate_raise(e, (struct emulate_exception){vector, true, SELECTOR_ERROR(selector)});
}

static enum emulate_status read_table(struct emulation *e, u64 linear, u64 *value)
{
    struct place p;
    enum emulate_status s =
        emulate_reach_linear(e, SEG_DS, linear, DESCRIPTOR_SIZE, WALK_READ | WALK_SYSTEM, &p);
    if (s == EMULATE_DONE)
        *value = emulate_read(e, &p);
    return s;
}

// What the hidden part becomes.
static struct segment unpack(u16 selector, u64 value)
{
    struct segment s = {.selector = selector};
    s.access = (u32)(value >> 40) & 0xf0ff;
    s.base = (value >> 16 & 0xffffff) | (value >> 56) << 24;
    s.limit = (u32)((value & 0xffff) | (value >> 32 & 0xf0000));
    if (s.access & SEGMENT_GRANULAR)
        s.limit = s.limit << 12 | 0xfff;
    return s;
}

enum emulate_status emulate_descriptor(struct emulation *e, u16 selector, struct descriptor *d,
                                       bool *there)
{
    struct descriptor_table table;
    if (selector & SELECTOR_LDT) {
        struct segment ldt;
        e->ops->segment(e->ctx, SEG_LDTR, &ldt);
        table = (struct descriptor_table){ldt.base, ldt.limit};
        *there = !(ldt.access & SEGMENT_UNUSABLE);
    } else {
        e->ops->table(e->ctx, EMULATE_GDTR, &table);
        *there = true;
    }
    u32 offset = selector & ~7u, end = offset + DESCRIPTOR_SIZE - 1;
    d->linear = table.base + offset;
    if (!e->long_mode)
        d->linear = (u32)d->linear;
    if (!*there || end > table.limit) {
        *there = false;
        return EMULATE_DONE;
    }
    enum emulate_status s = read_table(e, d->linear, &d->value);
    if (s != EMULATE_DONE)
        return s;
    d->segment = unpack(selector, d->value);
    if (!e->long_mode || (d->segment.access & SEGMENT_NOT_SYSTEM))
        return s;
    u64 upper;
    if (end + DESCRIPTOR_SIZE > table.limit) {
        *there = false;
        return s;
    }
    s = read_table(e, d->linear + DESCRIPTOR_SIZE, &upper);
    if (s != EMULATE_DONE)
        return s;
    d->segment.base |= upper << 32;
    *there = (upper >> 40 & 0x1f) == 0; // the upper half's type
    return s;
}

enum emulate_status emulate_mark(struct emulation *e, struct descriptor *d, u32 bits)
{
    struct place p;
    if ((d->segment.access & bits) == bits)
        return EMULATE_DONE;
    enum emulate_status s =
        emulate_reach_linear(e, SEG_DS, d->linear + 5, 1, WALK_WRITE | WALK_SYSTEM, &p);
    if (s != EMULATE_DONE)
        return s;
    d->segment.access |= bits;
    emulate_write(e, &p, (u8)d->segment.access);
    return s;
}

// ---- segment registers -------------------------------------------------------------------------

// In real and virtual-8086 mode the selector alone gives the base; limit and access stay.
static enum emulate_status load_real(struct emulation *e, enum segment_name segment, u16 selector)
{
    struct segment s;
    e->ops->segment(e->ctx, segment, &s);
    s.selector = selector;
    s.base = (u64)selector << 4;
    e->ops->set_segment(e->ctx, segment, &s);
    return EMULATE_DONE;
}

// SS can be null in 64-bit mode but for CPL 3; its DPL is the CPL.
static enum emulate_status load_null(struct emulation *e, enum segment_name segment, u16 selector)
{
    u32 access = SEGMENT_UNUSABLE;
    if (segment == SEG_SS) {
        if (e->code_size != CODE_64 || e->cpl == 3 || SELECTOR_RPL(selector) != e->cpl)
            return emulate_raise_gp(e);
        access |= (u32)e->cpl << 5;
    }
    struct segment s = {.selector = selector, .access = access};
    e->ops->set_segment(e->ctx, segment, &s);
    return EMULATE_DONE;
}

// Whether the CPL may have this in the register.
static bool may_load(const struct emulation *e, enum segment_name segment, const struct segment *s)
{
    unsigned rpl = SELECTOR_RPL(s->selector), dpl = SEGMENT_DPL(s->access);
    bool code = s->access & SEGMENT_CODE;
    if (!(s->access & SEGMENT_NOT_SYSTEM))
        return false;
    if (segment == SEG_SS)
        return !code && (s->access & SEGMENT_WRITABLE) && rpl == e->cpl && dpl == e->cpl;
    if (code && !(s->access & SEGMENT_READABLE))
        return false;
    return (code && (s->access & SEGMENT_CONFORMING)) || (rpl <= dpl && e->cpl <= dpl);
}

enum emulate_status emulate_load_segment(struct emulation *e, enum segment_name segment,
                                         u16 selector)
{
    struct descriptor d;
    bool there;
    if (!emulate_is_protected(e))
        return load_real(e, segment, selector);
    if (SELECTOR_NULL(selector))
        return load_null(e, segment, selector);
    enum emulate_status s = emulate_descriptor(e, selector, &d, &there);
    if (s != EMULATE_DONE)
        return s;
    if (!there || !may_load(e, segment, &d.segment))
        return emulate_raise_selector(e, VECTOR_GP, selector);
    if (!(d.segment.access & SEGMENT_PRESENT))
        return emulate_raise_selector(e, segment == SEG_SS ? VECTOR_SS : VECTOR_NP, selector);
    s = emulate_mark(e, &d, SEGMENT_ACCESSED);
    if (s == EMULATE_DONE)
        e->ops->set_segment(e->ctx, segment, &d.segment);
    return s;
}
