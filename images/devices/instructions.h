// SPDX-License-Identifier: MIT
// Instructions that are run on RAM and on a device, and have to do the same.
#pragma once

#include "lib/types.h"

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, GPR_COUNT = 16 };

// What run_code() runs, and what came of it. The assembly knows the offsets.
struct run {
    u64 gpr[GPR_COUNT], rflags; // before, then after
    u64 host_rsp;
    u32 entry;    // of code that ends in a jump to run_return64 or run_return32
    u16 selector; // SEL_CODE64 or SEL_CODE32
} PACKED;
extern struct run run;

// run_code.S; interrupts are off.
void run_code(void);
extern u8 run_return64[], run_return32[];

enum instruction_how {
    WRITES = 1 << 0,    // the operand is written
    ONLY_64 = 1 << 1,   // not in 32-bit code
    ONLY_32 = 1 << 2,   // not in 64-bit code
    STACK = 1 << 3,     // the operand is the stack, and RBX points to RAM
    PUSHES = 1 << 4,    // the operand lies below RSP
    NATURAL = 1 << 5,   // it has 8 bytes in 64-bit code
    BRANCH = 1 << 6,    // it is where to go on
    SELECTOR = 1 << 7,  // it is one
    FLAGS = 1 << 8,     // it is RFLAGS
    DIVIDES = 1 << 9,   // it must not be 0
    HOLE_ONLY = 1 << 10 // not the size of a device's register
};

enum instruction_needs {
    NOTHING,
    BMI1,
    BMI2,
    ADX,
    MOVBE,
    SSE42,
    POPCNT,
    LZCNT,
    CX16,
    CLFLUSHOPT,
    CLWB
};

// On [RBX], in the same bytes in 32-bit and 64-bit code.
struct instruction_row {
    const char *name, *code;
    u8 length; // bytes
    u16 how;
    u16 undefined; // flags
    u8 needs;
};

extern const struct instruction_row instruction_rows[];
extern const unsigned instruction_row_count;
