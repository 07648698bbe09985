// SPDX-License-Identifier: MIT
// `monitor bitmaps`: the I/O and MSR bitmaps (SDM Vol. 3, 25.6.4, 25.6.9).
#pragma once

#include "lib/format.h"

struct vcpu;

// Adds what v does without an exit as far as the bitmaps say so; its VM is stopped or runs. In root
// mode on the core that owns the debugger's line.
void monitor_bitmaps(const struct vcpu *v, struct text *out);
