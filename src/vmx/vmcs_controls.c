// SPDX-License-Identifier: MIT
// The control words of a vCPU's VMCS, composed from what is wished of them. Nothing else writes
// them, and nobody reads them back to change them: what the VMCS holds is remembered.
#include "vcpu/vcpu_internal.h"
#include "vmx/caps.h"
#include "x86/vectors.h"

// Exceptions that must not be left to the guest alone: an endless #DB or #AC while being delivered
// keeps the CPU from taking interrupts; #MC is ours.
#define ALWAYS_CAUGHT (1u << VECTOR_DB | 1u << VECTOR_AC | 1u << VECTOR_MC)

static u32 pin(const struct vcpu *v)
{
    // A notification that arrives during a step would deliver what it is for before the step.
    return vmx_caps.base.pin & ~(vcpu_runs_alone(v) ? (u32)PIN_POSTED_INTERRUPTS : 0);
}

static u32 primary(const struct vcpu *v)
{
    const struct control_wishes *w = &v->run.wishes;
    u32 c = (vmx_caps.base.primary & ~w->no_primary) | w->primary;
    if (w->interrupt_window)
        c |= PRIMARY_INTERRUPT_WINDOW;
    if (w->nmi_window)
        c |= PRIMARY_NMI_WINDOW;
    if (v->step.single || v->step.over != 0)
        c |= PRIMARY_MONITOR_TRAP_FLAG;
    if (v->step.over & STEP_OVER_MOV_DR)
        c &= ~(u32)PRIMARY_MOV_DR_EXITING;
    if (v->step.over & STEP_OVER_INVPCID)
        c &= ~(u32)PRIMARY_INVLPG_EXITING;
    if (v->debug.registers)
        c |= PRIMARY_MOV_DR_EXITING;
    return c;
}

static u32 secondary(const struct vcpu *v)
{
    u32 c = vmcs_secondary(v) | v->run.wishes.secondary | v->run.wishes.apic;
    if (v->step.over & STEP_OVER_DESCRIPTORS)
        c &= ~(u32)SECONDARY_DESCRIPTOR_TABLE_EXITING;
    return c;
}

static u32 entry(const struct vcpu *v)
{
    return (vmx_caps.base.entry & ~(u32)ENTRY_IA32E_GUEST) |
           (v->run.wishes.long_mode ? (u32)ENTRY_IA32E_GUEST : 0);
}

static u32 exceptions(const struct vcpu *v)
{
    return ALWAYS_CAUGHT | v->run.wishes.exceptions | (v->debug.breakpoints ? 1u << VECTOR_BP : 0);
}

static void put(enum vmcs_field field, u32 *in_vmcs, u32 value, bool fresh)
{
    if (*in_vmcs == value && !fresh)
        return;
    *in_vmcs = value;
    vmwrite(field, value);
}

static void compose(struct vcpu *v, bool fresh)
{
    struct vmx_controls *c = &v->run.controls;
    put(PIN_BASED_CONTROLS, &c->pin, pin(v), fresh);
    put(PRIMARY_CONTROLS, &c->primary, primary(v), fresh);
    put(SECONDARY_CONTROLS, &c->secondary, secondary(v), fresh);
    put(EXIT_CONTROLS, &c->exit, vmx_caps.base.exit, fresh);
    put(ENTRY_CONTROLS, &c->entry, entry(v), fresh);
    put(EXCEPTION_BITMAP, &v->run.exception_bitmap, exceptions(v), fresh);
}

void vmcs_compose_controls(struct vcpu *v)
{
    compose(v, false);
}

void vmcs_begin_controls(struct vcpu *v)
{
    v->run.wishes = (struct control_wishes){0};
    compose(v, true);
}

u32 vmcs_secondary(const struct vcpu *v)
{
    // How APIC accesses are virtualized changes with the APIC's mode, and is a wish.
    u32 c = vmx_caps.base.secondary & ~(u32)(SECONDARY_APIC_ACCESSES | SECONDARY_X2APIC);
    if (v->guest->vcpu_count == 1) // it waits for no other, who may want its core
        c &= ~(u32)SECONDARY_PAUSE_LOOP_EXITING;
    return c;
}
