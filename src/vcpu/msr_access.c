// SPDX-License-Identifier: MIT
// A vCPU's MSRs for the debugger: wherever each of them is kept, with the checks of WRMSR.
#include "lib/cpu.h"
#include "vcpu/exits.h"
#include "vcpu/msr.h"
#include "vcpu/vmm.h"
#include "x86/msr_numbers.h"

static const struct {
    u32 msr;
    enum guest_state state;
} in_state[] = {
    {MSR_IA32_SYSENTER_CS, STATE_SYSENTER_CS},
    {MSR_IA32_SYSENTER_ESP, STATE_SYSENTER_ESP},
    {MSR_IA32_SYSENTER_EIP, STATE_SYSENTER_EIP},
    {MSR_IA32_PAT, STATE_PAT},
    {MSR_EFER, STATE_EFER},
    {MSR_FS_BASE, STATE_FS_BASE},
    {MSR_GS_BASE, STATE_GS_BASE},
};

static const struct {
    u32 msr;
    size_t offset; // in struct vcpu, after switch_save()
} switched[] = {
    {MSR_STAR, offsetof(struct vcpu, switched.star)},
    {MSR_LSTAR, offsetof(struct vcpu, switched.lstar)},
    {MSR_CSTAR, offsetof(struct vcpu, switched.cstar)},
    {MSR_FMASK, offsetof(struct vcpu, switched.fmask)},
    {MSR_KERNEL_GS_BASE, offsetof(struct vcpu, switched.kernel_gs_base)},
    {MSR_TSC_AUX, offsetof(struct vcpu, switched.tsc_aux)},
};

static u64 *kept(struct vcpu *v, size_t offset)
{
    return (u64 *)(void *)((u8 *)v + offset);
}

bool msr_read_direct(struct vcpu *v, u32 msr, u64 *value)
{
    ASSERT_LOADED(v);
    for (unsigned i = 0; i < ARRAY_SIZE(in_state); i++) {
        if (in_state[i].msr == msr) {
            *value = state_get(in_state[i].state);
            return true;
        }
    }
    for (unsigned i = 0; i < ARRAY_SIZE(switched); i++) {
        if (switched[i].msr == msr && (msr != MSR_TSC_AUX || v->guest->has_rdtscp)) {
            switch_save(v);
            *value = *kept(v, switched[i].offset);
            return true;
        }
    }
    if (msr == MSR_IA32_TSC)
        *value = vcpu_guest_tsc(v, rdtsc());
    return msr == MSR_IA32_TSC;
}

bool vcpu_read_msr(struct vcpu *v, u32 msr, u64 *value)
{
    ASSERT_LOADED(v);
    return msr_read_direct(v, msr, value) || msr_read_caught(v, msr, value);
}

// What WRMSR would refuse (SDM Vol. 4), and a VM entry too.
static bool direct_value_ok(u32 msr, u64 value)
{
    return msr_value_ok(msr, value, state_get(STATE_EFER), state_get(STATE_CR0));
}

bool vcpu_write_msr(struct vcpu *v, u32 msr, u64 value)
{
    ASSERT_LOADED(v);
    for (unsigned i = 0; i < ARRAY_SIZE(in_state); i++) {
        if (in_state[i].msr == msr) {
            if (!direct_value_ok(msr, value))
                return false;
            state_set(in_state[i].state, value);
            if (msr == MSR_EFER) // what NXE = 0 made of translations
                flush_vpid(v->run.vpid);
            return true;
        }
    }
    for (unsigned i = 0; i < ARRAY_SIZE(switched); i++) {
        if (switched[i].msr == msr && (msr != MSR_TSC_AUX || v->guest->has_rdtscp)) {
            if (!direct_value_ok(msr, value))
                return false;
            switch_save(v);
            *kept(v, switched[i].offset) = value;
            if (v->core->vmm->on_core == v)
                switch_load(v);
            return true;
        }
    }
    return msr_write_caught(v, msr, value);
}
