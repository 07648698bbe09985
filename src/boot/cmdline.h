// SPDX-License-Identifier: MIT
#pragma once

#include "lib/types.h"

// Looks for `key=value` among the words of the boot command line and copies the value (cut to
// size bytes). Returns false, with an empty value, when the key is not there.
bool cmdline_value(const char *key, char *value, size_t size);
