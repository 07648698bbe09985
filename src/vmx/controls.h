// SPDX-License-Identifier: MIT
// Bits of the VM-execution, VM-exit and VM-entry controls (SDM Vol. 3, 25.6 to 25.8) as tables that
// give each its name: CONTROL(name, bit).
#pragma once

#include "lib/types.h"

#define PIN_CONTROLS(CONTROL)                                                                      \
    CONTROL(PIN_EXTERNAL_INTERRUPT_EXITING, 0)                                                     \
    CONTROL(PIN_NMI_EXITING, 3)                                                                    \
    CONTROL(PIN_VIRTUAL_NMIS, 5)                                                                   \
    CONTROL(PIN_PREEMPTION_TIMER, 6)                                                               \
    CONTROL(PIN_POSTED_INTERRUPTS, 7)

#define PRIMARY_CONTROLS_TABLE(CONTROL)                                                            \
    CONTROL(PRIMARY_INTERRUPT_WINDOW, 2)                                                           \
    CONTROL(PRIMARY_TSC_OFFSETTING, 3)                                                             \
    CONTROL(PRIMARY_HLT_EXITING, 7)                                                                \
    CONTROL(PRIMARY_INVLPG_EXITING, 9)                                                             \
    CONTROL(PRIMARY_MWAIT_EXITING, 10)                                                             \
    CONTROL(PRIMARY_RDPMC_EXITING, 11)                                                             \
    CONTROL(PRIMARY_RDTSC_EXITING, 12)                                                             \
    CONTROL(PRIMARY_CR3_LOAD_EXITING, 15)                                                          \
    CONTROL(PRIMARY_CR3_STORE_EXITING, 16)                                                         \
    CONTROL(PRIMARY_TERTIARY, 17)                                                                  \
    CONTROL(PRIMARY_CR8_LOAD_EXITING, 19)                                                          \
    CONTROL(PRIMARY_CR8_STORE_EXITING, 20)                                                         \
    CONTROL(PRIMARY_TPR_SHADOW, 21)                                                                \
    CONTROL(PRIMARY_NMI_WINDOW, 22)                                                                \
    CONTROL(PRIMARY_MOV_DR_EXITING, 23)                                                            \
    CONTROL(PRIMARY_UNCONDITIONAL_IO, 24)                                                          \
    CONTROL(PRIMARY_IO_BITMAPS, 25)                                                                \
    CONTROL(PRIMARY_MONITOR_TRAP_FLAG, 27)                                                         \
    CONTROL(PRIMARY_MSR_BITMAPS, 28)                                                               \
    CONTROL(PRIMARY_MONITOR_EXITING, 29)                                                           \
    CONTROL(PRIMARY_PAUSE_EXITING, 30)                                                             \
    CONTROL(PRIMARY_SECONDARY, 31)

#define SECONDARY_CONTROLS_TABLE(CONTROL)                                                          \
    CONTROL(SECONDARY_APIC_ACCESSES, 0)                                                            \
    CONTROL(SECONDARY_EPT, 1)                                                                      \
    CONTROL(SECONDARY_DESCRIPTOR_TABLE_EXITING, 2)                                                 \
    CONTROL(SECONDARY_RDTSCP, 3)                                                                   \
    CONTROL(SECONDARY_X2APIC, 4)                                                                   \
    CONTROL(SECONDARY_VPID, 5)                                                                     \
    CONTROL(SECONDARY_WBINVD_EXITING, 6)                                                           \
    CONTROL(SECONDARY_UNRESTRICTED_GUEST, 7)                                                       \
    CONTROL(SECONDARY_APIC_REGISTERS, 8)                                                           \
    CONTROL(SECONDARY_VIRTUAL_INTERRUPT_DELIVERY, 9)                                               \
    CONTROL(SECONDARY_PAUSE_LOOP_EXITING, 10)                                                      \
    CONTROL(SECONDARY_RDRAND_EXITING, 11)                                                          \
    CONTROL(SECONDARY_INVPCID, 12)                                                                 \
    CONTROL(SECONDARY_VMFUNC, 13)                                                                  \
    CONTROL(SECONDARY_VMCS_SHADOWING, 14)                                                          \
    CONTROL(SECONDARY_ENCLS_EXITING, 15)                                                           \
    CONTROL(SECONDARY_RDSEED_EXITING, 16)                                                          \
    CONTROL(SECONDARY_PML, 17)                                                                     \
    CONTROL(SECONDARY_EPT_VIOLATION_VE, 18)                                                        \
    CONTROL(SECONDARY_CONCEAL_FROM_PT, 19)                                                         \
    CONTROL(SECONDARY_XSAVES, 20)                                                                  \
    CONTROL(SECONDARY_MODE_BASED_EXECUTE, 22)                                                      \
    CONTROL(SECONDARY_SUB_PAGE_WRITE, 23)                                                          \
    CONTROL(SECONDARY_PT_GUEST_PHYSICAL, 24)                                                       \
    CONTROL(SECONDARY_TSC_SCALING, 25)                                                             \
    CONTROL(SECONDARY_USER_WAIT_PAUSE, 26)                                                         \
    CONTROL(SECONDARY_ENCLV_EXITING, 28)

#define EXIT_CONTROLS_TABLE(CONTROL)                                                               \
    CONTROL(EXIT_SAVE_DEBUG_CONTROLS, 2)                                                           \
    CONTROL(EXIT_HOST_64BIT, 9)                                                                    \
    CONTROL(EXIT_LOAD_PERF_GLOBAL_CTRL, 12)                                                        \
    CONTROL(EXIT_ACKNOWLEDGE_INTERRUPT, 15)                                                        \
    CONTROL(EXIT_SAVE_PAT, 18)                                                                     \
    CONTROL(EXIT_LOAD_PAT, 19)                                                                     \
    CONTROL(EXIT_SAVE_EFER, 20)                                                                    \
    CONTROL(EXIT_LOAD_EFER, 21)                                                                    \
    CONTROL(EXIT_SAVE_PREEMPTION_TIMER, 22)

#define ENTRY_CONTROLS_TABLE(CONTROL)                                                              \
    CONTROL(ENTRY_LOAD_DEBUG_CONTROLS, 2)                                                          \
    CONTROL(ENTRY_IA32E_GUEST, 9)                                                                  \
    CONTROL(ENTRY_TO_SMM, 10)                                                                      \
    CONTROL(ENTRY_DEACTIVATE_DUAL_MONITOR, 11)                                                     \
    CONTROL(ENTRY_LOAD_PERF_GLOBAL_CTRL, 13)                                                       \
    CONTROL(ENTRY_LOAD_PAT, 14)                                                                    \
    CONTROL(ENTRY_LOAD_EFER, 15)

#define CONTROL_ENUM(name, bit) name = (int)(1u << (bit)),
enum pin_control { PIN_CONTROLS(CONTROL_ENUM) };
enum primary_control { PRIMARY_CONTROLS_TABLE(CONTROL_ENUM) };
enum secondary_control { SECONDARY_CONTROLS_TABLE(CONTROL_ENUM) };
enum exit_control { EXIT_CONTROLS_TABLE(CONTROL_ENUM) };
enum entry_control { ENTRY_CONTROLS_TABLE(CONTROL_ENUM) };
#undef CONTROL_ENUM
