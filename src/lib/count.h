// SPDX-License-Identifier: MIT
// How often instructions that are dear on hardware were executed, for the benchmark. Only a build
// with COUNT_VMX counts (make COUNT=1); in any other nothing is left of this.
#pragma once

#include "lib/types.h"

// Also the numbers by which a guest asks for them, see vm/devices.c.
enum count { COUNT_VMREAD, COUNT_VMWRITE, COUNT_MSR, COUNT_EXIT, COUNTS };

#ifdef COUNT_VMX
// Sums over all cores. Defined in vmx/stats.c.
extern u64 counts[COUNTS];

static inline void count(enum count what)
{
    __atomic_fetch_add(&counts[what], 1, __ATOMIC_RELAXED);
}
#else
static inline void count(enum count what)
{
    (void)what;
}
#endif
