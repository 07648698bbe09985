// SPDX-License-Identifier: MIT
// Arithmetic with flags as the CPU's (SDM Vol. 1, 3.4.3). Pure.
#pragma once

#include "lib/types.h"
#include "x86/bits.h"

// In the order of their encoding in opcodes 00..3F and 80..83, then those with opcodes elsewhere.
enum alu_op {
    ALU_ADD,
    ALU_OR,
    ALU_ADC,
    ALU_SBB,
    ALU_AND,
    ALU_SUB,
    ALU_XOR,
    ALU_CMP, // result: a
    ALU_INC, // of a
    ALU_DEC,
    ALU_NEG,
    ALU_NOT,
    ALU_TEST, // result: a
};

// a op b on operands of size bytes (1, 2, 4, 8; higher bits are ignored). Returns the result, cut
// to size, and sets the arithmetic flags in *rflags. AF is cleared where it is undefined.
u64 alu(enum alu_op op, unsigned size, u64 a, u64 b, u64 *rflags);

// In the order of their encoding in opcodes C0, C1, D0..D3; 6 is SHL again.
enum alu_shift_op {
    ALU_ROL,
    ALU_ROR,
    ALU_RCL,
    ALU_RCR,
    ALU_SHL,
    ALU_SHR,
    ALU_SHL_TOO,
    ALU_SAR,
};

// a shifted or rotated by count, of which the CPU takes 5 or, for 8 bytes, 6 bits. Returns the
// result, cut to size. Without a shift no flag changes; OF is set as for a count of 1 whatever the
// count is; shifts clear AF. alu_shift.c.
u64 alu_shift(enum alu_shift_op op, unsigned size, u64 a, unsigned count, u64 *rflags);

// SHLD (left) and SHRD: a shifted, with bits of b (2, 4, 8 bytes) shifted in. Counts as above; one
// beyond 16 for 2 bytes, whose result is undefined, shifts a in behind b.
u64 alu_shift_double(bool left, unsigned size, u64 a, u64 b, unsigned count, u64 *rflags);

// The product of a and b of size bytes: its lower half, cut to size, and the upper half in *high.
// Sets CF and OF when the lower half, extended as is_signed says, is not the product. The undefined
// flags are those of the lower half; AF is cleared. alu_multiply.c.
u64 alu_multiply(bool is_signed, unsigned size, u64 a, u64 b, u64 *high, u64 *rflags);

// high:low divided by divisor, each of size bytes; *low becomes the quotient and *high the
// remainder, cut to size. False: a #DE, and nothing changed. No flag changes.
bool alu_divide(bool is_signed, unsigned size, u64 *high, u64 *low, u64 divisor);

// ZF, SF and PF of a result of size bytes; CF, OF and AF cleared.
u64 alu_result_flags(unsigned size, u64 r);

#define ALU_FLAGS (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

// Whether condition 0..15 of Jcc, SETcc, CMOVcc holds (SDM Vol. 1, appendix B).
bool condition_holds(unsigned condition, u64 rflags);
