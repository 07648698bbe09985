// SPDX-License-Identifier: MIT
#include "ept/ept.h"

#include "boot/memory.h"
#include "boot/paging.h"
#include "lib/string.h"

#define EPT_MEMORY_WB (6ul << 3)
#define EPT_LARGE     BIT(7)
#define EPT_FRAME     0x000ffffffffff000ul
#define EPTP_WALK_4   (3ul << 3)
#define EPTP_WB       6ul

static unsigned index_at(u64 gpa, int level)
{
    return gpa >> (PAGE_SHIFT + 9 * level) & 511;
}

static u64 level_size(int level)
{
    return PAGE_SIZE << 9 * level;
}

static u64 *table_of(u64 entry)
{
    return phys_to_virt(HPA(entry & EPT_FRAME));
}

static bool is_leaf(u64 entry, int level)
{
    return level == 0 || (entry & EPT_LARGE);
}

COLD enum error ept_init(struct ept *e, bool pages_2m, bool pages_1g)
{
    hpa_t root = page_alloc();
    if (root.v == 0)
        return ERR_NO_MEMORY;
    *e = (struct ept){.root = phys_to_virt(root), .pages_2m = pages_2m, .pages_1g = pages_1g};
    return OK;
}

// The entry that maps gpa at level, making tables on the way; NULL when memory runs out or a
// larger page is in the way.
static u64 *entry_for(struct ept *e, u64 gpa, int level)
{
    u64 *table = e->root;
    for (int l = 3; l > level; l--) {
        u64 *entry = &table[index_at(gpa, l)];
        if (*entry == 0) {
            hpa_t page = page_alloc();
            if (page.v == 0)
                return NULL;
            *entry = page.v | EPT_RWX;
        } else if (is_leaf(*entry, l)) {
            return NULL;
        }
        table = table_of(*entry);
    }
    return &table[index_at(gpa, level)];
}

static int largest_level(const struct ept *e, u64 gpa, u64 hpa, u64 size)
{
    for (int level = 2; level > 0; level--) {
        bool has = level == 2 ? e->pages_1g : e->pages_2m;
        if (has && ((gpa | hpa) & (level_size(level) - 1)) == 0 && size >= level_size(level))
            return level;
    }
    return 0;
}

enum error ept_map(struct ept *e, gpa_t gpa, hpa_t hpa, u64 size, u32 permissions)
{
    if (((gpa.v | hpa.v | size) & ~PAGE_MASK) != 0 || (gpa.v + size) >> 48 != 0)
        return ERR_INVALID;
    for (u64 at = 0; at < size;) {
        int level = largest_level(e, gpa.v + at, hpa.v + at, size - at);
        u64 *entry = entry_for(e, gpa.v + at, level);
        if (entry == NULL)
            return ERR_NO_MEMORY;
        *entry = (hpa.v + at) | permissions | EPT_MEMORY_WB | (level > 0 ? EPT_LARGE : 0);
        e->count[level]++;
        at += level_size(level);
    }
    return OK;
}

// The leaf that maps gpa, or NULL.
static u64 *leaf_of(const struct ept *e, u64 gpa, int *level)
{
    u64 *table = e->root;
    for (int l = 3; l >= 0; l--) {
        u64 *entry = &table[index_at(gpa, l)];
        if (*entry == 0)
            return NULL;
        if (is_leaf(*entry, l)) {
            *level = l;
            return entry;
        }
        table = table_of(*entry);
    }
    return NULL;
}

static enum error split(struct ept *e, u64 *entry, int level)
{
    hpa_t page = page_alloc();
    if (page.v == 0)
        return ERR_NO_MEMORY;
    u64 *table = phys_to_virt(page);
    u64 child = level == 1 ? *entry & ~EPT_LARGE : *entry;
    for (unsigned i = 0; i < 512; i++)
        table[i] = child + i * level_size(level - 1);
    __atomic_store_n(entry, page.v | EPT_RWX, __ATOMIC_RELEASE);
    e->count[level]--;
    e->count[level - 1] += 512;
    return OK;
}

enum error ept_protect(struct ept *e, gpa_t page, u32 permissions)
{
    int level;
    u64 *entry;
    while ((entry = leaf_of(e, page.v, &level)) != NULL && level > 0) {
        if (split(e, entry, level) != OK)
            return ERR_NO_MEMORY;
    }
    if (entry == NULL)
        return ERR_NOT_FOUND;
    __atomic_store_n(entry, (*entry & ~(u64)EPT_RWX) | permissions, __ATOMIC_RELEASE);
    return OK;
}

bool ept_join(struct ept *e, gpa_t region)
{
    u64 gpa = ALIGN_DOWN(region.v, level_size(1));
    u64 *entry = e->pages_2m ? entry_for(e, gpa, 1) : NULL;
    if (entry == NULL || *entry == 0 || is_leaf(*entry, 1))
        return false;
    const u64 *table = table_of(*entry);
    if ((table[0] & EPT_FRAME & (level_size(1) - 1)) != 0)
        return false;
    for (unsigned i = 0; i < 512; i++) {
        if (table[i] != table[0] + i * PAGE_SIZE)
            return false;
    }
    __atomic_store_n(entry, table[0] | EPT_LARGE, __ATOMIC_RELEASE);
    e->count[0] -= 512;
    e->count[1]++;
    // The table's page is not given back: a core may still walk it until it has flushed.
    return true;
}

bool ept_lookup(const struct ept *e, gpa_t gpa, hpa_t *hpa, u32 *permissions, u64 *page_size)
{
    int level = 0;
    const u64 *entry = leaf_of(e, gpa.v, &level);
    if (entry == NULL)
        return false;
    *page_size = level_size(level);
    *permissions = *entry & EPT_RWX;
    *hpa = HPA((*entry & EPT_FRAME & ~(level_size(level) - 1)) + (gpa.v & (level_size(level) - 1)));
    return true;
}

u64 ept_pointer(const struct ept *e)
{
    return virt_to_phys(e->root).v | EPTP_WALK_4 | EPTP_WB;
}
