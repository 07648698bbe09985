// SPDX-License-Identifier: MIT
// Conversions between guest TSC ticks and a device's own clock. Devices keep their state in whole
// clocks since a fixed tick, so nothing drifts. Ticks stay below 2^62 (29 years at 5 GHz).
#pragma once

#include "lib/math.h"

#define NEVER UINT64_MAX // a deadline that does not come

// Clocks of `hz` that have passed `ticks` after clock 0, rounded down.
static inline u64 ticks_to_clocks(u64 ticks, u64 hz, u64 tsc_hz)
{
    return muldiv64(ticks, hz, tsc_hz);
}

// The first tick, counted from clock 0, at which `clocks` have passed.
static inline u64 clocks_to_ticks(u64 clocks, u64 hz, u64 tsc_hz)
{
    return muldiv64_up(clocks, tsc_hz, hz);
}
