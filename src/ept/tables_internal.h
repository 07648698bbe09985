// SPDX-License-Identifier: MIT
// One view's tables: entries, and what is done with tables whatever they are for (SDM Vol. 3,
// 29.3.2). Levels are 0 for a page table, whose entries map 4 KiB, to 3 for the root.
#pragma once

#include "boot/paging.h"
#include "lib/types.h"

#define EPT_ENTRIES   512u
#define EPT_ROOT      3
#define EPT_MEMORY_WB (6ul << 3)
#define EPT_LARGE     BIT(7)
#define EPT_FRAME     0x000ffffffffff000ul
#define EPT_LAST      (BIT(48) - 1) // address of the last byte that four levels reach

static inline u64 ept_level_size(int level)
{
    return PAGE_SIZE << 9 * level;
}

static inline unsigned ept_index(u64 gpa, int level)
{
    return gpa >> (PAGE_SHIFT + 9 * level) & (EPT_ENTRIES - 1);
}

static inline u64 *ept_table(u64 entry)
{
    return phys_to_virt(HPA(entry & EPT_FRAME));
}

// Whether an entry that is not 0 maps memory.
static inline bool ept_is_leaf(u64 entry, int level)
{
    return level == 0 || (entry & EPT_LARGE);
}

// A new empty table; NULL when memory runs out.
u64 *ept_table_new(void);
void ept_table_free(u64 *table);

// The entry for gpa at a level of the tables below root, with tables made on the way. NULL when
// memory runs out: those made so far stay.
u64 *ept_entry_for(u64 *root, u64 gpa, int level);

// The entry that maps gpa and its level, or NULL.
const u64 *ept_leaf(const u64 *root, u64 gpa, int *level);

// Makes of a leaf above level 0 a table of leaves that map the same. ERR_NO_MEMORY.
enum error ept_split(u64 *entry, int level);

// Makes of a table, whose entry at `level` this is, one leaf, and frees it, if all its entries are
// leaves that map consecutive memory from an aligned address and permit the same.
bool ept_join(u64 *entry, int level);

// Unmaps first..last in a table that begins at `base`, and frees the tables below that are empty
// then. Leaves lie in the range or not at all.
void ept_clear(u64 *table, int level, u64 base, u64 first, u64 last);
