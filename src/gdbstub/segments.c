// SPDX-License-Identifier: MIT
#include "gdbstub/segments.h"

#include "gdbstub/memory.h"
#include "lib/string.h"
#include "x86/bits.h"

#define TYPE(access)    ((access)&15)
#define TYPE_ACCESSED   1u
#define TYPE_TSS_BUSY   2u
#define TYPE_WRITABLE   2u // of data; of code: readable
#define TYPE_CONFORMING 4u
#define TYPE_CODE       8u
#define ACCESS_BITS     0xf0ffu

#define SYSTEM_TYPE 0x1f00u // in the last four bytes of a system descriptor in long mode

// What the checks depend on besides the descriptor.
struct load {
    enum segment_name n;
    u16 selector;
    unsigned ring;
    bool long_mode, code_64;
    struct text *why;
};

// Says which register cannot have its selector.
static enum error refuse(const struct load *l, const char *rule)
{
    static const char *const names[SEG_COUNT] = {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"};

    return explain(l->why, ERR_INVALID, "%s = %x: %s", names[l->n], l->selector, rule);
}

static enum error check_code(const struct load *l, u32 access)
{
    unsigned type = TYPE(access);

    if (!(access & SEGMENT_NOT_SYSTEM) || !(type & TYPE_CODE))
        return refuse(l, "must name a code segment");
    if (SELECTOR_RPL(l->selector) != l->ring)
        return refuse(l, "the RPL must be the ring");
    if ((type & TYPE_CONFORMING) && SEGMENT_DPL(access) > l->ring)
        return refuse(l, "the DPL of conforming code must not be above the ring");
    if (!(type & TYPE_CONFORMING) && SEGMENT_DPL(access) != l->ring)
        return refuse(l, "the DPL must be the ring");
    if (l->long_mode && (access & SEGMENT_LONG) && (access & SEGMENT_BIG))
        return refuse(l, "L and D must not both be set");
    return OK;
}

static enum error check_stack(const struct load *l, u32 access)
{
    unsigned type = TYPE(access);

    if (!(access & SEGMENT_NOT_SYSTEM) || (type & TYPE_CODE) || !(type & TYPE_WRITABLE))
        return refuse(l, "must name a writable data segment");
    if (SELECTOR_RPL(l->selector) != l->ring || SEGMENT_DPL(access) != l->ring)
        return refuse(l, "RPL and DPL must be the ring");
    return OK;
}

static enum error check_data(const struct load *l, u32 access)
{
    unsigned type = TYPE(access), most = MAX(SELECTOR_RPL(l->selector), l->ring);

    if (!(access & SEGMENT_NOT_SYSTEM) || ((type & TYPE_CODE) && !(type & TYPE_WRITABLE)))
        return refuse(l, "must name a readable segment");
    bool any_ring = (type & TYPE_CODE) && (type & TYPE_CONFORMING);
    return any_ring || most <= SEGMENT_DPL(access)
               ? OK
               : refuse(l, "the DPL must not be below the ring or the RPL");
}

static enum error check_system(const struct load *l, u32 access)
{
    unsigned type = TYPE(access), free = type & ~TYPE_TSS_BUSY;

    if (access & SEGMENT_NOT_SYSTEM)
        return refuse(l, "must name a system segment");
    if (l->n == SEG_LDTR)
        return type == 2 ? OK : refuse(l, "must name an LDT");
    return free == 9 || (free == 1 && !l->long_mode) ? OK : refuse(l, "must name a TSS");
}

static enum error check(const struct load *l, u32 access)
{
    enum error e = l->n == SEG_CS   ? check_code(l, access)
                   : l->n == SEG_SS ? check_stack(l, access)
                   : l->n <= SEG_GS ? check_data(l, access)
                                    : check_system(l, access);

