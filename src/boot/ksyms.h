// SPDX-License-Identifier: MIT
#pragma once

#include "lib/types.h"

// The function that holds the code `at` bytes into the image, and the offset in it in bytes; the
// name is cut to `size` bytes with its NUL. False, and no name, when no symbol is that low. Above
// the last there are none: whoever asks knows where the text ends.
bool ksyms_find(u64 at, char *name, size_t size, u64 *offset);
