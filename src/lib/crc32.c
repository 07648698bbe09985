// SPDX-License-Identifier: MIT
#include "lib/crc32.h"

// Four bits at a time: what their remainder is, for each value of them.
static const u32 remainders[16] = {
    0x00000000, 0x04c11db7, 0x09823b6e, 0x0d4326d9, 0x130476dc, 0x17c56b6b, 0x1a864db2, 0x1e475005,
    0x2608edb8, 0x22c9f00f, 0x2f8ad6d6, 0x2b4bcb61, 0x350c9b64, 0x31cd86d3, 0x3c8ea00a, 0x384fbdbd,
};

u32 crc32(u32 crc, const u8 *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        crc ^= (u32)bytes[i] << 24;
        crc = crc << 4 ^ remainders[crc >> 28];
        crc = crc << 4 ^ remainders[crc >> 28];
    }
    return crc;
}