    return e == OK && !(access & SEGMENT_PRESENT) ? refuse(l, "must be present") : e;
}

// A null selector makes a register unusable, where there may be one.
static enum error load_null(const struct load *l, struct segment *s)
{
    if (l->n == SEG_CS || l->n == SEG_TR ||
        (l->n == SEG_SS && (!l->code_64 || l->ring == 3 || SELECTOR_RPL(l->selector) != l->ring)))
        return refuse(l, "must not be null");
    *s = (struct segment){.selector = l->selector,
                          .access = (u32)SEGMENT_UNUSABLE | (l->n == SEG_SS ? l->ring << 5 : 0)};
    return OK;
}

// The descriptor's bytes; a system descriptor has 16 in long mode.
static enum error fetch(struct session *session, unsigned pid, const struct vcpu_regs *regs,
                        const struct load *l, u32 descriptor[4])
{
    const struct segment *ldt = &regs->seg[SEG_LDTR];
    u64 base = regs->gdtr.base, limit = regs->gdtr.limit, at = l->selector & ~7u;
    u64 size = l->n >= SEG_LDTR && l->long_mode ? 16 : 8;

    memset(descriptor, 0, 16);
    if (l->selector & SELECTOR_LDT) {
        if (l->n >= SEG_LDTR)
            return refuse(l, "must be of the GDT");
        if (ldt->access & SEGMENT_UNUSABLE)
            return refuse(l, "needs an LDT, and there is none");
        base = ldt->base;
        limit = ldt->limit;
    }
    if (at + size - 1 > limit)
        return refuse(l, "must be within the table's limit");
    return gdb_read_memory(session, pid, regs, base + at, descriptor, size) == size
               ? OK
               : refuse(l, "its table must be in memory");
}

static enum error load(struct session *session, unsigned pid, const struct vcpu_regs *regs,
                       const struct load *l, struct segment *s)
{
    u32 d[4];

    if ((l->selector & ~3u) == 0)
        return load_null(l, s);
    enum error e = fetch(session, pid, regs, l, d);
    u32 access = d[1] >> 8 & ACCESS_BITS;
    if (e == OK)
        e = check(l, access);
    if (e == OK && (d[3] & SYSTEM_TYPE) != 0)
        e = refuse(l, "the type in the upper half of its descriptor must be 0");
    if (e != OK)
        return e;
    u32 limit = (d[0] & 0xffff) | (d[1] & 0xf0000);
    *s = (struct segment){.selector = l->selector,
                          .limit = access & SEGMENT_GRANULAR ? limit << 12 | 0xfff : limit,
                          .access = access | (l->n <= SEG_GS   ? TYPE_ACCESSED
                                              : l->n == SEG_TR ? TYPE_TSS_BUSY
                                                               : 0),
                          .base = (d[0] >> 16) | (d[1] & 0xff) << 16 | (d[1] & 0xff000000) |
                                  (u64)d[2] << 32};
    return OK;
}

enum error segments_load(struct session *session, unsigned pid, struct vcpu_regs *regs,
                         const struct selectors *s, struct text *why)
{
    bool protected = (regs->cr0 & CR0_PE) != 0 && (regs->rflags & RFLAGS_VM) == 0;
    const struct vcpu_regs now = *regs;
    struct load l = {.ring = current_ring(&now),
                     .long_mode = in_long_mode(&now),
                     .code_64 = in_64bit_mode(&now),
                     .why = why};
    enum error e = OK;

    if (s->given[SEG_CS] && s->given[SEG_SS])
        l.ring = SELECTOR_RPL(s->value[SEG_CS]);
    for (unsigned n = 0; n < SEG_COUNT && e == OK; n++) {
        struct segment *to = &regs->seg[n];
        l.n = (enum segment_name)n;
        l.selector = s->value[n];
        if (!s->given[n] || l.selector == to->selector)
            continue;
        if (protected)
            e = load(session, pid, &now, &l, to);
        else if (n > SEG_GS)
            e = refuse(&l, "it cannot be loaded in real mode");
        else
            *to = (struct segment){l.selector, to->limit, to->access, (u64)l.selector << 4};
    }
    return e;
}
