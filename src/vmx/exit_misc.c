// SPDX-License-Identifier: MIT
// Handlers of a few lines each.
#include "lib/x86.h"
#include "smp/descriptors.h"
#include "vmx/caps.h"
#include "vmx/vcpu_internal.h"
#include "vmx/vmm.h"

void exit_external_interrupt(struct vcpu *v)
{
    (void)v;
    u64 info = vmread(EXIT_INTERRUPTION_INFO);
    irq_dispatch(EVENT_VECTOR(info)); // acknowledged by the exit
}

void exit_exception(struct vcpu *v)
{
    u32 info = (u32)vmread(EXIT_INTERRUPTION_INFO);
    u8 vector = EVENT_VECTOR(info);
    events_take_back(v);
    // An IRET that had ended blocking by NMI before it faulted is to be run again (SDM 28.2.3).
    if ((info & NMI_UNBLOCKED_BY_IRET) && !(v->event & EVENT_VALID) && vector != VECTOR_DF)
        vmwrite(GUEST_INTERRUPTIBILITY, vmread(GUEST_INTERRUPTIBILITY) | BLOCKING_BY_NMI);

    if (EVENT_TYPE(info) == EVENT_NMI) {
        if (nmi_handler != NULL)
            nmi_handler();
        return;
    }
    if (vector == VECTOR_MC) {
        vcpu_crash(v, "machine check");
        return;
    }
    if (debug_exception(v, info))
        return;
    if (vector == VECTOR_DB) {
        u64 q = vmread(EXIT_QUALIFICATION);
        write_dr6((read_dr6() & ~0xe00full) | (q & 0xe00f)); // B0-B3, BD, BS, BT
        vmwrite(GUEST_DR7, vmread(GUEST_DR7) & ~BIT(13));    // GD
        u64 debugctl = vmread(GUEST_DEBUGCTL);
        if (debugctl & BIT(0)) // LBR
            vmwrite(GUEST_DEBUGCTL, debugctl & ~BIT(0));
    }
    // Handed on as it came.
    v->event = (u32)(EVENT_VALID | EVENT_TYPE(info) << 8 | vector | (info & EVENT_HAS_ERROR));
    v->event_error = info & EVENT_HAS_ERROR ? (u32)vmread(EXIT_INTERRUPTION_ERROR_CODE) : 0;
    v->event_length = (u32)vmread(EXIT_INSTRUCTION_LENGTH);
    vcpu_note(v, REQUEST_EVENT);
    intercept_exception(v);
}

void exit_hlt(struct vcpu *v)
{
    vcpu_skip_instruction(v);
    v->sleeps_interruptible = vmread(GUEST_RFLAGS) & RFLAGS_IF;
    // A debugger's step ends here, and a step ends HLT as a trap would.
    if (v->single_step || vcpu_would_wake(v))
        return;
    if (!v->sleeps_interruptible && !v->halted_for_good) {
        v->halted_for_good = true;
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
    u64 value = (v->gpr[RDX] << 32) | (u32)v->gpr[RAX];
    u64 avx512 = value >> 5 & 7;
    bool ok = (u32)v->gpr[RCX] == 0 && (value & ~v->guest->xcr0_allowed) == 0 && (value & 1) &&
              (!(value & 4) || (value & 2)) && (avx512 == 0 || (avx512 == 7 && (value & 4)));
    if (!ok) {
        vcpu_raise_gp(v, 0);
        return;
    }
    switch_set_xcr0(v, value);
    vcpu_skip_instruction(v);
}

static NOINLINE void hypercall(struct vcpu *v)
{
    v->gpr[RAX] = v->guest->ops->hypercall(v, v->gpr[RAX]);
    vcpu_skip_instruction(v);
}

void exit_vmcall(struct vcpu *v)
{
    if (v->gpr[RAX] == 0)
        vcpu_skip_instruction(v);
    else
        hypercall(v);
}

// MOV to and from control registers (SDM Table 28-3).
void exit_cr(struct vcpu *v)
{
    u64 q = vmread(EXIT_QUALIFICATION);
    unsigned cr = q & 15, type = q >> 4 & 3, gpr = q >> 8 & 15;
    bool ok = true;
    if (type == 0) {
        u64 value = vcpu_get_gpr(v, gpr);
        if (!(vmread(GUEST_EFER) & EFER_LMA))
            value = (u32)value;
        if (cr == 0)
            ok = vcpu_set_cr0(v, value);
        else if (cr == 4)
            ok = vcpu_set_cr4(v, value);
        else if (cr == 8 && value < 16)
            v->guest->ops->cr8_write(v, value);
        else
            ok = false;
    } else if (type == 1 && cr == 8) {
        vcpu_set_gpr(v, gpr, v->guest->ops->cr8_read(v));
    } else if (type == 2) { // CLTS
        ok = vcpu_set_cr0(v, vcpu_cr0(v) & ~CR0_TS);
    } else if (type == 3) { // LMSW: sets PE but never clears it
        u64 cr0 = vcpu_cr0(v), source = q >> 16 & 0xffff;
        ok = vcpu_set_cr0(v, (cr0 & ~0xeull) | (source & 0xf));
    } else {
        ok = false;
    }
    if (ok)
        vcpu_skip_instruction(v);
    else
        vcpu_raise_gp(v, 0);
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
