// SPDX-License-Identifier: MIT
// Instructions of root mode that may raise #GP for a value that came from outside. A table, which
// the linker collects, says where each of them lies and where to go on instead of losing the core;
// one that does not fault pays nothing for that.
#pragma once

#include "lib/types.h"

struct fixup {
    i32 fault, landing; // each relative to its own place
};

// For an `asm goto` statement: behind the instruction, which has the label 1 before it. A #GP there
// goes on at the C label.
#define FIXUP(label)                                                                       \
    "\n\t.pushsection .fixups, \"a\"\n\t.balign 4\n\t.long 1b - ., %l[" #label "] - .\n\t" \
    ".popsection"

// The linker's table.
extern const struct fixup fixups_start[], fixups_end[];

// Where to go on after a #GP at rip, by the table [from, end). 0: it is not among them.
u64 fixup_landing(const struct fixup *from, const struct fixup *end, u64 rip);
