// SPDX-License-Identifier: MIT
#pragma once

#include "lib/types.h"

// The function that holds the code address, and the offset in it in bytes; NULL when the address
// is outside the image's text.
const char *ksyms_find(u64 address, u64 *offset);
