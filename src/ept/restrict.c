// SPDX-License-Identifier: MIT
// What restrictions leave of pages.
//
// In each view an entry above level 0 maps memory only where every restriction of that view covers
// all of it or nothing, whatever it withholds. So restrictions change and end without a page for a
// table. What makes room for a new one (make_room) may run out of pages; it changes no permission,
// and what it has split is joined again.
#include "ept/space_internal.h"
#include "ept/tables_internal.h"

// ---- what a page has ---------------------------------------------------------------------------

const struct ept_region *ept_region_of(const struct ept_space *s, u64 gpa)
{
    ASSERT_HELD(&s->lock);
    for (unsigned i = 0; i < s->regions; i++) {
        if (gpa >= s->region[i].first && gpa <= s->region[i].last)
            return &s->region[i];
    }
    return NULL;
}

// Writing without reading cannot be had, and executing not everywhere (SDM Vol. 3, 29.3.3.1).
static u32 left_of(const struct ept_space *s, u32 permissions, u32 withheld)
{
    u32 left = permissions & ~withheld;
    if (!(left & EPT_READ))
        left &= s->features.execute_only ? EPT_EXECUTE : 0;
    return left;
}

bool ept_compose(const struct ept_space *s, unsigned view, u64 gpa, u64 size, u32 *permissions)
{
    ASSERT_HELD(&s->lock);
    u32 withheld = 0;
    u64 last = gpa + size - 1;
    for (unsigned i = 0; i < s->restrictions; i++) {
        const struct ept_restriction *r = &s->restriction[i];
        if (!(r->views & BIT(view)) || r->first > last || r->last < gpa)
            continue;
        if (size > PAGE_SIZE && (r->first > gpa || r->last < last))
            return false;
        withheld |= r->withheld;
    }
    *permissions = left_of(s, ept_region_of(s, gpa)->permissions, withheld);
    return true;
}

// ---- tables in line with that ------------------------------------------------------------------

struct span {
    struct ept_space *s;
    unsigned view;
    u64 first, last;
};

// Where the span begins and ends in the table of this level that begins at `base`.
static u64 begin(const struct span *p, int level, u64 base)
{
    return MAX(base, ALIGN_DOWN(p->first, ept_level_size(level)));
}

static u64 end(const struct span *p, int level, u64 base)
{
    return MIN(base + EPT_ENTRIES * ept_level_size(level) - 1, p->last);
}

// Splits what no one entry can map any more. ERR_NO_MEMORY.
static enum error make_room(const struct span *p, u64 *table, int level, u64 base)
{
    u64 size = ept_level_size(level), gpa = begin(p, level, base);
    enum error e = OK;
    for (; level > 0 && gpa <= end(p, level, base) && e == OK; gpa += size) {
        u32 permissions = 0;
        u64 *entry = &table[ept_index(gpa, level)];
        if (*entry == 0)
            continue;
        if (ept_is_leaf(*entry, level)) {
            if (ept_compose(p->s, p->view, gpa, size, &permissions))
                continue;
            e = ept_split(entry, level);
        }
        if (e == OK)
            e = make_room(p, ept_table(*entry), level - 1, gpa);
    }
    return e;
}

// Gives pages what they are to have, and joins those that have become alike.
static void follow(const struct span *p, u64 *table, int level, u64 base)
{
    u64 size = ept_level_size(level), gpa = begin(p, level, base);
    for (; gpa <= end(p, level, base); gpa += size) {
        u32 permissions = 0;
        u64 *entry = &table[ept_index(gpa, level)];
        if (*entry == 0)
            continue;
        if (!ept_is_leaf(*entry, level)) {
            follow(p, ept_table(*entry), level - 1, gpa);
            if (!ept_has_pages(p->s, level) || ept_region_of(p->s, gpa) == NULL ||
                !ept_compose(p->s, p->view, gpa, size, &permissions) || !ept_join(entry, level))
                continue;
        }
        if (ept_compose(p->s, p->view, gpa, size, &permissions))
            __atomic_store_n(entry, (*entry & ~(u64)EPT_RWX) | permissions, __ATOMIC_RELEASE);
    }
}

static void follow_views(struct ept_space *s, const struct ept_restriction *r, u32 views)
{
    for (unsigned n = 0; n < EPT_VIEWS; n++) {
        struct span p = {s, n, r->first, r->last};
        if ((views & BIT(n)) && s->root[n] != NULL)
            follow(&p, s->root[n], EPT_ROOT, 0);
    }
}

// ---- restrictions ------------------------------------------------------------------------------

static struct ept_restriction *free_restriction(struct ept_space *s)
{
    for (unsigned i = 0; i < EPT_RESTRICTIONS; i++) {
        if (s->restriction[i].views == 0) {
            s->restrictions = MAX(s->restrictions, i + 1);
            return &s->restriction[i];
        }
    }
    return NULL;
}

static void end_restriction(struct ept_space *s, struct ept_restriction *r)
{
    u32 views = r->views;
    ASSERT(views != 0);
    r->views = 0;
    while (s->restrictions > 0 && s->restriction[s->restrictions - 1].views == 0)
        s->restrictions--;
    follow_views(s, r, views);
}

enum error ept_restrict(struct ept_space *s, gpa_t first, gpa_t last, u32 views, u32 withheld,
                        struct ept_restriction **out)
{
    enum error e = ERR_NO_MEMORY;
    spin_lock(&s->lock);
    struct ept_restriction *r = free_restriction(s);
    if (r != NULL) {
        *r = (struct ept_restriction){first.v & PAGE_MASK, last.v | ~PAGE_MASK,
                                      views & EPT_ALL_VIEWS, withheld};
        e = OK;
        for (unsigned n = 0; n < EPT_VIEWS && e == OK; n++) {
            struct span p = {s, n, r->first, r->last};
            if ((r->views & BIT(n)) && s->root[n] != NULL)
                e = make_room(&p, s->root[n], EPT_ROOT, 0);
        }
        if (e == OK)
            follow_views(s, r, r->views);
        else
            end_restriction(s, r);
    }
    spin_unlock(&s->lock);
    *out = e == OK ? r : NULL;
    return e;
}

bool ept_change(struct ept_space *s, struct ept_restriction *r, u32 withheld)
{
    spin_lock(&s->lock);
    ASSERT(r->views != 0);
    bool taken = withheld & ~r->withheld;
    r->withheld = withheld;
    follow_views(s, r, r->views);
    spin_unlock(&s->lock);
    return taken;
}

void ept_unrestrict(struct ept_space *s, struct ept_restriction *r)
{
    spin_lock(&s->lock);
    end_restriction(s, r);
    spin_unlock(&s->lock);
}
