// SPDX-License-Identifier: MIT
#pragma once

#include "lib/types.h"

// a * b / c with a 128-bit product, rounded down. A quotient over 64 bits saturates; c is not 0.
static inline u64 muldiv64(u64 a, u64 b, u64 c)
{
    u64 lo, hi, rest;
    __asm__("mul %3" : "=a"(lo), "=d"(hi) : "0"(a), "r"(b) : "cc");
    if (hi >= c)
        return UINT64_MAX;
    __asm__("div %4" : "=a"(lo), "=d"(rest) : "0"(lo), "1"(hi), "r"(c) : "cc");
    return lo;
}

// The same, rounded up.
static inline u64 muldiv64_up(u64 a, u64 b, u64 c)
{
    u64 lo, hi, rest;
    __asm__("mul %3" : "=a"(lo), "=d"(hi) : "0"(a), "r"(b) : "cc");
    if (hi >= c)
        return UINT64_MAX;
    __asm__("div %4" : "=a"(lo), "=d"(rest) : "0"(lo), "1"(hi), "r"(c) : "cc");
    return lo + (rest != 0 && lo != UINT64_MAX ? 1 : 0);
}
