// SPDX-License-Identifier: MIT
// What VMX this CPU has (SDM Vol. 3, appendix A), read once on the boot core, and the controls that
// we choose from it.
#pragma once

#include "lib/types.h"
#include "vmx/controls.h"

struct vmx_controls {
    u32 pin, primary, secondary, exit, entry;
};

struct vmx_caps {
    u64 basic, misc, ept_vpid, vmfunc;
    u64 cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
    struct vmx_controls allowed0, allowed1; // bits that must be 1; bits that may be 1
    struct vmx_controls base;               // what every vCPU starts with
    unsigned preemption_shift;              // the preemption timer counts TSC >> this
    bool true_controls;
    u64 tertiary;         // tertiary controls that may be 1
    u64 perf_global_ctrl; // bits of IA32_PERF_GLOBAL_CTRL for which there are counters
    bool rtm;             // transactional memory, whose debug exceptions differ
};

extern struct vmx_caps vmx_caps;

// (wanted | allowed0) & allowed1.
u32 vmx_control(u32 wanted, u32 allowed0, u32 allowed1);

static inline bool vmx_has_secondary(enum secondary_control c)
{
    return vmx_caps.base.secondary & (u32)c;
}
static inline bool vmx_has_pin(enum pin_control c)
{
    return vmx_caps.base.pin & (u32)c;
}

// IA32_VMX_BASIC and IA32_VMX_MISC (SDM Vol. 3, A.1, A.6).
#define BASIC_REVISION(basic)      ((u32)(basic)&0x7fffffff)
#define BASIC_ANY_ERROR_CODE       BIT(56)           // exceptions are injected with and without
#define MISC_ACTIVITY(misc)        ((misc) >> 6 & 7) // HLT, shutdown, wait-for-SIPI
#define MISC_CR3_TARGETS(misc)     ((unsigned)((misc) >> 16 & 0x1ff)) // how many; none under KVM
#define MISC_ZERO_LENGTH_INJECTION BIT(30) // an instruction of no bytes may be told

#define EPT_CAP_EXECUTE_ONLY BIT(0)
#define EPT_CAP_WALK_4       BIT(6)
#define EPT_CAP_WALK_5       BIT(7)
#define EPT_CAP_UC           BIT(8)
#define EPT_CAP_WB           BIT(14)
#define EPT_CAP_2M           BIT(16)
#define EPT_CAP_1G           BIT(17)
#define EPT_CAP_INVEPT       BIT(20)
#define EPT_CAP_AD           BIT(21)
#define EPT_CAP_SHADOW_STACK BIT(23)
#define EPT_CAP_INVEPT_ONE   BIT(25)
#define EPT_CAP_INVEPT_ALL   BIT(26)
#define EPT_CAP_INVVPID      BIT(32)
#define EPT_CAP_INVVPID_ONE  BIT(41)
#define EPT_CAP_INVVPID_ALL  BIT(42)
