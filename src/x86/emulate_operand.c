// SPDX-License-Identifier: MIT
// How emulated instructions reach memory.
#include "x86/bits.h"
#include "x86/emulate_internal.h"
#include "x86/emulate_system.h"
#include "x86/registers.h"
#include "x86/vectors.h"

static enum emulate_status translate(struct emulation *e, enum segment_name segment, gva_t gva,
                                     u32 access, gpa_t *gpa)
{
    u32 error_code = 0;
    enum error error = e->ops->translate(e->ctx, gva, access, gpa, &error_code);
    switch (error) {
    case OK:
        return EMULATE_DONE;
    case ERR_FAULT:
        return emulate_raise(e, (struct emulate_exception){VECTOR_PF, true, error_code, gva.v});
    case ERR_INVALID: // SDM Vol. 3, 6.15, #SS and #GP
        return emulate_raise(
            e, (struct emulate_exception){segment == SEG_SS ? VECTOR_SS : VECTOR_GP, true});
    case ERR_BUSY:
        return EMULATE_AGAIN;
    default:
        e->error = error;
        return EMULATE_FAILED;
    }
}

// Whether a segment lets size bytes at offset be accessed (SDM Vol. 3, 5.3 and 5.5). Of one with a
// limit of 4 GiB the last bytes may be followed by the first.
static bool allows(const struct emulation *e, const struct segment *s, u64 offset, unsigned size,
                   u32 access)
{
    u64 last = offset + size - 1;
    bool code = s->access & SEGMENT_CODE;
    if (!emulate_is_protected(e))
        return last <= s->limit;
    if (s->access & SEGMENT_UNUSABLE)
        return false;
    if ((access & WALK_WRITE) && (code || !(s->access & SEGMENT_WRITABLE)))
        return false;
    if ((access & WALK_READ) && code && !(s->access & SEGMENT_READABLE))
        return false;
    if (!code && (s->access & SEGMENT_EXPANDS_DOWN))
        return offset > s->limit && last <= (s->access & SEGMENT_BIG ? UINT32_MAX : 0xffff);
    return last <= s->limit || s->limit == UINT32_MAX;
}

enum emulate_status emulate_reach_linear(struct emulation *e, enum segment_name segment, u64 linear,
                                         unsigned size, u32 access, struct place *p)
{
    u64 rest = PAGE_SIZE - (linear & ~PAGE_MASK); // bytes to the page's end
    p->linear = linear;
    p->size = (u8)size;
    p->first = (u8)MIN(rest, size);
    enum emulate_status s = translate(e, segment, GVA(linear), access, &p->gpa);
    if (s != EMULATE_DONE || p->first == size)
        return s;
    linear += rest;
    if (e->code_size != CODE_64)
        linear = (u32)linear;
    return translate(e, segment, GVA(linear), access, &p->next);
}

// Linear addresses wrap at 4 GiB outside 64-bit mode, where only FS and GS have a base, and none a
// limit.
enum emulate_status emulate_reach(struct emulation *e, enum segment_name segment, u64 offset,
                                  unsigned size, u32 access, struct place *p)
{
    struct segment s;
    if (e->code_size != CODE_64) {
        e->ops->segment(e->ctx, segment, &s);
        if (!allows(e, &s, offset, size, access))
            return emulate_raise(
                e, (struct emulate_exception){segment == SEG_SS ? VECTOR_SS : VECTOR_GP, true});
        offset = (u32)(s.base + offset);
    } else if (segment == SEG_FS || segment == SEG_GS) {
        e->ops->segment(e->ctx, segment, &s);
        offset += s.base;
    }
    return emulate_reach_linear(e, segment, offset, size, access, p);
}

// The n-th byte of an operand in two pages.
static gpa_t byte_of(const struct place *p, unsigned n)
{
    return n < p->first ? GPA(p->gpa.v + n) : GPA(p->next.v + n - p->first);
}

void emulate_break(struct emulation *e, enum breakpoint_access access, u64 address, unsigned size)
{
    e->hits |= breakpoint_match(e->breakpoints, access, address, size);
}

// The same for an operand, which may lie in two pages, of which the second may be at address 0.
static NOINLINE void break_at(struct emulation *e, enum breakpoint_access access,
                              const struct place *p)
{
    u64 next = p->linear + p->first;
    emulate_break(e, access, p->linear, p->first);
    if (p->first < p->size)
        emulate_break(e, access, e->code_size == CODE_64 ? next : (u32)next, p->size - p->first);
}

u64 emulate_read(struct emulation *e, const struct place *p)
{
    if (e->breakpoints != NULL)
        break_at(e, BREAKPOINT_READ, p);
    if (p->first == p->size)
        return emulate_cut(e->ops->read(e->ctx, p->gpa, p->size), p->size);
    u64 value = 0;
    for (unsigned n = 0; n < p->size; n++)
        value |= (u64)(u8)e->ops->read(e->ctx, byte_of(p, n), 1) << (n * 8);
    return value;
}

void emulate_write(struct emulation *e, const struct place *p, u64 value)
{
    if (e->breakpoints != NULL)
        break_at(e, BREAKPOINT_WRITE, p);
    if (p->first == p->size) {
        e->ops->write(e->ctx, p->gpa, p->size, value);
        return;
    }
    for (unsigned n = 0; n < p->size; n++)
        e->ops->write(e->ctx, byte_of(p, n), 1, (u8)(value >> (n * 8)));
}
