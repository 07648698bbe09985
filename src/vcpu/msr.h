// SPDX-License-Identifier: MIT
#pragma once

#include "lib/types.h"

struct vcpu;

// Makes a vCPU's MSR bitmap: all caught but those that are switched, in the VMCS, or virtualized by
// the processor, and of these what the guest's items name. Its core, outside the guest.
void msr_bitmap_build(struct vcpu *v);

// Lets through, or catches again, the x2APIC registers 800H + bit of `reads` and `writes`.
void msr_bitmap_x2apic(struct vcpu *v, u64 reads, u64 writes);

// An MSR of a vCPU as the guest would read it. False: it would raise #GP. Its core, VMCS current.
bool vcpu_read_msr(struct vcpu *v, u32 msr, u64 *value);

// Writes one as the guest would. False: it would raise #GP.
bool vcpu_write_msr(struct vcpu *v, u32 msr, u64 value);
