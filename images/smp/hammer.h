// SPDX-License-Identifier: MIT
// All CPUs write to one page, and run code in it: what a debugger's breakpoints there must live
// with.
#pragma once

#include "lib/types.h"

// Starts the other CPUs and waits until a debugger sets hammer_go; then each adds to a word of its
// own `count` times, and when all have, calls hammered.code once. The verdict: every write is
// there.
int hammer_main(u64 count);
