// SPDX-License-Identifier: MIT
// RDMSR and WRMSR: what the guest may touch directly stands in the bitmap; the rest is remembered
// here, asked of the room above, or raises #GP.
#include "lib/cpu.h"
#include "lib/string.h"
#include "smp/apic.h"
#include "vcpu/cpuid.h"
#include "vcpu/exits.h"
#include "vcpu/msr.h"
#include "vcpu/vapic.h"
#include "x86/bits.h"
#include "x86/msr_numbers.h"
#include "x86/registers.h"

// Of IA32_MISC_ENABLE guests have fast strings, and read that there are no counters, no BTS and no
// PEBS, whatever they write there. The other bits are those of features that they have not got.
#define MISC_ENABLE_WRITABLE  BIT(0)
#define MISC_ENABLE_READ_ONLY (BIT(7) | BIT(11) | BIT(12))

#define MTRR_VARIABLE 8
#define MTRRCAP       (MTRR_VARIABLE | BIT(8) | BIT(10)) // fixed ranges, write-combining

static const u32 mtrr_fixed_msr[11] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
                                       0x26b, 0x26c, 0x26d, 0x26e, 0x26f};

static u64 *remembered(struct vcpu *v, u32 msr)
{
    switch (msr) {
    case MSR_IA32_MISC_ENABLE:
        return &v->msrs.misc_enable;
    case MSR_IA32_MTRR_DEF_TYPE:
        return &v->msrs.mtrr_def_type;
    case MSR_IA32_BIOS_SIGN_ID:
        return &v->msrs.bios_sign_id;
    case MSR_IA32_TSC_ADJUST:
        return &v->msrs.tsc_adjust;
    default:
        break;
    }
    if (msr >= MSR_IA32_MTRR_PHYSBASE0 && msr <= MSR_IA32_MTRR_PHYSMASK7)
        return &v->msrs.mtrr_variable[msr - MSR_IA32_MTRR_PHYSBASE0];
    for (unsigned i = 0; i < ARRAY_SIZE(mtrr_fixed_msr); i++) {
        if (mtrr_fixed_msr[i] == msr)
            return &v->msrs.mtrr_fixed[i];
    }
    return NULL;
}

bool msr_read_caught(struct vcpu *v, u32 msr, u64 *value)
{
    const u64 *kept = remembered(v, msr);
    if (kept != NULL) {
        *value = *kept;
        return true;
    }
    switch (msr) {
    case MSR_IA32_MTRRCAP:
        *value = MTRRCAP;
        return true;
    case MSR_IA32_DEBUGCTL:
        *value = v->msrs.debugctl;
        return true;
    case MSR_P5_MC_ADDR:
    case MSR_P5_MC_TYPE:
    case MSR_IA32_PLATFORM_ID:
    case MSR_IA32_MCG_CAP: // no banks
    case MSR_IA32_MCG_STATUS:
    case MSR_IA32_PERF_STATUS:
    case MSR_PLATFORM_INFO:
    case MSR_MISC_FEATURE_ENABLES:
    case MSR_LASTBRANCHFROMIP ... MSR_LASTINTTOIP:
        *value = 0;
        return true;
    case MSR_IA32_FEATURE_CONTROL:
        *value = BIT(0); // locked, VMX off
        return true;
    default:
        return vapic_msr_read(v, msr, value) || msr_read_direct(v, msr, value);
    }
}

static bool memory_type_ok(u64 type)
{
    return type <= 1 || (type >= 4 && type <= 6);
}

static bool mtrr_value_ok(const struct vcpu *v, u32 msr, u64 value)
{
    if (msr == MSR_IA32_MTRR_DEF_TYPE)
        return (value & ~0xcfful) == 0 && memory_type_ok(value & 0xff);
    u64 above = ~(BIT(v->guest->maxphyaddr) - 1);
    if (msr >= MSR_IA32_MTRR_PHYSBASE0 && msr <= MSR_IA32_MTRR_PHYSMASK7) {
        if (msr & 1)
            return (value & (above | 0x7ff)) == 0;
        return (value & (above | 0xf00)) == 0 && memory_type_ok(value & 0xff);
    }
    for (unsigned i = 0; i < 64; i += 8) {
        if (!memory_type_ok(value >> i & 0xff))
            return false;
    }
    return true;
}

static void set_tsc_adjust(struct vcpu *v, u64 adjust)
{
    u64 before = vcpu_guest_tsc(v, rdtsc());
    v->tsc_offset += adjust - v->msrs.tsc_adjust;
    vapic_tsc_written(v, before, before + adjust - v->msrs.tsc_adjust);
    v->msrs.tsc_adjust = adjust;
    backend_set_tsc_offset(v->tsc_offset);
}

