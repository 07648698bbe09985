// SPDX-License-Identifier: MIT
// What the CPU says of an exit, decoded: a struct of seam.h for each kind (SDM Vol. 3, 28.2). All
// on the core that the vCPU exited on, before it is entered again, its VMCS current.
#pragma once

#include "lib/types.h"
#include "vmx/seam.h"
#include "vmx/vmcs.h"

// Of the instruction that exited, bytes; also for a software exception.
static inline u64 backend_exit_length(void)
{
    return vmread(EXIT_INSTRUCTION_LENGTH);
}

// A linear address: of INVLPG, of a page fault.
static inline u64 backend_exit_address(void)
{
    return vmread(EXIT_QUALIFICATION);
}

// ---- events ------------------------------------------------------------------------------------

// The exception, NMI or external interrupt that made the exit.
static inline struct exit_event backend_exit_event(void)
{
    u32 info = (u32)vmread(EXIT_INTERRUPTION_INFO);
    return (struct exit_event){.info = info, .nmi_unblocked = info & NMI_UNBLOCKED_BY_IRET};
}

static inline u32 backend_exit_event_error(void)
{
    return (u32)vmread(EXIT_INTERRUPTION_ERROR_CODE);
}

// What a #DB would have set in DR6: B0 to B3, BD, BS.
static inline u64 backend_exit_debug_hits(void)
{
    return vmread(EXIT_QUALIFICATION);
}

// The event whose delivery the exit interrupted. Not valid: none.
static inline u32 backend_exit_delivering(void)
{
    return (u32)vmread(IDT_VECTORING_INFO);
}

static inline u32 backend_exit_delivering_error(void)
{
    return (u32)vmread(IDT_VECTORING_ERROR_CODE);
}

// ---- ports -------------------------------------------------------------------------------------

static inline struct exit_port backend_exit_port(void)
{
    u64 q = vmread(EXIT_QUALIFICATION);
    return (struct exit_port){.port = (u16)(q >> 16),
                              .size = (u8)((q & 7) + 1),
                              .in = q & BIT(3),
                              .string = q & BIT(4),
                              .rep = q & BIT(5)};
}

static inline struct exit_port_string backend_exit_port_string(void)
{
    u64 info = vmread(EXIT_INSTRUCTION_INFO);
    return (struct exit_port_string){.address_size = (u8)(2u << (info >> 7 & 7)),
                                     .segment = (enum segment_name)(info >> 15 & 7)};
}

// ---- registers ---------------------------------------------------------------------------------

static inline struct exit_cr backend_exit_cr(void)
{
    u64 q = vmread(EXIT_QUALIFICATION);
    return (struct exit_cr){.number = q & 15,
                            .gpr = q >> 8 & 15,
                            .access = (enum exit_cr_access)(q >> 4 & 3),
                            .word = (u16)(q >> 16)};
}

static inline struct exit_dr backend_exit_dr(void)
{
    u64 q = vmread(EXIT_QUALIFICATION);
    return (struct exit_dr){.number = q & 7, .gpr = q >> 8 & 15, .from = q & BIT(4)};
}

static inline struct exit_random backend_exit_random(void)
{
    u64 info = vmread(EXIT_INSTRUCTION_INFO);
    return (struct exit_random){.gpr = info >> 3 & 15, .size = (u8)(2u << (info >> 11 & 3))};
}

// ---- memory ------------------------------------------------------------------------------------

static inline struct exit_memory backend_exit_memory(void)
{
    return (struct exit_memory){.how = (u32)vmread(EXIT_QUALIFICATION),
                                .gpa = GPA(vmread(GUEST_PHYSICAL_ADDRESS))};
}

// With MEMORY_BY_ADDRESS.
static inline u64 backend_exit_linear_address(void)
{
    return vmread(GUEST_LINEAR_ADDRESS);
}

static inline struct exit_apic backend_exit_apic(void)
{
    u64 q = vmread(EXIT_QUALIFICATION);
    return (struct exit_apic){.offset = q & 0xfff, .access = q >> 12 & 15};
}

// A write to a register of the virtual-APIC page, which stands there already: its offset.
static inline u32 backend_exit_apic_write_offset(void)
{
    return (u32)vmread(EXIT_QUALIFICATION) & 0xfff;
}

// A virtualized EOI's vector.
static inline u8 backend_exit_eoi_vector(void)
{
    return (u8)vmread(EXIT_QUALIFICATION);
}

// ---- descriptor tables -------------------------------------------------------------------------

static inline struct exit_descriptor backend_exit_descriptor(void)
{
    u64 info = vmread(EXIT_INSTRUCTION_INFO);
    return (struct exit_descriptor){.which = info >> 28 & 3,
                                    .in_register = info & BIT(10),
                                    .gpr = info >> 3 & 15,
                                    .base = info >> 23 & 15,
                                    .has_base = !(info & BIT(27)),
                                    .index = info >> 18 & 15,
                                    .has_index = !(info & BIT(22)),
                                    .scale = info & 3,
                                    .address_size = (u8)(2u << (info >> 7 & 7)),
                                    .segment = (enum segment_name)(info >> 15 & 7),
                                    .displacement = vmread(EXIT_QUALIFICATION)};
}
