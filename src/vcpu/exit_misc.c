// SPDX-License-Identifier: MIT
// Handlers of a few lines each.
#include "lib/cpu.h"
#include "smp/descriptors.h"
#include "vcpu/vcpu_internal.h"
#include "vcpu/vmm.h"
#include "vmx/caps.h"
#include "x86/bits.h"

void exit_external_interrupt(struct vcpu *v)
{
    (void)v;
    u64 info = vmread(EXIT_INTERRUPTION_INFO);
    irq_dispatch(EVENT_VECTOR(info)); // acknowledged by the exit
}

void exit_hlt(struct vcpu *v)
{
    vcpu_skip_instruction(v);
    v->events.sleeps_interruptible = vmread(GUEST_RFLAGS) & RFLAGS_IF;
    // A debugger's step ends here, and a step ends HLT as a trap would.
    if (v->step.single || vcpu_would_wake(v))
        return;
    if (!v->events.sleeps_interruptible && !v->events.halted_for_good) {
        v->events.halted_for_good = true;
        v->guest->ops->halted(v);
    }
    vmm_sleep(v);
}

void exit_preemption_timer(struct vcpu *v)
{
    if (rdtsc() >= v->core->slice_end)
        core_reschedule(v->core);
    else if (!v->guest->ops->deadline_due(v))
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
    v->run.gpr[RAX] = v->guest->ops->hypercall(v, v->run.gpr[RAX]);
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
    v->guest->ops->apic_write(v, (u32)vmread(EXIT_QUALIFICATION) & 0xfff);
}

void exit_eoi(struct vcpu *v)
{
    v->guest->ops->eoi_induced(v, (u8)vmread(EXIT_QUALIFICATION));
}

void exit_tpr(struct vcpu *v)
{
    vcpu_note(v, REQUEST_EVENT);
}
