// SPDX-License-Identifier: MIT
// What both sides of the seam name, whatever the back end is: what a vCPU is to exit for, what an
// exit is told as, and what a back end calls of the room above. backend.h includes it.
#pragma once

#include "lib/types.h"
#include "vmx/exit_reasons.h"
#include "vmx/vmcs_formats.h"
#include "x86/registers.h"

// ---- what it exits for --------------------------------------------------------------------------

// Instructions that a vCPU is to exit at, or is not, beside what the back end needs itself.
enum catch {
    CATCH_HLT = 1 << 0,
    CATCH_PAUSE = 1 << 1,
    CATCH_PAUSE_LOOP = 1 << 2,
    CATCH_CR3_STORE = 1 << 3,
    CATCH_CR3_LOAD = 1 << 4,
    CATCH_CR8_STORE = 1 << 5,
    CATCH_CR8_LOAD = 1 << 6,
    CATCH_RDTSC = 1 << 7, // and RDTSCP
    CATCH_RDPMC = 1 << 8,
    CATCH_RDRAND = 1 << 9,
    CATCH_RDSEED = 1 << 10,
    CATCH_INVLPG = 1 << 11, // and INVPCID
    CATCH_MONITOR = 1 << 12,
    CATCH_MWAIT = 1 << 13,
    CATCH_WBINVD = 1 << 14,
    CATCH_DESCRIPTOR_TABLES = 1 << 15,
    CATCH_MOV_DR = 1 << 16,
    CATCH_ALL_PORTS = 1 << 17, // whatever the I/O bitmap says
};
#define CATCHES          18
#define CATCH_CR3_VALUES 4u

struct backend_catches {
    u32 caught, free;      // bits of enum catch; what is free does not exit, whoever wants it
    u32 exceptions;        // bit n: vector n
    u32 pf_mask, pf_match; // of a #PF, those whose error code has pf_match at pf_mask
    u64 cr0, cr4;          // bits whose change exits, beside the host's
    unsigned cr3_values;   // loads of these do not exit
    u64 cr3_value[CATCH_CR3_VALUES];
    u64 pause_gap, pause_window; // ticks (SDM 25.6.13); 0: as the hypervisor has them
};

// What is wished of a vCPU beside that, and may change at each entry.
struct backend_wishes {
    u32 free;         // bits of enum catch, for the instruction that is stepped over
    bool step;        // it exits after one instruction
    bool alone;       // and nothing is delivered to it before that
    bool mov_dr;      // MOV DR exits
    bool breakpoints; // #BP exits
    bool interrupt_window, nmi_window; // it exits when an interrupt, an NMI could be delivered
};

// ---- life ---------------------------------------------------------------------------------------

#define IO_BITMAP_SIZE (2 * PAGE_SIZE)

// Of its VM, what a vCPU's state needs when it is made or reset.
struct backend_vm {
    u8 *io_bitmap; // IO_BITMAP_SIZE bytes: a port's bit has it exit
    u64 cr4_allowed;
    unsigned maxphyaddr;
    bool one_vcpu;
};

// ---- guest state --------------------------------------------------------------------------------

// GDTR, IDTR.
enum state_table { STATE_GDTR, STATE_IDTR };

// How accesses to its local APIC are virtualized.
enum apicv_accesses {
    APICV_TRAPPED,     // EPT violations and exits of RDMSR and WRMSR
    APICV_ACCESS_PAGE, // an xAPIC whose registers are at the access page
    APICV_X2APIC,      // MSRs that the MSR bitmap lets through
};

// ---- exits --------------------------------------------------------------------------------------

// An event as in enum event_type and the bits beside it; which is also how it is injected.
struct exit_event {
    u32 info;
    bool nmi_unblocked; // the instruction was an IRET that had just ended blocking by NMI
};

// IN, OUT, INS, OUTS (SDM Table 28-5).
struct exit_port {
    u16 port;
    u8 size; // 1, 2, 4
    bool in, string, rep;
};

// Of INS and OUTS beside that (SDM Table 28-9).
struct exit_port_string {
    u8 address_size;           // bytes
    enum segment_name segment; // of OUTS
};

// MOV to and from a control register, CLTS, LMSW (SDM Table 28-3).
enum exit_cr_access { CR_TO, CR_FROM, CR_CLTS, CR_LMSW };

struct exit_cr {
    u8 number, gpr; // gpr: of MOV
    enum exit_cr_access access;
    u16 word; // LMSW's
};

// MOV to and from a debug register (SDM Table 28-4).
struct exit_dr {
    u8 number, gpr;
    bool from;
};

// RDRAND and RDSEED (SDM Table 28-12).
struct exit_random {
    u8 gpr, size; // bytes
};

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

// An access to the page of the xAPIC (SDM Table 28-6).
enum exit_apic_access { APIC_ACCESS_READ, APIC_ACCESS_WRITE, APIC_ACCESS_FETCH };

struct exit_apic {
    u16 offset;
    u8 access; // enum exit_apic_access, or another: not by an instruction
};

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

// ---- running ------------------------------------------------------------------------------------

// Runs the core's vCPUs without end. entry.S, which calls what follows: the room above has it.
NORETURN void vmm_loop(void);

struct vcpu; // its first member is the struct backend_vcpu

// Whenever a core is not to go back to its guest at once: the vCPU to be entered, loaded.
struct vcpu *vmm_next(void);

// What becomes of an exit, by its reason; of one with a reason not below v->run.plain_reasons.
typedef void exit_handler(struct vcpu *v);
extern exit_handler *const exit_handlers[EXIT_REASONS];
void vcpu_special_exit(struct vcpu *v);

// Something is requested of v or its core before the next entry. True: it is seen to; false: that
// is for vmm_next().
bool vcpu_requested(struct vcpu *v);

// The core's deadline has passed, or there is no preemption timer to tell. True: enter; false: look
// round once more. vcpu_withdraw(): that entry does not come.
bool vcpu_deadline(struct vcpu *v);
void vcpu_withdraw(struct vcpu *v);

// The entry was refused; why: in words.
void vcpu_entry_failed(struct vcpu *v, const char *why);
