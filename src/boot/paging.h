// SPDX-License-Identifier: MIT
// Host paging in IA-32e mode (SDM Vol. 3, 4.5): all RAM and the first 4 GiB mapped at DIRECT_MAP,
// never executable; the image with text read-execute, rodata read-only, data no-execute; windows
// for stacks (with guard pages) and for device memory.
#pragma once

#include "lib/error.h"
#include "lib/types.h"

// A page-table entry's bits (SDM Vol. 3, 4.5.4).
#define PTE_P     BIT(0)
#define PTE_W     BIT(1)
#define PTE_PWT   BIT(3)
#define PTE_PCD   BIT(4)
#define PTE_PS    BIT(7)
#define PTE_G     BIT(8)
#define PTE_NX    BIT(63)
#define PTE_FRAME 0x000ffffffffff000ul

#define DIRECT_MAP   0xffff800000000000ul
#define STACK_WINDOW 0xffffc00000000000ul
#define MMIO_WINDOW  0xffffd00000000000ul
#define IMAGE_BASE   0xffffffff80000000ul

extern u64 boot_load_offset; // bytes from the image's link address to where GRUB put it

static inline void *phys_to_virt(hpa_t pa)
{
    return (void *)(DIRECT_MAP + pa.v);
}

// For addresses in the direct map or in the image.
static inline hpa_t virt_to_phys(const void *va)
{
    u64 v = (u64)va;
    return v >= IMAGE_BASE ? HPA(v - IMAGE_BASE + boot_load_offset) : HPA(v - DIRECT_MAP);
}

// Builds the final page tables and switches the boot core to them. Boot core, once, after
// memory_init().
void paging_init(void);

// Turns on, on the calling core, what the CPU has of NX, SMEP, SMAP, write protection and global
// pages, and loads the final page tables and the memory types that these speak of.
void paging_enable(void);

// Maps size bytes of device memory uncached and returns its address; never unmapped. NULL when
// page tables run out.
volatile void *mmio_map(hpa_t start, u64 size);

// The same for memory that is written and not read: writes are collected into whole lines (write
// combining; SDM Vol. 3, 11.3.1).
volatile void *mmio_map_combining(hpa_t start, u64 size);

// Allocates and maps a stack of size bytes with an unmapped page below it. Returns its top (the
// address after its last byte) or NULL.
void *stack_alloc(u64 size);

// Makes an executable identity mapping of one page below 1 MiB for starting cores, in page tables
// of their own, and returns these tables' CR3 (below 4 GiB).
u32 paging_trampoline(hpa_t page);

// Whether the byte at va is mapped.
bool paging_maps(u64 va);

// Walks the live page tables: counts present leaf pages in *leaves and returns how many are both
// writable and executable.
unsigned paging_count_writable_executable(unsigned *leaves);
