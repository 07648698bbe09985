// SPDX-License-Identifier: MIT
// What a vCPU's running came to.
#pragma once

#include "vcpu/vcpu.h"

// Logs how often v left the guest, and why; in a build that counts (lib/count.h) also its time on
// the core and the counts. Any core; v does not run.
void stats_log_exits(const struct vcpu *v);

// In a build that counts (lib/count.h), hypercall HYPERCALL_COUNT + n gives count n, as a sum over
// all cores since the start. In other builds, and for other numbers: UINT64_MAX.
#define HYPERCALL_COUNT 0x100
u64 stats_hypercall(u64 number);
