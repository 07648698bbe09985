// SPDX-License-Identifier: MIT
// What guests are told that they have.
#pragma once

#include "lib/types.h"

struct cpuid_info {
    u64 xcr0;       // bits a guest may set in XCR0; 0: no XSAVE
    u64 cr4;        // bits a guest may set in CR4
    u64 crystal_hz; // CPUID leaf 15H's crystal: the local APIC timer's clock
    unsigned maxphyaddr;
    bool rdtscp;
};

extern struct cpuid_info cpuid_info;

// Reads and filters the host's CPUID. Boot core, in VMX operation, after time_init().
void cpuid_init(void);
