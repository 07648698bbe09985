// SPDX-License-Identifier: MIT
// Host memory that is free after GRUB: handed out in pages and in large blocks, zeroed or not.
#pragma once

#include "lib/types.h"

// Takes the memory map, leaving out the first MiB, the image, the modules and the boot
// information. Boot core, once.
void memory_init(void);

// Two pages that firmware and loader leave alone over a warm reset, and at the same place in the
// next start; never handed out. 0: there are none. After memory_init().
hpa_t memory_persistent(void);

// Until this is called, only memory below 4 GiB is handed out. Boot core, on the final page tables.
void memory_use_all(void);

// One zeroed page; 0 when there is none. Any core.
hpa_t page_alloc(void);
void page_free(hpa_t page);

// A block of size bytes on a boundary of align bytes (a power of two, at least a page), not
// cleared; 0 when there is none. Never given back. Any core.
hpa_t memory_alloc(u64 size, u64 align);

// Bytes not yet handed out.
u64 memory_free_bytes(void);
u64 memory_total_bytes(void);

// A page below 1 MiB for starting cores.
hpa_t memory_low_page(void);
