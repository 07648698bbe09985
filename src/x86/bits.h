// SPDX-License-Identifier: MIT
// Bits of the registers that every x86 CPU has, each once, for C and for assembly (SDM Vol.
// 1, 3.4.3; Vol. 3, 2.2, 2.5, 3.4, 4.7, 18.2).
#pragma once

#ifdef __ASSEMBLER__
#define BIT(n) (1 << (n))
#else
#include "lib/types.h"
#endif

// CR0 (SDM Vol. 3, 2.5).
#define CR0_PE BIT(0)
#define CR0_MP BIT(1)
#define CR0_EM BIT(2)
#define CR0_TS BIT(3)
#define CR0_ET BIT(4)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_AM BIT(18)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)

// CR4 (SDM Vol. 3, 2.5).
#define CR4_VME        BIT(0)
#define CR4_PVI        BIT(1)
#define CR4_TSD        BIT(2)
#define CR4_DE         BIT(3)
#define CR4_PSE        BIT(4)
#define CR4_PAE        BIT(5)
#define CR4_MCE        BIT(6)
#define CR4_PGE        BIT(7)
#define CR4_PCE        BIT(8)
#define CR4_OSFXSR     BIT(9)
#define CR4_OSXMMEXCPT BIT(10)
#define CR4_UMIP       BIT(11)
#define CR4_LA57       BIT(12)
#define CR4_VMXE       BIT(13)
#define CR4_SMXE       BIT(14)
#define CR4_FSGSBASE   BIT(16)
#define CR4_PCIDE      BIT(17)
#define CR4_OSXSAVE    BIT(18)
#define CR4_SMEP       BIT(20)
#define CR4_SMAP       BIT(21)
#define CR4_PKE        BIT(22)
#define CR4_CET        BIT(23)

// IA32_EFER (SDM Vol. 3, 2.2.1).
#define EFER_SCE BIT(0)
#define EFER_LME BIT(8)
#define EFER_LMA BIT(10)
#define EFER_NXE BIT(11)

// RFLAGS (SDM Vol. 1, 3.4.3).
#define RFLAGS_CF    BIT(0)
#define RFLAGS_FIXED BIT(1)
#define RFLAGS_PF    BIT(2)
#define RFLAGS_AF    BIT(4)
#define RFLAGS_ZF    BIT(6)
#define RFLAGS_SF    BIT(7)
#define RFLAGS_TF    BIT(8)
#define RFLAGS_IF    BIT(9)
#define RFLAGS_DF    BIT(10)
#define RFLAGS_OF    BIT(11)
#define RFLAGS_IOPL  (BIT(12) | BIT(13))
#define RFLAGS_NT    BIT(14)
#define RFLAGS_RF    BIT(16)
#define RFLAGS_VM    BIT(17)
#define RFLAGS_AC    BIT(18)
#define RFLAGS_ID    BIT(21)

// DR6 and DR7 (SDM Vol. 3, 18.2.3, 18.2.4).
#define DR6_HITS    0xful   // B0 to B3
#define DR6_ENABLED BIT(12) // in pending debug exceptions: a hit is of an enabled breakpoint
#define DR6_BD      BIT(13)
#define DR6_BS      BIT(14)
#define DR6_BT      BIT(15)
#define DR6_RESET   0xffff0ff0ul
#define DR7_ENABLED 0xfful // L0, G0 to L3, G3
#define DR7_FIXED   BIT(10)
#define DR7_GD      BIT(13)

// IA32_DEBUGCTL (SDM Vol. 3, 18.4.1).
#define DEBUGCTL_LBR BIT(0)
#define DEBUGCTL_BTF BIT(1)

// IA32_APIC_BASE (SDM Vol. 3, 11.4.4), and the address after a reset.
#define APIC_BASE_BSP   BIT(8)
#define APIC_BASE_EXTD  BIT(10)
#define APIC_BASE_EN    BIT(11)
#define APIC_BASE_RESET 0xfee00000ul

// A segment's access rights: bits 8 and up of the second word of its descriptor, with an "unusable"
// bit for a register that holds none (SDM Vol. 3, 3.4.5, 25.4.1).
#define SEGMENT_ACCESSED     BIT(0)
#define SEGMENT_WRITABLE     BIT(1) // of data
#define SEGMENT_READABLE     BIT(1) // of code
#define SEGMENT_EXPANDS_DOWN BIT(2) // of data
#define SEGMENT_CONFORMING   BIT(2) // of code
#define SEGMENT_CODE         BIT(3)
#define SEGMENT_NOT_SYSTEM   BIT(4)
#define SEGMENT_DPL(access)  ((access) >> 5 & 3)
#define SEGMENT_PRESENT      BIT(7)
#define SEGMENT_LONG         BIT(13)
#define SEGMENT_BIG          BIT(14)
#define SEGMENT_GRANULAR     BIT(15)
#define SEGMENT_UNUSABLE     BIT(16)

// Bits of a PDPTE of PAE paging that must be clear when it is present, beside those beyond the
// physical-address width (SDM Vol. 3, 4.4.1).
#define PDPTE_RESERVED 0x1e6ul

// A selector (SDM Vol. 3, 3.4.2).
#define SELECTOR_RPL(s) ((s)&3u)
#define SELECTOR_LDT    BIT(2)

// The error code of a #PF (SDM Vol. 3, 4.7).
#define PF_PRESENT  BIT(0)
#define PF_WRITE    BIT(1)
#define PF_USER     BIT(2)
#define PF_RESERVED BIT(3)
#define PF_FETCH    BIT(4)

// What keeps interrupts and debug traps away for an instruction, and NMIs until IRET, in the layout
// of the guest's interruptibility state (SDM Vol. 3, 25.4.2).
#define BLOCKING_BY_STI    BIT(0)
#define BLOCKING_BY_MOV_SS BIT(1)
#define BLOCKING_BY_SMI    BIT(2)
#define BLOCKING_BY_NMI    BIT(3)
