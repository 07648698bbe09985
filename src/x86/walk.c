// SPDX-License-Identifier: MIT
#include "x86/walk.h"

#include "lib/string.h"
#include "x86/bits.h"

#define ENTRY_P  BIT(0)
#define ENTRY_RW BIT(1)
#define ENTRY_US BIT(2)
#define ENTRY_A  BIT(5)
#define ENTRY_D  BIT(6)
#define ENTRY_PS BIT(7)
#define ENTRY_XD BIT(63)

#define RETRIES 8 // walks begun again because another vCPU changed an entry

enum paging_mode { NO_PAGING, PAGING_32, PAGING_PAE, PAGING_64 };

// A walk under way: what does not change from level to level.
struct walk {
    const struct paging_state *ps;
    const struct guest_memory *m;
    enum paging_mode mode;
    unsigned levels;     // of tables, top to PTE
    unsigned index_bits; // of a table's index: 9 or 10
    u64 phys_mask;       // addresses below 2^MAXPHYADDR
    u64 reserved;        // bits that are reserved at every level
};

static u64 bits(unsigned high, unsigned low)
{
    return (BIT(high - low) * 2 - 1) << low;
}

static struct walk start(const struct paging_state *ps, const struct guest_memory *m)
{
    unsigned width = ps->maxphyaddr >= 32 && ps->maxphyaddr <= 52 ? ps->maxphyaddr : 52;
    struct walk w = {.ps = ps, .m = m, .index_bits = 9, .phys_mask = BIT(width) - 1};
    if (!(ps->cr0 & CR0_PG)) {
        w.mode = NO_PAGING;
    } else if (ps->efer & EFER_LMA) {
        w.mode = PAGING_64;
        w.levels = (ps->cr4 & CR4_LA57) ? 5 : 4;
        w.reserved = bits(51, 12) & ~w.phys_mask;
    } else if (ps->cr4 & CR4_PAE) {
        w.mode = PAGING_PAE;
        w.levels = 3;
        w.reserved = bits(62, 12) & ~w.phys_mask;
    } else {
        w.mode = PAGING_32;
        w.levels = 2;
        w.index_bits = 10;
    }
    if (w.levels > 2 && !(ps->efer & EFER_NXE))
        w.reserved |= ENTRY_XD;
    return w;
}

static bool address_ok(const struct walk *w, gva_t gva)
{
    // With paging on and EFER.LMA set addresses are canonical ones; else they have 32 bits.
    if (w->mode != PAGING_64)
        return gva.v <= UINT32_MAX;
    unsigned width = w->levels == 5 ? 57 : 48;
    return (u64)((i64)(gva.v << (64 - width)) >> (64 - width)) == gva.v;
}

// Whether the entry maps a page, by its level and PS.
static bool is_leaf(const struct walk *w, const struct walk_entry *e)
{
    if (e->level == 1)
        return true;
    if (!(e->value & ENTRY_PS))
        return false;
    if (w->mode == PAGING_32)
        return w->ps->cr4 & CR4_PSE;
    return e->level == 2 || (e->level == 3 && w->mode == PAGING_64 && !w->ps->no_1gb_pages);
}

// Bits that must be 0 in a present entry (SDM Vol. 3, 4.3 to 4.5, tables 4-4 to 4-20).
static u64 reserved_bits(const struct walk *w, unsigned level, bool leaf)
{
    if (level == 1)
        return w->reserved;
    if (w->mode == PAGING_32) {
        // A 4-MByte page's bits 39:32 lie in 20:13 (PSE-36), as far as MAXPHYADDR goes.
        u64 high = MIN(w->phys_mask, BIT(40) - 1) >> 32;
        return leaf ? bits(21, 13) & ~(high << 13) : 0;
    }
    if (leaf) // bit 12 is PAT, the address starts at the page size
        return w->reserved | bits(level == 2 ? 20 : 29, 13);
    if (w->mode == PAGING_PAE && level == 3)
        return w->reserved | ENTRY_XD | bits(8, 5) | bits(2, 1);
    return w->reserved | (level >= 3 ? ENTRY_PS : 0);
}

static bool read_entry(const struct walk *w, gpa_t gpa, u64 *value)
{
    // One access each, as the CPU does: another vCPU may be writing.
    unsigned size = w->mode == PAGING_32 ? 4 : 8;
    const void *p = guest_ptr(w->m, gpa, size);
    if (p == NULL)
        return false;
    *value = size == 4 ? __atomic_load_n((const u32 *)p, __ATOMIC_RELAXED)
                       : __atomic_load_n((const u64 *)p, __ATOMIC_RELAXED);
    return true;
}

