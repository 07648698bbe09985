// SPDX-License-Identifier: MIT
// Registers that neither the VMCS nor an exit saves: vector state, SYSCALL's MSRs, debug registers.
// Root mode uses none of them, so they stay on the core while one vCPU has it.
#include "boot/panic.h"
#include "lib/cpu.h"
#include "lib/string.h"
#include "vcpu/cpuid.h"
#include "vcpu/exits.h"
#include "vcpu/vmm.h"
#include "x86/bits.h"
#include "x86/msr_numbers.h"

// The CPU does not take a value of a vCPU, though whoever wrote it there should have refused it:
// the VM ends when all is loaded, and what the register has after a reset stands in for it, so that
// nothing is left there of another vCPU. The first one is told.
static COLD NOINLINE void refuse(struct vcpu *v, const char *what, u64 *value, u64 instead)
{
    struct vmm *vmm = v->core->vmm;
    if (vmm->refused == NULL) {
        vmm->refused = what;
        vmm->refused_value = *value;
    }
    *value = instead;
}

// Another vCPU's VMCS may be current, perhaps about to be entered.
static COLD NOINLINE void end_refused(struct vcpu *v)
{
    struct vmm *vmm = v->core->vmm;
    struct vcpu *before = vmm->current;
    const char *what = vmm->refused;
    vmm->refused = NULL;
    vcpu_load(v);
    vcpu_crash(v, "the CPU does not take %s = %lx", what, vmm->refused_value);
    if (before != NULL)
        vcpu_load(before);
}

static inline void look_for_refusal(struct vcpu *v, const struct vmm *vmm)
{
    if (__builtin_expect(vmm->refused != NULL, 0))
        end_refused(v);
}

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
    u64 *xstate_bv = (u64 *)(void *)(v->switched.xsave + XSTATE_BV);
    __asm__ volatile("fxsave64 (%0)" ::"r"(v->switched.xsave) : "memory");
    *xstate_bv |= XSTATE_FXSR;
}

// The vector state as after a reset; read by FXRSTOR and XRSTOR alike.
static const struct {
    u16 fcw, unused[11];
    u32 mxcsr;
    u8 rest[XSTATE_BV + 64 - 28];
} ALIGNED(64) initial_state = {.fcw = FCW_RESET, .mxcsr = MXCSR_RESET};

static COLD NOINLINE void refuse_vectors(struct vcpu *v, u64 mask)
{
    u32 mxcsr;
    u64 value, xstate_bv;
    memcpy(&mxcsr, v->switched.xsave + XSAVE_MXCSR, sizeof(mxcsr));
    memcpy(&xstate_bv, v->switched.xsave + XSTATE_BV, sizeof(xstate_bv));
    bool header = v->switched.extended && (xstate_bv & ~mask) != 0;
    value = header ? xstate_bv : mxcsr;
    refuse(v, header ? "XSTATE_BV" : "MXCSR", &value, 0);
    enum error e =
        v->switched.extended ? try_xrstor(&initial_state, mask) : try_fxrstor(&initial_state);
    if (e != OK)
        panic("the CPU does not take the vector state of a reset");
}

static void xrstor(struct vcpu *v)
{
    u64 mask = v->guest->xcr0_allowed;
    set_core_xcr0(v->core->vmm, mask);
    if (try_xrstor(v->switched.xsave, mask) != OK)
        refuse_vectors(v, mask);
}

// The guest's own XCR0.
static inline void load_xcr0(struct vcpu *v)
{
    struct vmm *vmm = v->core->vmm;
    if (vmm->xcr0 == v->switched.xcr0)
        return;
    if (try_xsetbv(0, v->switched.xcr0) != OK) {
        refuse(v, "XCR0", &v->switched.xcr0, 1);
        xsetbv(0, v->switched.xcr0);
    }
    vmm->xcr0 = v->switched.xcr0;
}

