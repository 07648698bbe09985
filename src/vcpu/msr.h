// SPDX-License-Identifier: MIT
#pragma once

#include "lib/types.h"
#include "vcpu/requires.h"

struct vcpu;

// Lets through, or catches again, the x2APIC registers 800H + bit of `reads` and `writes`.
void vcpu_let_x2apic_through(struct vcpu *v, u64 reads, u64 writes) REQUIRES_OWNER(v);

// An MSR of a vCPU as the guest would read it. False: it would raise #GP.
bool vcpu_read_msr(struct vcpu *v, u32 msr, u64 *value) REQUIRES_LOADED(v);

// Writes one as the guest would. False: it would raise #GP.
bool vcpu_write_msr(struct vcpu *v, u32 msr, u64 value) REQUIRES_LOADED(v);
