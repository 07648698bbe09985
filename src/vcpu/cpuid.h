// SPDX-License-Identifier: MIT
// What guests are told that they have.
#pragma once

#include "lib/cpu.h"
#include "lib/types.h"
#include "smp/core.h"
#include "vcpu/requires.h"

struct vcpu;

#define CPUID_BASIC_LEAVES 0x17u

// A vCPU's own part of CPUID. Leaves that depend on nothing else are found through the table.
struct vcpu_cpuid {
    const struct cpuid *plain[CPUID_BASIC_LEAVES]; // NULL: the handler works it out
    struct cpuid leaf1;
    bool no_apic; // IA32_APIC_BASE has disabled it
};

struct cpuid_info {
    u64 xcr0;       // bits a guest may set in XCR0; 0: no XSAVE
    u64 cr4;        // bits a guest may set in CR4
    u64 crystal_hz; // CPUID leaf 15H's crystal: the local APIC timer's clock
    u32 emulated;   // enum emulate_feature (x86/emulate.h) that it offers
    unsigned maxphyaddr;
    u32 mxcsr_mask;          // bits that may be set in MXCSR
    u32 signature, features; // leaf 1's EAX and EDX
    bool rdtscp;
    bool pages_1g;
};

extern struct cpuid_info cpuid_info;

// Reads and filters the host's CPUID. Boot core, in VMX operation, after time_init().
void cpuid_init(void) REQUIRES_BOOT_CORE();

// Brings v's CPUID in line with its CR4 (OSXSAVE); also makes it, at reset.
void cpuid_follow_cr4(struct vcpu *v, u64 cr4) REQUIRES_OWNER(v);

// The same for CPUID.01H:EDX[9], which is 0 while IA32_APIC_BASE disables the local APIC
// (SDM 11.4.3).
void cpuid_show_apic(struct vcpu *v, bool on) REQUIRES_OWNER(v);
