// SPDX-License-Identifier: MIT
// Handlers of a few lines each.
#include "lib/cpu.h"
#include "smp/descriptors.h"
#include "vcpu/exits.h"
#include "vcpu/vapic.h"
#include "vcpu/vmm.h"
#include "x86/bits.h"

void exit_external_interrupt(struct vcpu *v)
{
    (void)v;
    irq_dispatch(EVENT_VECTOR(backend_exit_event().info)); // acknowledged by the exit
}

void exit_hlt(struct vcpu *v)
{
    vcpu_skip_instruction(v);
    u64 rflags = state_get(STATE_RFLAGS);
    v->events.sleeps_interruptible = rflags & RFLAGS_IF;
    // A debugger's step ends here, and ends HLT as the guest's single step does: by a trap.
    bool traps = (rflags & RFLAGS_TF) && (state_get(STATE_PENDING_DEBUG) & DR6_BS);
    if (v->step.single || traps || vcpu_would_wake(v))
        return;
    if (!v->events.sleeps_interruptible && !v->events.halted_for_good) {
        v->events.halted_for_good = true;
        v->guest->life->halted(v);
    }
    vmm_sleep(v);
}

void exit_preemption_timer(struct vcpu *v)
{
    if (rdtsc() >= v->core->slice_end)
        core_reschedule(v->core);
    else if (!vapic_deadline_due(v))
        vmm_deadline(v->core);
}

void exit_xsetbv(struct vcpu *v)
{
    u64 value = (v->run.gpr[RDX] << 32) | (u32)v->run.gpr[RAX];
    if ((u32)v->run.gpr[RCX] != 0 || !xcr0_ok(value, v->guest->xcr0_allowed)) {
        vcpu_raise_gp(v, 0);
        return;
    }
    switch_set_xcr0(v, value);
    vcpu_skip_instruction(v);
}

static NOINLINE void hypercall(struct vcpu *v)
{
    v->run.gpr[RAX] = v->guest->life->hypercall(v, v->run.gpr[RAX]);
    vcpu_skip_instruction(v);
}

void exit_vmcall(struct vcpu *v)
{
    if (v->run.gpr[RAX] == 0)
        vcpu_skip_instruction(v);
    else
        hypercall(v);
}

void exit_apic_write(struct vcpu *v)
{
    vapic_write_done(v, backend_exit_apic_write_offset());
}

void exit_eoi(struct vcpu *v)
{
    vapic_eoi_done(v, backend_exit_eoi_vector());
}

void exit_tpr(struct vcpu *v)
{
    vcpu_note(v, REQUEST_EVENT);
}
