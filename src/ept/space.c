// SPDX-License-Identifier: MIT
// A space's regions and views.
#include "ept/space_internal.h"
#include "ept/tables_internal.h"
#include "lib/string.h"

#define EPTP_WALK_4 (3ul << 3)
#define EPTP_WB     6ul

// The level of the largest page that can map what is at gpa, and what it permits.
static int largest(const struct ept_space *s, unsigned view, const struct ept_region *r, u64 gpa,
                   u32 *permissions)
{
    u64 host = r->host + (gpa - r->first);
    for (int level = 2; level > 0; level--) {
        u64 size = ept_level_size(level);
        if (ept_has_pages(s, level) && ((gpa | host) & (size - 1)) == 0 &&
            r->last - gpa >= size - 1 && ept_compose(s, view, gpa, size, permissions))
            return level;
    }
    (void)ept_compose(s, view, gpa, PAGE_SIZE, permissions);
    return 0;
}

static enum error map_region(struct ept_space *s, unsigned view, const struct ept_region *r)
{
    for (u64 gpa = r->first; gpa <= r->last;) {
        u32 permissions = 0;
        int level = largest(s, view, r, gpa, &permissions);
        u64 *entry = ept_entry_for(s->root[view], gpa, level);
        if (entry == NULL) {
            ept_clear(s->root[view], EPT_ROOT, 0, r->first, r->last);
            return ERR_NO_MEMORY;
        }
        u64 value = (r->host + (gpa - r->first)) | permissions | EPT_MEMORY_WB;
        __atomic_store_n(entry, value | (level > 0 ? EPT_LARGE : 0), __ATOMIC_RELEASE);
        gpa += ept_level_size(level);
    }
    return OK;
}

enum error ept_init(struct ept_space *s, struct ept_features features)
{
    memset(s, 0, sizeof(*s));
    s->features = features;
    s->features.pages_1g &= features.pages_2m; // which it may have to be split into
    s->root[0] = ept_table_new();
    return s->root[0] != NULL ? OK : ERR_NO_MEMORY;
}

static bool is_free(const struct ept_space *s, u64 first, u64 last)
{
    for (unsigned i = 0; i < s->regions; i++) {
        if (first <= s->region[i].last && last >= s->region[i].first)
            return false;
    }
    return true;
}

static enum error map_views(struct ept_space *s, const struct ept_region *r)
{
    for (unsigned n = 0; n < EPT_VIEWS; n++) {
        if (s->root[n] == NULL || map_region(s, n, r) == OK)
            continue;
        while (n-- > 0) {
            if (s->root[n] != NULL)
                ept_clear(s->root[n], EPT_ROOT, 0, r->first, r->last);
        }
        return ERR_NO_MEMORY;
    }
    return OK;
}

enum error ept_map(struct ept_space *s, gpa_t gpa, hpa_t hpa, u64 size, u32 permissions)
{
    u64 last = gpa.v + size - 1;
    if (((gpa.v | hpa.v | size) & ~PAGE_MASK) != 0 || size == 0 || last < gpa.v || last > EPT_LAST)
        return ERR_INVALID;
    enum error e = ERR_INVALID;
    spin_lock(&s->lock);
    if (is_free(s, gpa.v, last)) {
        e = ERR_NO_MEMORY;
        if (s->regions < EPT_REGIONS) {
            struct ept_region *r = &s->region[s->regions++];
            *r = (struct ept_region){gpa.v, last, hpa.v, permissions};
            e = map_views(s, r);
            s->regions -= e != OK;
        }
    }
    spin_unlock(&s->lock);
    return e;
}

static void remove_view(struct ept_space *s, unsigned view)
{
    ept_clear(s->root[view], EPT_ROOT, 0, 0, EPT_LAST);
    ept_table_free(s->root[view]);
    s->root[view] = NULL;
}

static enum error make_view(struct ept_space *s, unsigned view)
{
    s->root[view] = ept_table_new();
    if (s->root[view] == NULL)
        return ERR_NO_MEMORY;
    for (unsigned i = 0; i < s->regions; i++) {
        if (map_region(s, view, &s->region[i]) != OK) {
            remove_view(s, view);
            return ERR_NO_MEMORY;
        }
    }
    return OK;
}

enum error ept_view_create(struct ept_space *s, unsigned *view)
{
    enum error e = ERR_NO_MEMORY;
    spin_lock(&s->lock);
    for (unsigned n = 1; n < EPT_VIEWS; n++) {
        if (s->root[n] == NULL) {
            e = make_view(s, n);
            if (e == OK)
                *view = n;
            break;
        }
    }
    spin_unlock(&s->lock);
    return e;
}

void ept_view_remove(struct ept_space *s, unsigned view)
{
    spin_lock(&s->lock);
    ASSERT(s->root[view] != NULL);
    for (unsigned i = 0; i < s->restrictions; i++)
        ASSERT(s->restriction[i].views != BIT(view));
    remove_view(s, view);
    spin_unlock(&s->lock);
}

bool ept_lookup(const struct ept_space *s, unsigned view, gpa_t gpa, hpa_t *hpa, u32 *permissions,
                u64 *page_size)
{
    int level = 0;
    const u64 *entry = ept_leaf(s->root[view], gpa.v, &level);
    if (entry == NULL)
        return false;
    u64 value = __atomic_load_n(entry, __ATOMIC_ACQUIRE), in_page = ept_level_size(level) - 1;
    *page_size = in_page + 1;
    *permissions = value & EPT_RWX;
    *hpa = HPA((value & EPT_FRAME & ~in_page) + (gpa.v & in_page));
    return true;
}

u64 ept_pointer(const struct ept_space *s, unsigned view)
{
    return s->root[view] != NULL ? virt_to_phys(s->root[view]).v | EPTP_WALK_4 | EPTP_WB : 0;
}
