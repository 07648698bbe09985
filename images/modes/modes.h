// SPDX-License-Identifier: MIT
// What the assembly parts of the walk through the modes found out.
#pragma once

#include "lib/types.h"

// One of the 32-bit modes; each byte 1 when right.
struct mode_result {
    u8 memory;      // written and read back through two linear addresses of one page
    u8 interrupt;   // INT 0x50 reached its handler once, and came back
    u8 page_fault;  // #PF with the right CR2 and error code; only with paging
    u8 access_bits; // accessed and dirty set in the page-table entry; only with paging
};

extern const volatile struct mode_result mode_unpaged, mode_32bit, mode_pae;

// Bits of what real_mode_trip returns.
enum {
    REAL_INT = 1 << 0,      // INT 0x60 through the vector table, frame of 6 bytes
    REAL_FAULT = 1 << 1,    // #DE of a DIV by zero, at the DIV
    REAL_SEGMENTS = 1 << 2, // segment * 16 + offset
    REAL_CPUID = 1 << 3,
    REAL_PORT = 1 << 4,  // an IN
    REAL_FLAGS = 1 << 5, // PUSHF shows what STI and CLI do
    REAL_ALL = 0x3f,
};

// Goes from long mode through compatibility mode, protected mode and 16-bit protected mode to real
// mode, tries things there, and comes back. Interrupts off.
u32 real_mode_trip(void);
