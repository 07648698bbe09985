// SPDX-License-Identifier: MIT
// Call frame information: what compiler and assembler leave in .eh_frame to say, for each place in
// the code, where the caller's registers are. The form is that of DWARF (version 5, 6.4) with the
// changes of the Linux Standard Base for .eh_frame. Pure; allocates nothing, and reads nothing
// outside of the section, whatever is in it.
#pragma once

#include "lib/types.h"

// DWARF's numbers of registers (System V ABI for x86-64, figure 3.36); CFI_RIP is where the return
// address counts as a register.
enum cfi_register {
    CFI_RAX,
    CFI_RDX,
    CFI_RCX,
    CFI_RBX,
    CFI_RSI,
    CFI_RDI,
    CFI_RBP,
    CFI_RSP,
    CFI_R8,
    CFI_R9,
    CFI_R10,
    CFI_R11,
    CFI_R12,
    CFI_R13,
    CFI_R14,
    CFI_R15,
    CFI_RIP,
    CFI_REGISTERS
};

// `size` bytes of .eh_frame at `data`, which run at address `address`.
struct cfi_section {
    const u8 *data;
    size_t size;
    u64 address;
};

enum cfi_status {
    CFI_FOUND,
    CFI_NO_ENTRY, // nothing there is about this code
    CFI_UNKNOWN,  // a form or an instruction that this reader does not know
    CFI_DAMAGED,  // a record or an instruction that goes beyond its end
};

enum cfi_rule {
    CFI_UNSAID,    // left to the ABI
    CFI_SAME,      // the caller's value is still in it
    CFI_UNDEFINED, // nobody knows it any more; of CFI_RIP: there is no caller
    CFI_AT,        // in memory, `offset` bytes from the CFA
};

// The CFA (canonical frame address) is what RSP was before the call: a register and an offset.
struct cfi_row {
    struct {
        u8 rule; // enum cfi_rule
        i32 offset;
    } registers[CFI_REGISTERS];
    u8 cfa_register;
    i32 cfa_offset;
    bool interrupted; // what is above is no caller but code that was interrupted, at RIP itself
};

// What holds just before the instruction at `rip` is executed. Fills in *row only for CFI_FOUND.
enum cfi_status cfi_find(const struct cfi_section *s, u64 rip, struct cfi_row *row);
