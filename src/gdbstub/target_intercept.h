// SPDX-License-Identifier: MIT
// `monitor intercept`.
#pragma once

#include "lib/format.h"

struct vm;

// Carries out `[VM] | [VM/] add ITEM[, ITEM]... | [VM/] remove all|NUMBER|ITEM[, ITEM]...` for this
// VM, unless another is named; NULL: none is attached. Adds its output. The line's core.
void monitor_intercept(struct vm *vm, const char *args, struct text *out);
