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
};

static const char *check_code(const struct load *l, u32 access)
{
    unsigned type = TYPE(access);

    if (!(access & SEGMENT_NOT_SYSTEM) || !(type & TYPE_CODE))
        return "must name a code segment";
    if (SELECTOR_RPL(l->selector) != l->ring)
        return "the RPL must be the ring";
    if ((type & TYPE_CONFORMING) && SEGMENT_DPL(access) > l->ring)
        return "the DPL of conforming code must not be above the ring";
    if (!(type & TYPE_CONFORMING) && SEGMENT_DPL(access) != l->ring)
        return "the DPL must be the ring";
    if (l->long_mode && (access & SEGMENT_LONG) && (access & SEGMENT_BIG))
        return "L and D must not both be set";
    return NULL;
}

static const char *check_stack(const struct load *l, u32 access)
{
    unsigned type = TYPE(access);

    if (!(access & SEGMENT_NOT_SYSTEM) || (type & TYPE_CODE) || !(type & TYPE_WRITABLE))
        return "must name a writable data segment";
    if (SELECTOR_RPL(l->selector) != l->ring || SEGMENT_DPL(access) != l->ring)
        return "RPL and DPL must be the ring";
    return NULL;
}

static const char *check_data(const struct load *l, u32 access)
{
    unsigned type = TYPE(access), most = MAX(SELECTOR_RPL(l->selector), l->ring);

    if (!(access & SEGMENT_NOT_SYSTEM) || ((type & TYPE_CODE) && !(type & TYPE_WRITABLE)))
        return "must name a readable segment";
    bool any_ring = (type & TYPE_CODE) && (type & TYPE_CONFORMING);
    return !any_ring && most > SEGMENT_DPL(access) ? "the DPL must not be below the ring or the RPL"
                                                   : NULL;
}

static const char *check_system(const struct load *l, u32 access)
{
    unsigned type = TYPE(access), free = type & ~TYPE_TSS_BUSY;

    if (access & SEGMENT_NOT_SYSTEM)
        return "must name a system segment";
    if (l->n == SEG_LDTR)
        return type == 2 ? NULL : "must name an LDT";
    return free == 9 || (free == 1 && !l->long_mode) ? NULL : "must name a TSS";
}

static const char *check(const struct load *l, u32 access)
{
    const char *rule = l->n == SEG_CS   ? check_code(l, access)
                       : l->n == SEG_SS ? check_stack(l, access)
                       : l->n <= SEG_GS ? check_data(l, access)
                                        : check_system(l, access);

    return rule == NULL && !(access & SEGMENT_PRESENT) ? "must be present" : rule;
}

// A null selector makes a register unusable, where there may be one.
static const char *load_null(const struct load *l, struct segment *s)
{
    if (l->n == SEG_CS || l->n == SEG_TR ||
        (l->n == SEG_SS && (!l->code_64 || l->ring == 3 || SELECTOR_RPL(l->selector) != l->ring)))
        return "must not be null";
    *s = (struct segment){.selector = l->selector,
                          .access = (u32)SEGMENT_UNUSABLE | (l->n == SEG_SS ? l->ring << 5 : 0)};
    return NULL;
}

// The descriptor's bytes; a system descriptor has 16 in long mode.
static const char *fetch(struct session *session, unsigned pid, const struct vcpu_regs *regs,
                         const struct load *l, u32 descriptor[4])
{
    const struct segment *ldt = &regs->seg[SEG_LDTR];
    u64 base = regs->gdtr.base, limit = regs->gdtr.limit, at = l->selector & ~7u;
    u64 size = l->n >= SEG_LDTR && l->long_mode ? 16 : 8;

    memset(descriptor, 0, 16);
    if (l->selector & SELECTOR_LDT) {
        if (l->n >= SEG_LDTR)
            return "must be of the GDT";
        if (ldt->access & SEGMENT_UNUSABLE)
            return "needs an LDT, and there is none";
        base = ldt->base;
        limit = ldt->limit;
    }
    if (at + size - 1 > limit)
        return "must be within the table's limit";
    return gdb_read_memory(session, pid, regs, base + at, descriptor, size) != size
               ? "its table must be in memory"
               : NULL;
}

static const char *load(struct session *session, unsigned pid, const struct vcpu_regs *regs,
                        const struct load *l, struct segment *s)
{
    u32 d[4];

    if ((l->selector & ~3u) == 0)
        return load_null(l, s);
    const char *rule = fetch(session, pid, regs, l, d);
    u32 access = d[1] >> 8 & ACCESS_BITS;
    if (rule == NULL)
        rule = check(l, access);
    if (rule == NULL && (d[3] & SYSTEM_TYPE) != 0)
        rule = "the type in the upper half of its descriptor must be 0";
    if (rule != NULL)
        return rule;
    u32 limit = (d[0] & 0xffff) | (d[1] & 0xf0000);
    *s = (struct segment){.selector = l->selector,
                          .limit = access & SEGMENT_GRANULAR ? limit << 12 | 0xfff : limit,
                          .access = access | (l->n <= SEG_GS   ? TYPE_ACCESSED
                                              : l->n == SEG_TR ? TYPE_TSS_BUSY
                                                               : 0),
                          .base = (d[0] >> 16) | (d[1] & 0xff) << 16 | (d[1] & 0xff000000) |
                                  (u64)d[2] << 32};
    return NULL;
}

static bool refuse(struct text *why, enum segment_name n, u16 selector, const char *rule)
{
    static const char *const names[SEG_COUNT] = {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"};

    text_add(why, "%s = %x: %s", names[n], selector, rule);
    return false;
}

bool segments_load(struct session *session, unsigned pid, struct vcpu_regs *regs,
                   const struct selectors *s, struct text *why)
{
    bool protected = (regs->cr0 & CR0_PE) != 0 && (regs->rflags & RFLAGS_VM) == 0;
    const struct vcpu_regs now = *regs;
    struct load l = {.ring = current_ring(&now),
                     .long_mode = in_long_mode(&now),
                     .code_64 = in_64bit_mode(&now)};

    if (s->given[SEG_CS] && s->given[SEG_SS])
        l.ring = SELECTOR_RPL(s->value[SEG_CS]);
    for (unsigned n = 0; n < SEG_COUNT; n++) {
        struct segment *to = &regs->seg[n];
        l.n = (enum segment_name)n;
        l.selector = s->value[n];
        if (!s->given[n] || l.selector == to->selector)
            continue;
        if (!protected && n > SEG_GS)
            return refuse(why, l.n, l.selector, "it cannot be loaded in real mode");
        const char *rule = NULL;
        if (protected)
            rule = load(session, pid, &now, &l, to);
        else
            *to = (struct segment){l.selector, to->limit, to->access, (u64)l.selector << 4};
        if (rule != NULL)
            return refuse(why, l.n, l.selector, rule);
    }
    return true;
}
