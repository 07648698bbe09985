// SPDX-License-Identifier: MIT
// A vCPU's timer: the next event of its local APIC, and for vCPU 0 of the devices.
#include "lib/cpu.h"
#include "lib/math.h"
#include "vcpu/vapic.h"

// A deadline in the guest's time as the host's.
static u64 host_deadline(u64 deadline, u64 tsc_offset)
{
    if (deadline == UINT64_MAX)
        return UINT64_MAX;
    u64 host = deadline - tsc_offset;
    return host > (u64)INT64_MAX ? 0 : host;
}

static u64 device_deadline(const struct guest *g)
{
    return __atomic_load_n(&g->device_deadline, __ATOMIC_RELAXED);
}

void vcpu_set_timer(struct vcpu *v)
{
    ASSERT_OWNER(v);
    const struct guest *g = v->guest;
    u64 deadline = host_deadline(lapic_deadline(&vapic_of(v)->lapic), v->tsc_offset);
    if (v->index == 0)
        deadline = MIN(deadline, host_deadline(device_deadline(g), g->tsc_offset));
    timer_set(&v->timer, g->frozen ? UINT64_MAX : deadline);
}

void vcpu_timer_due(struct vcpu *v)
{
    ASSERT_OWNER(v);
    const struct guest *g = v->guest;
    if (g->frozen)
        return;
    u64 now = rdtsc();
    vapic_expire(v, vcpu_guest_tsc(v, now));
    if (v->index == 0 && device_deadline(g) <= now + g->tsc_offset) {
        g->devices->expire(v);
        vcpu_note(v, REQUEST_EVENT);
    }
    vcpu_set_timer(v);
    vcpu_check_wake(v);
}