// Whether the tables and the mode allow the access (SDM Vol. 3, 4.6.1).
static bool permitted(const struct paging_state *ps, u32 access, bool user,
                      const struct walk_result *r)
{
    if ((access & WALK_EXEC) && !r->executable)
        return false;
    if (user)
        return r->user && (r->writable || !(access & WALK_WRITE));
    if ((access & WALK_WRITE) && !r->writable && (ps->cr0 & CR0_WP))
        return false;
    if (!r->user)
        return true;
    if ((access & WALK_EXEC) && (ps->cr4 & CR4_SMEP))
        return false;
    bool allowed = (ps->rflags & RFLAGS_AC) && !(access & WALK_SYSTEM);
    return !(access & (WALK_READ | WALK_WRITE)) || !(ps->cr4 & CR4_SMAP) || allowed;
}

// Sets flags in an entry. False: it is no longer what was read.
static bool set_flags(const struct walk *w, const struct walk_entry *e, u64 flags)
{
    struct guest_write write;
    bool done;
    void *p = guest_write_begin(w->m, e->gpa, w->mode == PAGING_32 ? 4 : 8, &write);
    if (p == NULL)
        return false; // not reached: it was read
    if (w->mode == PAGING_32) {
        u32 old = (u32)e->value;
        done = __atomic_compare_exchange_n((u32 *)p, &old, old | (u32)flags, false,
                                           __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    } else {
        u64 old = e->value;
        done = __atomic_compare_exchange_n((u64 *)p, &old, old | flags, false, __ATOMIC_RELAXED,
                                           __ATOMIC_RELAXED);
    }
    guest_write_end(&write);
    return done;
}

// Sets A in every entry, and D in the leaf for a write. False when an entry is no longer what was
// read; flags already set do no harm (SDM Vol. 3, 4.8).
static bool set_accessed_dirty(const struct walk *w, const struct walk_result *r, u32 access)
{
    for (unsigned i = 0; i < r->count; i++) {
        const struct walk_entry *e = &r->entry[i];
        if (w->mode == PAGING_PAE && e->level == 3)
            continue; // PDPTEs have no flags
        u64 flags = ENTRY_A | (i == r->count - 1 && (access & WALK_WRITE) ? ENTRY_D : 0);
        if ((e->value & flags) == flags)
            continue;
        if (!set_flags(w, e, flags))
            return false;
    }
    return true;
}

// Goes from the table at `table` down to the page. What is missing or reserved is left in *cause.
static enum error descend(const struct walk *w, gva_t gva, gpa_t table, struct walk_result *r,
                          u32 *cause)
{
    u64 all = ENTRY_RW | ENTRY_US, any = 0; // bits set in all entries, in any
    struct walk_entry *e = r->entry;
    for (unsigned level = w->levels;; level--, e++) {
        bool pdpte = level == 3 && w->mode == PAGING_PAE;
        unsigned shift = PAGE_SHIFT + (level - 1) * w->index_bits;
        u64 index = gva.v >> shift & (BIT(w->index_bits) - 1);
        e->level = level;
        e->gpa = GPA(table.v + index * (w->mode == PAGING_32 ? 4 : 8));
        if (pdpte && w->ps->use_pdpte) {
            e->gpa = GPA(0);
            e->value = w->ps->pdpte[index & 3];
        } else if (!read_entry(w, e->gpa, &e->value)) {
            r->gpa = e->gpa;
            return ERR_NOT_FOUND;
        }
        r->count++;
        if (!(e->value & ENTRY_P))
            return ERR_FAULT;
        bool leaf = is_leaf(w, e);
        if (e->value & reserved_bits(w, level, leaf)) {
            *cause = PF_PRESENT | PF_RESERVED;
            return ERR_FAULT;
        }
        if (!pdpte) { // PAE's PDPTEs carry no permissions
            all &= e->value;
            any |= e->value;
        }
        u64 base = e->value & w->phys_mask & PAGE_MASK;
        if (leaf) {
            if (w->mode == PAGING_32 && level == 2)
                base |= (e->value >> 13 & 0xff) << 32;
            r->page_size = BIT(shift);
            r->gpa = GPA(ALIGN_DOWN(base, r->page_size) | (gva.v & (r->page_size - 1)));
            r->writable = all & ENTRY_RW;
            r->user = all & ENTRY_US;
            r->executable = !(any & ENTRY_XD);
            return OK;
        }
        table = GPA(base);
    }
}

enum error guest_walk(const struct paging_state *ps, const struct guest_memory *m, gva_t gva,
                      u32 access, struct walk_result *r)
{
    struct walk w = start(ps, m);
    bool user = !(access & WALK_SYSTEM) && ((access & WALK_USER) || ps->cpl == 3);
    // The fetch bit is there only where fetches are told from reads (SDM Vol. 3, 4.7).
    bool nx = (ps->efer & EFER_NXE) && (w.mode == PAGING_PAE || w.mode == PAGING_64);
    u32 kind = ((access & WALK_WRITE) ? PF_WRITE : 0) | (user ? PF_USER : 0) |
               ((access & WALK_EXEC) && (nx || (ps->cr4 & CR4_SMEP)) ? PF_FETCH : 0);

    for (unsigned attempt = 0; attempt < RETRIES; attempt++) {
        r->gpa = GPA(0);
        r->page_size = PAGE_SIZE;
        r->writable = r->user = r->executable = true;
        r->count = 0;
        r->error_code = 0;
        if (!address_ok(&w, gva))
            return ERR_INVALID;
        if (w.mode == NO_PAGING) {
            r->gpa = GPA(gva.v);
            return OK;
        }
        // PAE's table of 4 PDPTEs is aligned to 32 bytes only (SDM Vol. 3, table 4-7).
        u64 cr3 = w.mode == PAGING_64 ? ps->cr3 & w.phys_mask : (u32)ps->cr3;
        gpa_t table = GPA(ALIGN_DOWN(cr3, w.mode == PAGING_PAE ? 32 : PAGE_SIZE));

        u32 cause = 0;
        enum error e = descend(&w, gva, table, r, &cause);
        if (e == OK && (access & (WALK_READ | WALK_WRITE | WALK_EXEC)) &&
            !permitted(ps, access, user, r)) {
            cause = PF_PRESENT;
            e = ERR_FAULT;
        }
        if (e == ERR_FAULT)
            r->error_code = cause | kind;
        if (e != OK || !(access & WALK_SET_AD) || set_accessed_dirty(&w, r, access))
            return e;
    }
    return ERR_BUSY;
}

// Finds the RAM behind the first bytes at gva: *chunk of them, at most len, up to the page's end.
static enum error linear_chunk(const struct paging_state *ps, const struct guest_memory *m,
                               gva_t gva, u64 len, u32 access, gpa_t *gpa, u64 *chunk,
                               struct walk_fault *fault)
{
    struct walk_result r;
    *chunk = MIN(len, PAGE_SIZE - (gva.v & ~PAGE_MASK));
    enum error e = guest_walk(ps, m, gva, access, &r);
    if (e == OK) {
        *gpa = r.gpa;
        if (guest_ptr(m, r.gpa, *chunk) == NULL)
            e = ERR_NOT_FOUND;
    }
    if (e != OK && fault != NULL)
        *fault = (struct walk_fault){.gva = gva, .error_code = r.error_code, .gpa = r.gpa};
    return e;
}

static gva_t next_address(const struct paging_state *ps, gva_t gva, u64 chunk)
{
    bool wide = (ps->cr0 & CR0_PG) && (ps->efer & EFER_LMA);
    return GVA(wide ? gva.v + chunk : (u32)(gva.v + chunk));
}

enum error guest_read_linear(const struct paging_state *ps, const struct guest_memory *m, gva_t gva,
                             void *buf, u64 len, u32 access, struct walk_fault *fault)
{
    for (u8 *to = buf; len > 0;) {
        gpa_t gpa;
        u64 chunk;
        enum error e = linear_chunk(ps, m, gva, len, access, &gpa, &chunk, fault);
        if (e == OK)
            e = guest_read(m, gpa, to, chunk);
        if (e != OK)
            return e;
        to += chunk;
        len -= chunk;
        gva = next_address(ps, gva, chunk);
    }
    return OK;
}

enum error guest_write_linear(const struct paging_state *ps, const struct guest_memory *m,
                              gva_t gva, const void *buf, u64 len, u32 access,
                              struct walk_fault *fault)
{
    gpa_t gpa;
    u64 chunk;
    gva_t at = gva;
    for (u64 left = len; left > 0; left -= chunk, at = next_address(ps, at, chunk)) {
        enum error e = linear_chunk(ps, m, at, left, access & ~WALK_SET_AD, &gpa, &chunk, fault);
        if (e != OK)
            return e;
    }
    at = gva;
    for (const u8 *from = buf; len > 0; len -= chunk, from += chunk) {
        enum error e = linear_chunk(ps, m, at, len, access, &gpa, &chunk, fault);
        if (e == OK)
            e = guest_write(m, gpa, from, chunk);
        if (e != OK)
            return e;
        at = next_address(ps, at, chunk);
    }
    return OK;
}
