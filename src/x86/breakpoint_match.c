// SPDX-License-Identifier: MIT
#include "x86/breakpoint_match.h"

// By R/W (SDM Vol. 3, 18.2.4). 00, an instruction, is met by no access.
static const u8 condition[] = {
    0,
    BREAKPOINT_WRITE,
    BREAKPOINT_PORT,
    BREAKPOINT_READ | BREAKPOINT_WRITE,
};

// By LEN: the bits of the address that the length makes 0, so that it is a multiple of that.
static const u64 offset_bits[] = {0, 1, 7, 3};

u64 breakpoint_match(const struct breakpoint_registers *r, enum breakpoint_access access,
                     u64 address, unsigned size)
{
    u64 hits = 0, last = address + size - 1;
    for (unsigned n = 0; n < 4; n++) {
        u64 offset = offset_bits[r->dr7 >> (18 + 4 * n) & 3], first = r->dr[n] & ~offset;
        if (!(condition[r->dr7 >> (16 + 4 * n) & 3] & access) || last < first ||
            address > (first | offset))
            continue;
        hits |= BIT(n);
        if (r->dr7 >> 2 * n & 3)
            hits |= DR6_ENABLED;
    }
    return hits;
}
