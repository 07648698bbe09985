// SPDX-License-Identifier: MIT
// Group 7 (0F 01): SGDT, SIDT, LGDT, LIDT, SMSW, LMSW, INVLPG; and INVPCID.
#include "x86/emulate_system.h"

#include "x86/bits.h"

#define CR0_STATUS_WORD 0xeul // MP, EM, TS; LMSW sets PE too, but does not clear it

// A pseudo-descriptor: the limit, 2 bytes, and the base, 8 bytes in 64-bit mode, else 4.
static enum emulate_status find_table(struct emulation *e, const struct instruction *i, u32 access,
                                      struct operand *limit, struct operand *base)
{
    unsigned size = i->code_size == CODE_64 ? 8 : 4;
    if (!i->has_memory)
        return emulate_raise_ud(e);
    enum emulate_status s = emulate_find_rm(e, i, 2, access, 0, limit);
    return s == EMULATE_DONE ? emulate_find_rm(e, i, size, access, 2, base) : s;
}

static enum emulate_status store_table(struct emulation *e, const struct instruction *i,
                                       enum emulate_table which)
{
    struct operand limit, base;
    struct descriptor_table table;
    enum emulate_status s = find_table(e, i, WALK_WRITE, &limit, &base);
    if (s != EMULATE_DONE)
        return s;
    e->ops->table(e->ctx, which, &table);
    emulate_store(e, i, &limit, (u16)table.limit);
    emulate_store(e, i, &base, emulate_cut(table.base, base.size));
    return s;
}

static enum emulate_status load_table(struct emulation *e, const struct instruction *i,
                                      enum emulate_table which)
{
    struct operand limit, base;
    struct descriptor_table table;
    enum emulate_status s = find_table(e, i, WALK_READ, &limit, &base);
    if (s != EMULATE_DONE)
        return s;
    table.limit = (u16)emulate_load(e, i, &limit);
    table.base = emulate_load(e, i, &base);
    if (i->code_size != CODE_64 && i->operand_size == 2)
        table.base &= 0xffffff;
    if (!emulate_is_canonical(table.base))
        return emulate_raise_gp(e);
    e->ops->set_table(e->ctx, which, &table);
    return s;
}

static enum emulate_status store_status_word(struct emulation *e, const struct instruction *i)
{
    struct operand rm;
    unsigned size = i->has_memory ? 2 : i->operand_size;
    enum emulate_status s = emulate_find_rm(e, i, size, WALK_WRITE, 0, &rm);
    if (s == EMULATE_DONE)
        emulate_store(e, i, &rm, emulate_cut(e->ops->status_word(e->ctx), size));
    return s;
}

static enum emulate_status load_status_word(struct emulation *e, const struct instruction *i)
{
    u64 word, cr0;
    enum emulate_status s = emulate_load_rm(e, i, 2, &word);
    if (s != EMULATE_DONE)
        return s;
    cr0 = (e->ops->status_word(e->ctx) & ~CR0_STATUS_WORD) | (word & (CR0_STATUS_WORD | CR0_PE));
    return e->ops->set_status_word(e->ctx, cr0) ? s : emulate_raise_gp(e);
}

static enum emulate_status group_7(struct emulation *e, const struct instruction *i)
{
    unsigned group = emulate_group(i);
    bool stores = group == 0 || group == 1 || group == 4;
    if (group == 5) // RSTORSSP
        return EMULATE_UNSUPPORTED;
    if (e->cpl > 0 && (!stores || (e->cr4 & CR4_UMIP)))
        return emulate_raise_gp(e);
    switch (group) {
    case 0:
    case 1:
        return store_table(e, i, group == 0 ? EMULATE_GDTR : EMULATE_IDTR);
    case 2:
    case 3:
        return load_table(e, i, group == 2 ? EMULATE_GDTR : EMULATE_IDTR);
    case 4:
        return store_status_word(e, i);
    case 6:
        return load_status_word(e, i);
    default: // INVLPG; its operand is not accessed
        if (!i->has_memory)
            return EMULATE_UNSUPPORTED;
        e->ops->invalidate(e->ctx);
        return EMULATE_DONE;
    }
}

// Of the four types none leaves more than dropping everything would (SDM Vol. 2, INVPCID).
static enum emulate_status invpcid(struct emulation *e, const struct instruction *i)
{
    enum { ONE_ADDRESS, ONE_PCID };
    struct operand low, high;
    u64 type = emulate_cut(e->gpr[i->reg], i->code_size == CODE_64 ? 8 : 4);
    if (!i->has_memory || !i->operand_66 || i->repeat != 0)
        return EMULATE_UNSUPPORTED;
    if (!(e->features & EMULATE_INVPCID))
        return emulate_raise_ud(e);
    if (e->cpl > 0 || type > 3)
        return emulate_raise_gp(e);
    enum emulate_status s = emulate_find_rm(e, i, 8, WALK_READ, 0, &low);
    if (s == EMULATE_DONE)
        s = emulate_find_rm(e, i, 8, WALK_READ, 8, &high);
    if (s != EMULATE_DONE)
        return s;
    u64 pcid = emulate_load(e, i, &low), address = emulate_load(e, i, &high);
    if (pcid >> 12 != 0 || (type == ONE_ADDRESS && !emulate_is_canonical(address)) ||
        (type <= ONE_PCID && pcid != 0 && !(e->cr4 & CR4_PCIDE)))
        return emulate_raise_gp(e);
    e->ops->invalidate(e->ctx);
    return s;
}

enum emulate_status emulate_system(struct emulation *e, const struct instruction *i)
{
    return i->map == MAP_0F ? group_7(e, i) : invpcid(e, i);
}
