// SPDX-License-Identifier: MIT
#include "boot/memory.h"
#include "ept/ept.h"
#include "ept/tables_internal.h"

u64 *ept_table_new(void)
{
    hpa_t page = page_alloc();
    return page.v != 0 ? phys_to_virt(page) : NULL;
}

void ept_table_free(u64 *table)
{
    page_free(virt_to_phys(table));
}

static u64 entry_of(const u64 *table)
{
    return virt_to_phys(table).v | EPT_RWX;
}

u64 *ept_entry_for(u64 *root, u64 gpa, int level)
{
    u64 *table = root;
    for (int l = EPT_ROOT; l > level; l--) {
        u64 *entry = &table[ept_index(gpa, l)];
        if (*entry == 0) {
            u64 *below = ept_table_new();
            if (below == NULL)
                return NULL;
            __atomic_store_n(entry, entry_of(below), __ATOMIC_RELEASE);
        }
        table = ept_table(*entry);
    }
    return &table[ept_index(gpa, level)];
}

const u64 *ept_leaf(const u64 *root, u64 gpa, int *level)
{
    const u64 *table = root;
    for (int l = EPT_ROOT; l >= 0; l--) {
        const u64 *entry = &table[ept_index(gpa, l)];
        if (*entry == 0)
            return NULL;
        if (ept_is_leaf(*entry, l)) {
            *level = l;
            return entry;
        }
        table = ept_table(*entry);
    }
    return NULL;
}

enum error ept_split(u64 *entry, int level)
{
    u64 *table = ept_table_new();
    if (table == NULL)
        return ERR_NO_MEMORY;
    u64 child = level == 1 ? *entry & ~EPT_LARGE : *entry;
    for (unsigned i = 0; i < EPT_ENTRIES; i++)
        table[i] = child + i * ept_level_size(level - 1);
    __atomic_store_n(entry, entry_of(table), __ATOMIC_RELEASE);
    return OK;
}

bool ept_join(u64 *entry, int level)
{
    u64 *table = ept_table(*entry), first = table[0], size = ept_level_size(level - 1);
    if (first == 0 || !ept_is_leaf(first, level - 1) ||
        (first & EPT_FRAME & (ept_level_size(level) - 1)) != 0)
        return false;
    for (unsigned i = 1; i < EPT_ENTRIES; i++) {
        if (table[i] != first + i * size)
            return false;
    }
    __atomic_store_n(entry, first | EPT_LARGE, __ATOMIC_RELEASE);
    ept_table_free(table);
    return true;
}

static bool is_empty(const u64 *table)
{
    for (unsigned i = 0; i < EPT_ENTRIES; i++) {
        if (table[i] != 0)
            return false;
    }
    return true;
}

void ept_clear(u64 *table, int level, u64 base, u64 first, u64 last)
{
    u64 size = ept_level_size(level);
    for (unsigned i = 0; i < EPT_ENTRIES; i++, base += size) {
        u64 *entry = &table[i];
        if (*entry == 0 || base > last || base + size - 1 < first)
            continue;
        u64 *below = ept_is_leaf(*entry, level) ? NULL : ept_table(*entry);
        if (below != NULL) {
            ept_clear(below, level - 1, base, first, last);
            if (!is_empty(below))
                continue;
        }
        __atomic_store_n(entry, 0, __ATOMIC_RELEASE);
        if (below != NULL)
            ept_table_free(below);
    }
}
