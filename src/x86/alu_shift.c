// SPDX-License-Identifier: MIT
// Shifts and rotates (SDM Vol. 2, SAL/SAR/SHL/SHR, RCL/RCR/ROL/ROR, SHLD, SHRD).
#include "x86/alu.h"
#include "x86/bits.h"

static u64 mask_of(unsigned size)
{
    return BIT(size * 8 - 1) * 2 - 1;
}

static bool bit_of(u64 v, unsigned n)
{
    return v >> n & 1;
}

// One position after the other: at most 63 of them, and no case of its own for any count. The carry
// is in *carry.
static u64 shift_once(enum alu_shift_op op, unsigned top, u64 a, bool *carry)
{
    bool left = op == ALU_ROL || op == ALU_RCL || op == ALU_SHL || op == ALU_SHL_TOO;
    bool out = bit_of(a, left ? top : 0), in = false;
    switch (op) {
    case ALU_ROL:
    case ALU_ROR:
        in = out;
        break;
    case ALU_RCL:
    case ALU_RCR:
        in = *carry;
        break;
    case ALU_SAR:
        in = bit_of(a, top);
        break;
    default:
        break;
    }
    *carry = out;
    return left ? a << 1 | in : a >> 1 | (u64)in << top;
}

u64 alu_shift(enum alu_shift_op op, unsigned size, u64 a, unsigned count, u64 *rflags)
{
    unsigned top = size * 8 - 1;
    bool carry = *rflags & RFLAGS_CF, overflow;
    u64 before;
    a &= mask_of(size);
    count &= size == 8 ? 63 : 31;
    if (count == 0)
        return a;
    do {
        before = a;
        a = shift_once(op, top, a, &carry) & mask_of(size);
    } while (--count > 0);

    bool rotates = op <= ALU_RCR;
    if (op == ALU_ROL || op == ALU_RCL || op == ALU_SHL || op == ALU_SHL_TOO)
        overflow = bit_of(a, top) != carry;
    else
        overflow = bit_of(a, top) != bit_of(rotates ? a << 1 : before, top);
    u64 flags = (carry ? RFLAGS_CF : 0) | (overflow ? RFLAGS_OF : 0);
    if (rotates)
        *rflags = (*rflags & ~(RFLAGS_CF | RFLAGS_OF)) | flags;
    else
        *rflags = (*rflags & ~ALU_FLAGS) | alu_result_flags(size, a) | flags;
    return a;
}

u64 alu_shift_double(bool left, unsigned size, u64 a, u64 b, unsigned count, u64 *rflags)
{
    unsigned top = size * 8 - 1, last = top; // last: of what is shifted in
    u64 mask = mask_of(size), before = 0;
    bool carry = false;
    a &= mask;
    b &= mask;
    count &= size == 8 ? 63 : 31;
    if (count == 0)
        return a;
    if (size == 2) {
        b = left ? b << 16 | a : a << 16 | b;
        last = 31;
    }
    for (unsigned n = 0; n < count; n++) {
        before = a;
        carry = bit_of(a, left ? top : 0);
        if (left)
            a = (a << 1 | bit_of(b, last - n)) & mask;
        else
            a = a >> 1 | (u64)bit_of(b, n) << top;
    }
    bool overflow = bit_of(a, top) != bit_of(before, top);
    *rflags = (*rflags & ~ALU_FLAGS) | alu_result_flags(size, a) | (carry ? RFLAGS_CF : 0) |
              (overflow ? RFLAGS_OF : 0);
    return a;
}
