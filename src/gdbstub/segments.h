// SPDX-License-Identifier: MIT
// Segment registers that gdb writes: it gives the selector, and the rest comes from where the CPU
// would take it.
#pragma once

#include "gdbstub/session.h"

// New selectors, by segment.
struct selectors {
    u16 value[SEG_COUNT];
    bool given[SEG_COUNT];
};

// Puts the selectors into *regs, which are the current ones of a vCPU of the process. One that does
// not change leaves its register alone. In real and virtual-8086 mode the base follows from the
// selector; elsewhere the descriptor is loaded from the guest's table, with the checks of the
// instructions that do so (SDM 5.5 to 5.8, 7.2), but that nothing is written there. The ring can
// change if cs and ss do at once. ERR_INVALID: why says register, value and rule.
enum error segments_load(struct session *session, unsigned pid, struct vcpu_regs *regs,
                         const struct selectors *s, struct text *why);
