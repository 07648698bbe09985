// SPDX-License-Identifier: MIT
// What the CPU says of an exit, decoded: a struct for each kind (SDM Vol. 3, 28.2). All on the core
// that the vCPU exited on, before it is entered again, its VMCS current.
#pragma once

#include "lib/types.h"
#include "vmx/vmcs.h"
#include "vmx/vmcs_formats.h"
#include "x86/registers.h"

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

// An event as in enum event_type and the bits beside it; which is also how it is injected.
struct exit_event {
    u32 info;
    bool nmi_unblocked; // the instruction was an IRET that had just ended blocking by NMI
};

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

struct exit_port {
    u16 port;
    u8 size; // 1, 2, 4
    bool in, string, rep;
};

static inline struct exit_port backend_exit_port(void)
{
    u64 q = vmread(EXIT_QUALIFICATION);
    return (struct exit_port){.port = (u16)(q >> 16),
                              .size = (u8)((q & 7) + 1),
                              .in = q & BIT(3),
                              .string = q & BIT(4),
                              .rep = q & BIT(5)};
}

// Of INS and OUTS beside that (SDM Table 28-9).
struct exit_port_string {
    u8 address_size;           // bytes
    enum segment_name segment; // of OUTS
};

static inline struct exit_port_string backend_exit_port_string(void)
{
    u64 info = vmread(EXIT_INSTRUCTION_INFO);
    return (struct exit_port_string){.address_size = (u8)(2u << (info >> 7 & 7)),
                                     .segment = (enum segment_name)(info >> 15 & 7)};
}

// ---- registers ---------------------------------------------------------------------------------

// MOV to and from a control register, CLTS, LMSW (SDM Table 28-3).
enum exit_cr_access { CR_TO, CR_FROM, CR_CLTS, CR_LMSW };

struct exit_cr {
    u8 number, gpr; // gpr: of MOV
    enum exit_cr_access access;
    u16 word; // LMSW's
};

static inline struct exit_cr backend_exit_cr(void)
{
    u64 q = vmread(EXIT_QUALIFICATION);
    return (struct exit_cr){.number = q & 15,
                            .gpr = q >> 8 & 15,
                            .access = (enum exit_cr_access)(q >> 4 & 3),
                            .word = (u16)(q >> 16)};
}

// MOV to and from a debug register (SDM Table 28-4).
struct exit_dr {
    u8 number, gpr;
    bool from;
};

static inline struct exit_dr backend_exit_dr(void)
{
    u64 q = vmread(EXIT_QUALIFICATION);
    return (struct exit_dr){.number = q & 7, .gpr = q >> 8 & 15, .from = q & BIT(4)};
}

// RDRAND and RDSEED (SDM Table 28-12).
struct exit_random {
    u8 gpr, size; // bytes
};

static inline struct exit_random backend_exit_random(void)
{
    u64 info = vmread(EXIT_INSTRUCTION_INFO);
    return (struct exit_random){.gpr = info >> 3 & 15, .size = (u8)(2u << (info >> 11 & 3))};
}

// ---- memory ------------------------------------------------------------------------------------

// An access that the EPT does not allow (SDM Table 28-7). The bits of `how` are the SDM's.
enum exit_memory_how {
    MEMORY_READ = 1 << 0,
    MEMORY_WRITE = 1 << 1,
    MEMORY_FETCH = 1 << 2,
    MEMORY_BY_ADDRESS = 1 << 7, // of a linear address: by an instruction, its fetch, or an event
    MEMORY_TRANSLATED = 1 << 8, // with it: to what that translates to, not to a paging structure
    MEMORY_NMI_UNBLOCKED = 1 << 12, // as in struct exit_event
};

struct exit_memory {
    gpa_t gpa;
    u32 how; // enum exit_memory_how
};

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

// An access to the page of the xAPIC (SDM Table 28-6).
enum exit_apic_access { APIC_ACCESS_READ, APIC_ACCESS_WRITE, APIC_ACCESS_FETCH };

struct exit_apic {
    u16 offset;
    u8 access; // enum exit_apic_access, or another: not by an instruction
};

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

// SGDT, SIDT, LGDT, LIDT; SLDT, STR, LLDT, LTR (SDM Tables 28-10, 28-11).
struct exit_descriptor {
    u8 which;         // in the order above
    bool in_register; // of SLDT and STR: gpr
    u8 gpr, base, index, scale;
    bool has_base, has_index;
    u8 address_size; // bytes
    enum segment_name segment;
    u64 displacement;
};

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
