// SPDX-License-Identifier: MIT
// How often instructions that are dear on hardware were executed, for the benchmark. Only a build
// with COUNT_VMX counts (make COUNT=1); in any other nothing is left of this.
#pragma once

#include "lib/types.h"

// In the order of the hypercalls by which a guest asks for them, see vcpu/stats.h.
enum count {
    COUNT_VMREAD,
    COUNT_VMWRITE,
    COUNT_MSR,       // RDMSR and WRMSR
    COUNT_EXIT,      // VM exits
    COUNT_ROOT_TICK, // TSC ticks between an exit and the next entry, without the core's sleep
    COUNTS,
};

#ifdef COUNT_VMX
// Sums over all cores. Defined in vcpu/stats.c.
extern u64 vmx_counts[COUNTS];

static inline void count(enum count what)
{
    __atomic_fetch_add(&vmx_counts[what], 1, __ATOMIC_RELAXED);
}
#else
static inline void count(enum count what)
{
    (void)what;
}
#endif