static bool set_misc_enable(struct vcpu *v, u64 value)
{
    if ((value & ~(MISC_ENABLE_WRITABLE | MISC_ENABLE_READ_ONLY)) != 0)
        return false;
    v->msrs.misc_enable =
        (v->msrs.misc_enable & ~MISC_ENABLE_WRITABLE) | (value & MISC_ENABLE_WRITABLE);
    return true;
}

static bool set_debugctl(struct vcpu *v, u64 value)
{
    if ((value & ~(DEBUGCTL_LBR | DEBUGCTL_BTF)) != 0)
        return false;
    v->msrs.debugctl = value;
    state_set(STATE_DEBUGCTL, value & DEBUGCTL_BTF);
    return true;
}

bool msr_write_caught(struct vcpu *v, u32 msr, u64 value)
{
    if (msr - MSR_IA32_X2APIC < 0x40)
        return vapic_msr_write(v, msr, value);
    switch (msr) {
    case MSR_IA32_MISC_ENABLE:
        return set_misc_enable(v, value);
    case MSR_IA32_DEBUGCTL:
        return set_debugctl(v, value);
    case MSR_IA32_BIOS_SIGN_ID:
        return true; // writing 0 before CPUID is how software asks; the answer stays
    case MSR_IA32_TSC_ADJUST:
        set_tsc_adjust(v, value);
        return true;
    case MSR_IA32_TSC_DEADLINE:
        vapic_set_deadline(v, value);
        return true;
    case MSR_STAR:
    case MSR_LSTAR:
    case MSR_CSTAR:
    case MSR_FMASK:
    case MSR_IA32_SYSENTER_ESP:
    case MSR_IA32_SYSENTER_EIP:
    case MSR_IA32_PAT:
    case MSR_FS_BASE:
    case MSR_GS_BASE:
    case MSR_KERNEL_GS_BASE:
        return vcpu_write_msr(v, msr, value);
    case MSR_IA32_SYSENTER_CS: // has 32 bits
        return vcpu_write_msr(v, msr, (u32)value);
    case MSR_EFER: // LMA is read-only
        return vcpu_write_msr(v, msr, (value & ~EFER_LMA) | (state_get(STATE_EFER) & EFER_LMA));
    case MSR_TSC_AUX:
        return v->guest->has_rdtscp && vcpu_write_msr(v, msr, value);
    case MSR_IA32_TSC: // moves TSC_ADJUST by as much (SDM 18.17.3)
        set_tsc_adjust(v, v->msrs.tsc_adjust + value - vcpu_guest_tsc(v, rdtsc()));
        return true;
    case MSR_IA32_BIOS_UPDT_TRIG: // where the update lies; none is taken
        return canonical(value);
    case MSR_P5_MC_ADDR:
    case MSR_P5_MC_TYPE:
        return true;
    case MSR_IA32_MCG_STATUS:
    case MSR_MISC_FEATURE_ENABLES:
        return value == 0;
    default:
        break;
    }
    u64 *kept = remembered(v, msr);
    if (kept != NULL) {
        if (!mtrr_value_ok(v, msr, value))
            return false;
        *kept = value;
        return true;
    }
    return vapic_msr_write(v, msr, value);
}

void exit_rdmsr(struct vcpu *v)
{
    u64 value;
    if (!msr_read_caught(v, (u32)v->run.gpr[RCX], &value)) {
        vcpu_raise_gp(v, 0);
        return;
    }
    v->run.gpr[RAX] = (u32)value;
    v->run.gpr[RDX] = value >> 32;
    vcpu_skip_instruction(v);
}

static u64 written_value(const struct vcpu *v)
{
    return (v->run.gpr[RDX] << 32) | (u32)v->run.gpr[RAX];
}

static NOINLINE void write_any(struct vcpu *v)
{
    if (msr_write_caught(v, (u32)v->run.gpr[RCX], written_value(v)))
        vcpu_skip_instruction(v);
    else
        vcpu_raise_gp(v, 0);
}

void exit_wrmsr(struct vcpu *v)
{
    u32 msr = (u32)v->run.gpr[RCX];
    // What kernels write most: the timer, and the interrupt command.
    if (msr == MSR_IA32_TSC_DEADLINE) {
        vapic_set_deadline(v, written_value(v));
    } else if (msr != MSR_IA32_X2APIC_ICR ||
               !vapic_send_ipi(v, (u32)v->run.gpr[RAX], (u32)v->run.gpr[RDX])) {
        write_any(v);
        return;
    }
    vcpu_skip_instruction(v);
}
