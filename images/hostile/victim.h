// SPDX-License-Identifier: MIT
// A second CPU that runs code in any mode, slot by slot: an exception sends it on to the next slot.
// Whatever becomes of it, INIT brings it back. Included by assembly too.
#pragma once

#define VICTIM_BASE      0x20000 // its segment: code, tables, stack; all that it is to touch
#define VICTIM_SLOT      16      // bytes of a slot
#define VICTIM_SLOTS_MAX 64

// Offsets in the segment.
#define AT_BODY    0x1000
#define AT_IVT     0x2000
#define AT_IDT32   0x2800
#define AT_IDT64   0x3000
#define AT_DIR32   0x4000
#define AT_PDPT    0x5000 // PAE's
#define AT_DIR64   0x6000 // PAE's and long mode's
#define AT_PML4    0x7000
#define AT_PDPT64  0x8000
#define AT_TSS32   0x9000
#define AT_TSS64   0x9100
#define AT_GDT     0xa000
#define AT_PARAM   0xb000
#define AT_TABLE32 0xc000
#define AT_TABLE64 0xd000
#define STACK_TOP  0xf000

#define SEL_TSS32 0x30
#define SEL_TSS64 0x38

// Offsets from AT_PARAM. Vectors of exceptions by slot follow at VECTORS; 0xff: none yet.
#define PARAM_MODE    0
#define PARAM_SLOTS   4  // how many there are
#define PARAM_SLOT    8  // the current one
#define PARAM_BEGAN   12 // it has come to the first
#define PARAM_DONE    16 // it has come to the end
#define PARAM_CR3     20 // what CR3 is loaded with
#define PARAM_VECTORS 0x40

#define MODE_REAL      0
#define MODE_PROTECTED 1
#define MODE_V86       2
#define MODE_PAGED     3
#define MODE_PAE       4
#define MODE_LONG      5
#define MODE_COMPAT    6
#define MODES          7

#ifndef __ASSEMBLY__
#include "lib/types.h"

struct victim_param {
    u32 mode, slots;
    volatile u32 slot, began, done;
    u32 cr3;
    u32 reserved[10];
    volatile u8 vector[VICTIM_SLOTS_MAX];
};

extern const char *const victim_mode_names[MODES];

// What lies at an offset of its segment.
static inline void *victim_at(u32 offset)
{
    return (void *)(u64)(VICTIM_BASE + offset);
}

static inline struct victim_param *victim_param(void)
{
    return victim_at(AT_PARAM);
}

// Stops the second CPU and makes its segment anew, for this mode and number of slots, all of which
// hold INT3.
void victim_prepare(u32 mode, u32 slots);

// Puts bytes into a slot, INT3 behind them.
void victim_put(u32 slot, const u8 *bytes, size_t n);

// Starts it and waits until it is done, or has run for this long from its first slot on. Returns
// whether it is done.
bool victim_run(u64 us);
#endif
