// SPDX-License-Identifier: MIT
// Arithmetic with flags as the CPU's (SDM Vol. 1, 3.4.3). Pure.
#pragma once

#include "lib/types.h"

#define FLAG_CF BIT(0)
#define FLAG_PF BIT(2)
#define FLAG_AF BIT(4)
#define FLAG_ZF BIT(6)
#define FLAG_SF BIT(7)
#define FLAG_DF BIT(10)
#define FLAG_OF BIT(11)
#define FLAG_RF BIT(16)

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

// Whether condition 0..15 of Jcc, SETcc, CMOVcc holds (SDM Vol. 1, appendix B).
bool condition_holds(unsigned condition, u64 rflags);
