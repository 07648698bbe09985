// SPDX-License-Identifier: MIT
// The CRC of the remote serial protocol's qCRC: polynomial 04c11db7H, each byte's highest bit
// first, neither begun nor ended with an inversion. Pure.
#pragma once

#include "lib/types.h"

#define CRC32_BEGIN 0xffffffffu

// The CRC of what `crc` is the CRC of, with n more bytes behind it.
u32 crc32(u32 crc, const u8 *bytes, size_t n);
