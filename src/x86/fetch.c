// SPDX-License-Identifier: MIT
#include "x86/fetch.h"

#include "lib/string.h"
#include "x86/bits.h"

static u64 place(gva_t linear)
{
    return (linear.v ^ linear.v >> 3) % FETCH_CACHE_SIZE;
}

const struct instruction *fetch_cached(const struct fetch_cache *c, gva_t linear, u64 cr3,
                                       enum code_size code_size)
{
    const struct fetch_entry *f = &c->entry[place(linear)];
    if (f->linear != linear.v || f->cr3 != cr3 || f->code_size != code_size || f->levels == 0)
        return NULL;
    for (unsigned n = 0; n < f->levels; n++)
        if (__atomic_load_n(f->table[n], __ATOMIC_RELAXED) != f->value[n])
            return NULL;
    u64 now[2];
    __builtin_memcpy(now, f->code, sizeof(now)); // no call
    if (((now[0] ^ f->bytes[0]) & f->mask[0]) | ((now[1] ^ f->bytes[1]) & f->mask[1]))
        return NULL;
    return &f->i;
}

// Remembers where the instruction came from and the cluster that it begins, 16 bytes before its
// page's end or more. r: the walk to it; code: its bytes as decoded.
static void remember(struct fetch_entry *f, const struct guest_memory *m, gva_t linear, u64 cr3,
                     const struct walk_result *r, const u8 code[16])
{
    f->levels = 0;
    f->code = guest_ptr(m, r->gpa, 16);
    if (f->code == NULL)
        return;
    for (unsigned n = 0; n < r->count; n++) {
        f->table[n] = guest_ptr(m, r->entry[n].gpa, 8);
        f->value[n] = r->entry[n].value;
        if (f->table[n] == NULL)
            return;
    }
    memcpy(f->bytes, code, sizeof(f->bytes));
    cluster_find(&f->i, code + f->i.length, 16u - f->i.length, &f->cluster);
    unsigned bits = (f->i.length + f->cluster.length) * 8u;
    f->mask[0] = bits >= 64 ? UINT64_MAX : BIT(bits) - 1;
    f->mask[1] = bits >= 128 ? UINT64_MAX : bits > 64 ? BIT(bits - 64) - 1 : 0;
    f->linear = linear.v;
    f->cr3 = cr3;
    f->code_size = f->i.code_size;
    f->levels = r->count;
}

enum error fetch_instruction(struct fetch_cache *c, const struct paging_state *ps,
                             const struct guest_memory *m, gva_t linear, enum code_size code_size,
                             const struct instruction **i)
{
    u8 code[16] = {0};
    struct walk_result r;
    unsigned available = (unsigned)MIN(PAGE_SIZE - (linear.v & ~PAGE_MASK), 16u);
    if (guest_walk(ps, m, linear, 0, &r) != OK || guest_read(m, r.gpa, code, available) != OK)
        return ERR_BUSY;
    bool long_mode = (ps->cr0 & CR0_PG) && (ps->efer & EFER_LMA);
    struct fetch_entry *f = &c->entry[place(linear)];
    bool cache = long_mode && available == 16;
    struct instruction *to = cache ? &f->i : &c->other;
    f->levels = 0;
    enum error e = decode(code, available, code_size, to);
    if (e == ERR_TRUNCATED) { // it goes on in the next page
        gva_t next = GVA(linear.v + available);
        if (!long_mode)
            next.v = (u32)next.v;
        unsigned rest = INSTRUCTION_MAX - available;
        if (guest_read_linear(ps, m, next, code + available, rest, 0, NULL) != OK)
            return ERR_BUSY;
        e = decode(code, INSTRUCTION_MAX, code_size, to);
    }
    if (e == OK && cache)
        remember(f, m, linear, ps->cr3, &r, code);
    *i = to;
    return e;
}
