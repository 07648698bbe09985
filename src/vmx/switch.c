// SPDX-License-Identifier: MIT
// Registers that neither the VMCS nor an exit saves: vector state, SYSCALL's MSRs, debug registers.
// Root mode uses none of them, so they stay on the core while one vCPU has it.
#include "lib/x86.h"
#include "vmx/cpuid.h"
#include "vmx/vcpu_internal.h"
#include "vmx/vmm.h"

// Most guests that are not operating systems never turn on more of XCR0 than x87 and SSE, which
// FXSAVE holds: no XSETBV for them. xcr0_allowed is 0 on a CPU without XSAVE.

static void set_core_xcr0(struct vmm *vmm, u64 value)
{
    if (vmm->xcr0 == value)
        return;
    vmm->xcr0 = value;
    xsetbv(0, value);
}

static void fxsave(struct vcpu *v)
{
    u64 *xstate_bv = (u64 *)(void *)(v->xsave + XSTATE_BV);
    __asm__ volatile("fxsave64 (%0)" ::"r"(v->xsave) : "memory");
    *xstate_bv |= XSTATE_FXSR;
}

static void xrstor(struct vcpu *v)
{
    u64 mask = v->guest->xcr0_allowed;
    set_core_xcr0(v->core->vmm, mask);
    __asm__ volatile("xrstor64 (%0)" ::"r"(v->xsave), "a"((u32)mask), "d"((u32)(mask >> 32))
                     : "memory");
}

static void vector_save(struct vcpu *v)
{
    u64 mask = v->guest->xcr0_allowed;
    if (!v->extended) {
        fxsave(v);
        return;
    }
    set_core_xcr0(v->core->vmm, mask);
    __asm__ volatile("xsave64 (%0)" ::"r"(v->xsave), "a"((u32)mask), "d"((u32)(mask >> 32))
                     : "memory");
    set_core_xcr0(v->core->vmm, v->xcr0);
}

static void vector_load(struct vcpu *v)
{
    if (!v->extended)
        __asm__ volatile("fxrstor64 (%0)" ::"r"(v->xsave) : "memory");
    else
        xrstor(v);
    if (v->guest->xcr0_allowed != 0)
        set_core_xcr0(v->core->vmm, v->xcr0);
}

void switch_extend(struct vcpu *v)
{
    if (v->extended || v->guest->xcr0_allowed == 0)
        return;
    v->extended = true;
    if (v->core->vmm->on_core != v)
        return;
    fxsave(v); // the rest, which the core still has from others, begins as after RESET
    xrstor(v);
    set_core_xcr0(v->core->vmm, v->xcr0);
}

void switch_set_xcr0(struct vcpu *v, u64 value)
{
    if ((value & ~XSTATE_FXSR) != 0)
        switch_extend(v);
    v->xcr0 = value;
    set_core_xcr0(v->core->vmm, value);
}

// What SYSCALL and RDTSCP use changes by WRMSR alone, which exits: no need to read it from the
// core, nor to write what is there already.
COLD void switch_init(struct vmm *vmm)
{
    vmm->star = rdmsr(MSR_STAR);
    vmm->lstar = rdmsr(MSR_LSTAR);
    vmm->cstar = rdmsr(MSR_CSTAR);
    vmm->fmask = rdmsr(MSR_FMASK);
    vmm->tsc_aux = cpuid_info.rdtscp ? rdmsr(MSR_TSC_AUX) : 0;
    vmm->xcr0 = cpuid_info.xcr0 != 0 ? xgetbv(0) : 0;
}

static inline void load_msr(u32 msr, u64 *on_core, u64 value)
{
    if (*on_core == value)
        return;
    *on_core = value;
    wrmsr(msr, value);
}

void switch_save(struct vcpu *v)
{
    if (v->core->vmm->on_core != v)
        return;
    v->cr2 = read_cr2();
    v->kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE);
    if (!v->debug_registers) {
        v->dr[0] = read_dr0();
        v->dr[1] = read_dr1();
        v->dr[2] = read_dr2();
        v->dr[3] = read_dr3();
    }
    v->dr6 = read_dr6();
    vector_save(v);
}

void switch_load(struct vcpu *v)
{
    struct vmm *vmm = v->core->vmm;
    vmm->on_core = v;
    write_cr2(v->cr2);
    wrmsr(MSR_KERNEL_GS_BASE, v->kernel_gs_base);
    load_msr(MSR_STAR, &vmm->star, v->star);
    load_msr(MSR_LSTAR, &vmm->lstar, v->lstar);
    load_msr(MSR_CSTAR, &vmm->cstar, v->cstar);
    load_msr(MSR_FMASK, &vmm->fmask, v->fmask);
    if (v->guest->has_rdtscp)
        load_msr(MSR_TSC_AUX, &vmm->tsc_aux, v->tsc_aux);
    const u64 *dr = v->debug_registers ? v->debug_dr : v->dr;
    write_dr0(dr[0]);
    write_dr1(dr[1]);
    write_dr2(dr[2]);
    write_dr3(dr[3]);
    write_dr6(v->dr6);
    vector_load(v);
}
