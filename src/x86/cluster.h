// SPDX-License-Identifier: MIT
// Exit clusters: several instructions, carried out in one exit. Drivers write the number of a
// register and then read or write the register, often with the next instruction or nearly: the
// IOAPIC's index and data, the CMOS RAM's ports, PCI's. An access that comes after such a write,
// and is known to exit too, need not have an exit of its own.
//
// Pure. What is found belongs to the code's bytes and is as old as these.
#pragma once

#include "lib/types.h"
#include "x86/decode.h"
#include "x86/registers.h"

#define CLUSTER_STEPS 2

// The access that ends a cluster.
enum cluster_end {
    CLUSTER_NONE,
    CLUSTER_LOAD,  // MOV of 4 bytes from the page that was written to
    CLUSTER_STORE, // MOV of 4 bytes to it
    CLUSTER_IN,    // IN
};

enum cluster_step_kind { CLUSTER_SET, CLUSTER_LEA, CLUSTER_XOR, CLUSTER_AND };

// An instruction between the two, which neither faults nor exits nor touches memory. Its operands
// have 32 bits.
struct cluster_step {
    u8 kind; // enum cluster_step_kind
    u8 reg;  // enum gpr, the destination
    u8 from; // CLUSTER_LEA: added to value; CLUSTER_XOR: the other operand. Neither is RSP
    i32 value;
};

struct cluster {
    u8 access; // enum cluster_end
    u8 length; // bytes, from the end of the first instruction to the end of the access
    u8 before; // bytes, from there to the access
    u8 reg;    // CLUSTER_LOAD, CLUSTER_STORE: enum gpr, not RSP
    u8 size;   // bytes
    u8 steps;
    i32 where; // CLUSTER_IN: port, -1 for DX; else how far its address is from the first's
    struct cluster_step step[CLUSTER_STEPS];
};

// Finds the cluster that `first` begins, an instruction of 64-bit code, in the `available` bytes at
// code that come after it. CLUSTER_NONE unless first is an OUT before an IN, or a MOV to memory
// before one to or from an address by the same register.
void cluster_find(const struct instruction *first, const u8 *code, unsigned available,
                  struct cluster *c);

// Carries out what is between. Of *rflags the arithmetic flags change.
void cluster_steps(const struct cluster *c, u64 gpr[GPR_COUNT], u64 *rflags);
