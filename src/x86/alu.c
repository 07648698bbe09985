// SPDX-License-Identifier: MIT
#include "x86/alu.h"

#include "x86/bits.h"

u64 alu_result_flags(unsigned size, u64 r)
{
    unsigned top = size * 8 - 1;
    r &= BIT(top) * 2 - 1;
    return (r == 0 ? RFLAGS_ZF : 0) | (r >> top ? RFLAGS_SF : 0) |
           (__builtin_parity((u8)r) ? 0 : RFLAGS_PF);
}

u64 alu(enum alu_op op, unsigned size, u64 a, u64 b, u64 *rflags)
{
    unsigned top = size * 8 - 1; // the sign's bit number
    u64 mask = BIT(top) * 2 - 1, r, carry = 0, overflow = 0, half = 0;
    u64 carry_in = (op == ALU_ADC || op == ALU_SBB) && (*rflags & RFLAGS_CF);
    u64 keep = 0;

    switch (op) {
    case ALU_NOT:
        return ~a & mask;
    case ALU_INC:
    case ALU_DEC:
        b = 1;
        keep = RFLAGS_CF;
        break;
    case ALU_NEG:
        b = a;
        a = 0;
        break;
    default:
        break;
    }
    switch (op) {
    case ALU_ADD:
    case ALU_ADC:
    case ALU_INC:
        r = a + b + carry_in;
        carry = (a & b) | ((a | b) & ~r); // out of each bit
        overflow = (a ^ r) & (b ^ r);
        half = a ^ b ^ r;
        break;
    case ALU_OR:
        r = a | b;
        break;
    case ALU_AND:
    case ALU_TEST:
        r = a & b;
        break;
    case ALU_XOR:
        r = a ^ b;
        break;
    default:
        r = a - b - carry_in;
        carry = (~a & b) | ((~a | b) & r); // borrow into each bit
        overflow = (a ^ b) & (a ^ r);
        half = a ^ b ^ r;
        break;
    }
    r &= mask;
    u64 flags = (carry >> top & 1 ? RFLAGS_CF : 0) | (overflow >> top & 1 ? RFLAGS_OF : 0) |
                (half & RFLAGS_AF) | alu_result_flags(size, r);
    keep |= ~ALU_FLAGS;
    *rflags = (*rflags & keep) | (flags & ~keep);
    return op == ALU_CMP || op == ALU_TEST ? a & mask : r;
}

bool condition_holds(unsigned condition, u64 rflags)
{
    bool less = !(rflags & RFLAGS_SF) != !(rflags & RFLAGS_OF), holds = false;
    switch (condition >> 1 & 7) {
    case 0:
        holds = rflags & RFLAGS_OF;
        break;
    case 1:
        holds = rflags & RFLAGS_CF;
        break;
    case 2:
        holds = rflags & RFLAGS_ZF;
        break;
    case 3:
        holds = rflags & (RFLAGS_CF | RFLAGS_ZF);
        break;
    case 4:
        holds = rflags & RFLAGS_SF;
        break;
    case 5:
        holds = rflags & RFLAGS_PF;
        break;
    case 6:
        holds = less;
        break;
    case 7:
        holds = less || (rflags & RFLAGS_ZF);
        break;
    }
    return holds != (condition & 1);
}
