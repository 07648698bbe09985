// SPDX-License-Identifier: MIT
// Basic exit reasons (SDM Vol. 3, appendix C): REASON(name, number).
#pragma once

#define EXIT_REASON_TABLE(REASON)           \
    REASON(EXCEPTION_OR_NMI, 0)             \
    REASON(EXTERNAL_INTERRUPT, 1)           \
    REASON(TRIPLE_FAULT, 2)                 \
    REASON(INIT_SIGNAL, 3)                  \
    REASON(SIPI, 4)                         \
    REASON(IO_SMI, 5)                       \
    REASON(OTHER_SMI, 6)                    \
    REASON(INTERRUPT_WINDOW, 7)             \
    REASON(NMI_WINDOW, 8)                   \
    REASON(TASK_SWITCH, 9)                  \
    REASON(CPUID, 10)                       \
    REASON(GETSEC, 11)                      \
    REASON(HLT, 12)                         \
    REASON(INVD, 13)                        \
    REASON(INVLPG, 14)                      \
    REASON(RDPMC, 15)                       \
    REASON(RDTSC, 16)                       \
    REASON(RSM, 17)                         \
    REASON(VMCALL, 18)                      \
    REASON(VMCLEAR, 19)                     \
    REASON(VMLAUNCH, 20)                    \
    REASON(VMPTRLD, 21)                     \
    REASON(VMPTRST, 22)                     \
    REASON(VMREAD, 23)                      \
    REASON(VMRESUME, 24)                    \
    REASON(VMWRITE, 25)                     \
    REASON(VMXOFF, 26)                      \
    REASON(VMXON, 27)                       \
    REASON(CR_ACCESS, 28)                   \
    REASON(MOV_DR, 29)                      \
    REASON(IO_INSTRUCTION, 30)              \
    REASON(RDMSR, 31)                       \
    REASON(WRMSR, 32)                       \
    REASON(ENTRY_FAILURE_GUEST_STATE, 33)   \
    REASON(ENTRY_FAILURE_MSR_LOADING, 34)   \
    REASON(MWAIT, 36)                       \
    REASON(MONITOR_TRAP_FLAG, 37)           \
    REASON(MONITOR, 39)                     \
    REASON(PAUSE, 40)                       \
    REASON(ENTRY_FAILURE_MACHINE_CHECK, 41) \
    REASON(TPR_BELOW_THRESHOLD, 43)         \
    REASON(APIC_ACCESS, 44)                 \
    REASON(VIRTUALIZED_EOI, 45)             \
    REASON(GDTR_IDTR_ACCESS, 46)            \
    REASON(LDTR_TR_ACCESS, 47)              \
    REASON(EPT_VIOLATION, 48)               \
    REASON(EPT_MISCONFIGURATION, 49)        \
    REASON(INVEPT, 50)                      \
    REASON(RDTSCP, 51)                      \
    REASON(PREEMPTION_TIMER, 52)            \
    REASON(INVVPID, 53)                     \
    REASON(WBINVD, 54)                      \
    REASON(XSETBV, 55)                      \
    REASON(APIC_WRITE, 56)                  \
    REASON(RDRAND, 57)                      \
    REASON(INVPCID, 58)                     \
    REASON(VMFUNC, 59)                      \
    REASON(ENCLS, 60)                       \
    REASON(RDSEED, 61)                      \
    REASON(PML_FULL, 62)                    \
    REASON(XSAVES, 63)                      \
    REASON(XRSTORS, 64)                     \
    REASON(PCONFIG, 65)                     \
    REASON(SPP_EVENT, 66)                   \
    REASON(UMWAIT, 67)                      \
    REASON(TPAUSE, 68)                      \
    REASON(LOADIWKEY, 69)                   \
    REASON(ENCLV, 70)                       \
    REASON(ENQCMD_PASID, 72)                \
    REASON(ENQCMDS_PASID, 73)               \
    REASON(BUS_LOCK, 74)                    \
    REASON(INSTRUCTION_TIMEOUT, 75)         \
    REASON(SEAMCALL, 76)                    \
    REASON(TDCALL, 77)

#define EXIT_REASON_ENUM(name, number) EXIT_REASON_##name = (number),
enum exit_reason { EXIT_REASON_TABLE(EXIT_REASON_ENUM) EXIT_REASONS };
#undef EXIT_REASON_ENUM

#define EXIT_REASON_ENTRY_FAILURE (1u << 31)

// The SDM's name, or "unknown".
const char *exit_reason_name(unsigned reason);
