// SPDX-License-Identifier: MIT
// What happens between two stays in the guest.
#pragma once

#include "lib/x86.h"
#include "smp/apic.h"
#include "vmx/caps.h"
#include "vmx/vcpu.h"
#include "vmx/vmm.h"

// Sees to everything that was requested of v, and to its next event. False: it cannot be entered
// now (it was taken off the core, or waits). Main loop, v loaded.
bool vcpu_prepare(struct vcpu *v);

// Sets what brings the core back from the guest in time: the nearest of slice end and timers. The
// preemption timer does not count in root mode, so it is set at each entry (SDM 27.7.4).
static inline void arm_timer(struct core *c, struct vmm *vmm)
{
    u64 deadline = MIN(vmm->slice_end, c->timer_deadline);
    if (vmx_has_pin(PIN_PREEMPTION_TIMER)) {
        u64 now = rdtsc();
        u64 ticks = deadline > now ? (deadline - now) >> vmx_caps.preemption_shift : 0;
        vmwrite(PREEMPTION_TIMER, MIN(ticks, (u64)UINT32_MAX));
    } else if (deadline != vmm->armed) {
        vmm->armed = deadline;
        apic_set_deadline(deadline);
    }
}