static void vector_save(struct vcpu *v)
{
    u64 mask = v->guest->xcr0_allowed;
    if (!v->switched.extended) {
        fxsave(v);
        return;
    }
    set_core_xcr0(v->core->vmm, mask);
    __asm__ volatile("xsave64 (%0)" ::"r"(v->switched.xsave), "a"((u32)mask), "d"((u32)(mask >> 32))
                     : "memory");
    set_core_xcr0(v->core->vmm, v->switched.xcr0);
}

static void vector_load(struct vcpu *v)
{
    if (v->switched.extended)
        xrstor(v);
    else if (try_fxrstor(v->switched.xsave) != OK)
        refuse_vectors(v, 0);
    if (v->guest->xcr0_allowed != 0)
        load_xcr0(v);
}

void switch_extend(struct vcpu *v)
{
    ASSERT_OWNER(v);
    if (v->switched.extended || v->guest->xcr0_allowed == 0)
        return;
    v->switched.extended = true;
    if (v->core->vmm->on_core != v)
        return;
    fxsave(v); // the rest, which the core still has from others, begins as after RESET
    xrstor(v);
    load_xcr0(v);
    look_for_refusal(v, v->core->vmm);
}

void switch_set_xcr0(struct vcpu *v, u64 value)
{
    ASSERT_LOADED(v);
    if ((value & ~XSTATE_FXSR) != 0)
        switch_extend(v);
    v->switched.xcr0 = value;
    load_xcr0(v);
    look_for_refusal(v, v->core->vmm);
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

static inline void load_msr(struct vcpu *v, u32 msr, const char *name, u64 *on_core, u64 *value)
{
    if (*on_core == *value)
        return;
    if (try_wrmsr(msr, *value) != OK) {
        refuse(v, name, value, 0);
        wrmsr(msr, 0);
    }
    *on_core = *value;
}

void switch_save(struct vcpu *v)
{
    if (v->core->vmm->on_core != v)
        return;
    v->switched.cr2 = read_cr2();
    v->switched.kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE);
    if (!v->debug.registers) {
        v->switched.dr[0] = read_dr0();
        v->switched.dr[1] = read_dr1();
        v->switched.dr[2] = read_dr2();
        v->switched.dr[3] = read_dr3();
    }
    v->switched.dr6 = read_dr6();
    vector_save(v);
}

void switch_load(struct vcpu *v)
{
    struct vmm *vmm = v->core->vmm;
    vmm->on_core = v;
    write_cr2(v->switched.cr2);
    if (try_wrmsr(MSR_KERNEL_GS_BASE, v->switched.kernel_gs_base) != OK) {
        refuse(v, "IA32_KERNEL_GS_BASE", &v->switched.kernel_gs_base, 0);
        wrmsr(MSR_KERNEL_GS_BASE, 0);
    }
    load_msr(v, MSR_STAR, "IA32_STAR", &vmm->star, &v->switched.star);
    load_msr(v, MSR_LSTAR, "IA32_LSTAR", &vmm->lstar, &v->switched.lstar);
    load_msr(v, MSR_CSTAR, "IA32_CSTAR", &vmm->cstar, &v->switched.cstar);
    load_msr(v, MSR_FMASK, "IA32_FMASK", &vmm->fmask, &v->switched.fmask);
    if (v->guest->has_rdtscp)
        load_msr(v, MSR_TSC_AUX, "IA32_TSC_AUX", &vmm->tsc_aux, &v->switched.tsc_aux);
    const u64 *dr = v->debug.registers ? v->debug.dr : v->switched.dr;
    write_dr0(dr[0]);
    write_dr1(dr[1]);
    write_dr2(dr[2]);
    write_dr3(dr[3]);
    if (try_write_dr6(v->switched.dr6) != OK) {
        refuse(v, "DR6", &v->switched.dr6, DR6_RESET);
        write_dr6(DR6_RESET);
    }
    vector_load(v);
    look_for_refusal(v, vmm);
}
