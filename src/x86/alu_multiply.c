// SPDX-License-Identifier: MIT
// Multiplication and division (SDM Vol. 2, MUL, IMUL, DIV, IDIV).
#include "x86/alu.h"
#include "x86/bits.h"

static u64 extend(bool is_signed, unsigned size, u64 v)
{
    unsigned shift = 64 - size * 8;
    return is_signed ? (u64)((i64)(v << shift) >> shift) : v << shift >> shift;
}

u64 alu_multiply(bool is_signed, unsigned size, u64 a, u64 b, u64 *high, u64 *rflags)
{
    u64 low;
    a = extend(is_signed, size, a);
    b = extend(is_signed, size, b);
    if (is_signed)
        __asm__("imul %3" : "=a"(low), "=d"(*high) : "0"(a), "r"(b) : "cc");
    else
        __asm__("mul %3" : "=a"(low), "=d"(*high) : "0"(a), "r"(b) : "cc");
    if (size < 8)
        *high = extend(false, size, low >> size * 8);
    u64 wanted = is_signed && extend(true, size, low) >> 63 ? UINT64_MAX : 0;
    bool over = *high != extend(false, size, wanted);
    low = extend(false, size, low);
    *rflags =
        (*rflags & ~ALU_FLAGS) | alu_result_flags(size, low) | (over ? RFLAGS_CF | RFLAGS_OF : 0);
    return low;
}

// The 128 bits high:low by divisor. False: the quotient has more than 64 bits.
static bool divide(u64 *high, u64 *low, u64 divisor)
{
    if (*high >= divisor)
        return false;
    __asm__("div %2" : "+a"(*low), "+d"(*high) : "r"(divisor) : "cc");
    return true;
}

static void negate(u64 *high, u64 *low)
{
    *low = -*low;
    *high = ~*high + (*low == 0);
}

bool alu_divide(bool is_signed, unsigned size, u64 *high, u64 *low, u64 divisor)
{
    u64 h = *high, l = *low;
    divisor = extend(is_signed, size, divisor);
    if (size < 8) {
        l = extend(false, size, l) | extend(is_signed, size, h) << size * 8;
        h = is_signed && l >> 63 ? UINT64_MAX : 0;
        if (is_signed && size < 4) { // the dividend has fewer than 64 bits
            l = extend(true, size * 2, l);
            h = l >> 63 ? UINT64_MAX : 0;
        }
    }
    bool minus = is_signed && h >> 63, differ = minus != (is_signed && divisor >> 63);
    if (minus)
        negate(&h, &l);
    if (is_signed && divisor >> 63)
        divisor = -divisor;
    if (!divide(&h, &l, divisor))
        return false;
    // l: the quotient's magnitude, h: the remainder's.
    u64 most = is_signed ? BIT(size * 8 - 1) - !differ : extend(false, size, UINT64_MAX);
    if (l > most)
        return false;
    *low = extend(false, size, differ ? -l : l);
    *high = extend(false, size, minus ? -h : h);
    return true;
}
