// SPDX-License-Identifier: MIT
// Registers inside an XSAVE area in standard format (SDM Vol. 1, 13.4), with the initial state
// where XSTATE_BV says so. Pure.
#pragma once

#include "lib/format.h"
#include "lib/types.h"

enum fpu_register {
    FPU_ST,      // 10 bytes; index 0..7, the top of the stack first
    FPU_CONTROL, // 4 bytes; index: fctrl fstat ftag fiseg fioff foseg fooff fop
    FPU_XMM,     // 16 bytes; index 0..15
    FPU_MXCSR,   // 4 bytes
    FPU_YMMH,    // 16 bytes: bits 255..128; index 0..15
};

// Reads a register from the area into out.
void fpu_read(const u8 *area, enum fpu_register kind, unsigned index, u8 *out);

// Writes it; the state component it belongs to leaves its initial state. ERR_INVALID, and nothing
// is changed: *why has the rule that the value breaks.
enum error fpu_write(u8 *area, enum fpu_register kind, unsigned index, const u8 *in,
                     struct text *why);
