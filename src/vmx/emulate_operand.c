// SPDX-License-Identifier: MIT
// How emulated instructions reach memory.
#include "ept/walk.h"
#include "vmx/emulate_internal.h"

#define VECTOR_SS 12
#define VECTOR_GP 13
#define VECTOR_PF 14

enum emulate_status emulate_raise(struct emulation *e, struct emulate_exception exception)
{
    e->exception = exception;
    return EMULATE_FAULT;
}

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

// Linear addresses wrap at 4 GiB outside 64-bit mode, where only FS and GS have a base.
static u64 linear_address(struct emulation *e, enum segment_name segment, u64 offset)
{
    if (e->code_size != CODE_64)
        return (u32)(e->ops->segment_base(e->ctx, segment) + offset);
    if (segment == SEG_FS || segment == SEG_GS)
        offset += e->ops->segment_base(e->ctx, segment);
    return offset;
}

enum emulate_status emulate_reach(struct emulation *e, enum segment_name segment, u64 offset,
                                  unsigned size, u32 access, struct place *p)
{
    u64 linear = linear_address(e, segment, offset);
    u64 rest = PAGE_SIZE - (linear & ~PAGE_MASK); // bytes to the page's end
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

// The n-th byte of an operand in two pages.
static gpa_t byte_of(const struct place *p, unsigned n)
{
    return n < p->first ? GPA(p->gpa.v + n) : GPA(p->next.v + n - p->first);
}

u64 emulate_read(struct emulation *e, const struct place *p)
{
    if (p->first == p->size)
        return emulate_cut(e->ops->read(e->ctx, p->gpa, p->size), p->size);
    u64 value = 0;
    for (unsigned n = 0; n < p->size; n++)
        value |= (u64)(u8)e->ops->read(e->ctx, byte_of(p, n), 1) << (n * 8);
    return value;
}

void emulate_write(struct emulation *e, const struct place *p, u64 value)
{
    if (p->first == p->size) {
        e->ops->write(e->ctx, p->gpa, p->size, value);
        return;
    }
    for (unsigned n = 0; n < p->size; n++)
        e->ops->write(e->ctx, byte_of(p, n), 1, (u8)(value >> (n * 8)));
}
