// SPDX-License-Identifier: MIT
// Two accesses in one exit. Drivers write the number of a register and then read or write the
// register, often with the next instruction or nearly: the IOAPIC's index and data, the CMOS RAM's
// ports, PCI's. What comes after such a write, and is known to exit too, need not have an exit of
// its own.
//
// Pure. What is found belongs to the code's bytes and is as old as these.
#pragma once

#include "lib/types.h"
#include "x86/decode.h"
#include "x86/registers.h"

#define FOLLOW_STEPS 2

enum follow_access {
    FOLLOW_NOTHING,
    FOLLOW_LOAD,  // MOV of 4 bytes from the page that was written to
    FOLLOW_STORE, // MOV of 4 bytes to it
    FOLLOW_IN,    // IN
};

enum follow_kind { FOLLOW_SET, FOLLOW_LEA, FOLLOW_XOR, FOLLOW_AND };

// An instruction between the two, which neither faults nor exits nor touches memory. Its operands
// have 32 bits.
struct follow_step {
    u8 kind; // enum follow_kind
    u8 reg;  // enum gpr, the destination
    u8 from; // FOLLOW_LEA: added to value; FOLLOW_XOR: the other operand. Neither is RSP
    i32 value;
};

struct follow {
    u8 access; // enum follow_access
    u8 length; // bytes, from the end of the first instruction to the end of the access
    u8 before; // bytes, from there to the access
    u8 reg;    // FOLLOW_LOAD, FOLLOW_STORE: enum gpr, not RSP
    u8 size;   // bytes
    u8 steps;
    i32 where; // FOLLOW_IN: port, -1 for DX; else how far its address is from the first's
    struct follow_step step[FOLLOW_STEPS];
};

// Finds what follows `first`, an instruction of 64-bit code, in the `available` bytes at code that
// come after it. FOLLOW_NOTHING unless first is an OUT before an IN, or a MOV to memory before one
// to or from an address by the same register.
void follow_find(const struct instruction *first, const u8 *code, unsigned available,
                 struct follow *f);

// Carries out what is between. Of *rflags the arithmetic flags change.
void follow_steps(const struct follow *f, u64 gpr[GPR_COUNT], u64 *rflags);
