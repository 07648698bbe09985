// SPDX-License-Identifier: MIT
// Model-specific registers by number (SDM Vol. 4), each once, for C and for assembly. Those of
// VMX's capabilities are in vmx/caps.c, their only reader.
#pragma once

#define MSR_P5_MC_ADDR           0x0
#define MSR_P5_MC_TYPE           0x1
#define MSR_IA32_TSC             0x10
#define MSR_IA32_PLATFORM_ID     0x17
#define MSR_IA32_APIC_BASE       0x1b
#define MSR_IA32_FEATURE_CONTROL 0x3a
#define MSR_IA32_TSC_ADJUST      0x3b
#define MSR_IA32_BIOS_UPDT_TRIG  0x79
#define MSR_IA32_BIOS_SIGN_ID    0x8b
#define MSR_PLATFORM_INFO        0xce
#define MSR_IA32_MTRRCAP         0xfe
#define MSR_MISC_FEATURE_ENABLES 0x140
#define MSR_IA32_SYSENTER_CS     0x174
#define MSR_IA32_SYSENTER_ESP    0x175
#define MSR_IA32_SYSENTER_EIP    0x176
#define MSR_IA32_MCG_CAP         0x179
#define MSR_IA32_MCG_STATUS      0x17a
#define MSR_IA32_MCG_CTL         0x17b
#define MSR_IA32_PERF_STATUS     0x198
#define MSR_IA32_MISC_ENABLE     0x1a0
#define MSR_IA32_DEBUGCTL        0x1d9
#define MSR_LASTBRANCHFROMIP     0x1db
#define MSR_LASTINTTOIP          0x1de
#define MSR_IA32_MTRR_PHYSBASE0  0x200
#define MSR_IA32_MTRR_PHYSMASK7  0x20f
#define MSR_IA32_PAT             0x277
#define MSR_IA32_MTRR_DEF_TYPE   0x2ff
#define MSR_IA32_TSC_DEADLINE    0x6e0
#define MSR_IA32_X2APIC          0x800
#define MSR_IA32_X2APIC_ICR      0x830
#define MSR_IA32_X2APIC_LAST     0x8ff
#define MSR_IA32_XSS             0xda0
#define MSR_EFER                 0xc0000080
#define MSR_STAR                 0xc0000081
#define MSR_LSTAR                0xc0000082
#define MSR_CSTAR                0xc0000083
#define MSR_FMASK                0xc0000084
#define MSR_FS_BASE              0xc0000100
#define MSR_GS_BASE              0xc0000101
#define MSR_KERNEL_GS_BASE       0xc0000102
#define MSR_TSC_AUX              0xc0000103
