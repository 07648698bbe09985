// SPDX-License-Identifier: MIT
// Which of the breakpoints in DR0 to DR3 an access meets: those on data and on I/O (SDM Vol. 3,
// 18.2). Breakpoints on instructions are the CPU's alone, since it fetches.
//
// Pure.
#pragma once

#include "lib/types.h"
#include "x86/bits.h"

struct breakpoint_registers {
    u64 dr[4]; // DR0 to DR3
    u64 dr7;
};

// How a breakpoint's condition is met; a bit each.
enum breakpoint_access {
    BREAKPOINT_READ = 1 << 0,  // of data
    BREAKPOINT_WRITE = 1 << 1, // of data
    BREAKPOINT_PORT = 1 << 2,  // IN, OUT, INS, OUTS; only while CR4.DE is set
};

// Whether one of the four is enabled at all: if not, no access needs a look.
static inline bool breakpoints_enabled(u64 dr7)
{
    return (dr7 & DR7_ENABLED) != 0;
}

// The breakpoints that an access of `size` bytes (1 to 10) at `address`, linear or a port's number,
// meets. The result is for the pending debug exceptions (SDM Table 25-4): bit n, B0 to B3, for each
// that is met, enabled or not, as a CPU may report it (18.2.3), and DR6_ENABLED if one of these is
// enabled. Without DR6_ENABLED no debug exception is due. The access does not wrap around at the
// end of the address space.
u64 breakpoint_match(const struct breakpoint_registers *r, enum breakpoint_access access,
                     u64 address, unsigned size);
