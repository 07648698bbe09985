// SPDX-License-Identifier: MIT
// What registers can hold, for values that do not come from an instruction of the guest: whatever a
// CPU would refuse with #GP, or a VM entry. Pure.
#pragma once

#include "lib/format.h"
#include "lib/types.h"
#include "x86/bits.h"
#include "x86/registers.h"

#define CR0_DEFINED                                                                            \
    (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | \
     CR0_PG)
#define EFER_DEFINED    (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)
#define RFLAGS_RESERVED (~0x3f7fd7ul)

// What a VM's CPU has.
struct regs_limits {
    u64 cr4;  // bits that may be set
    u64 xcr0; // the same; 0: no XSAVE
    unsigned maxphyaddr;
    u32 mxcsr_mask; // bits that may be set
};

// Whether a vCPU that has the registers `old` can have `r`. ERR_INVALID: why says which register,
// by gdb's name for it, its value and the rule. Segment registers are looked at as a VM entry does
// (SDM 27.3.1.2); of what one instruction must not change at a time, the two are compared.
enum error regs_check(const struct vcpu_regs *old, const struct vcpu_regs *r,
                      const struct regs_limits *l, struct text *why);

// The same for vector state, an XSAVE area in standard format (SDM Vol. 1, 13.8).
enum error regs_check_fpu(const void *area, const struct regs_limits *l, struct text *why);

// A rule that a segment register breaks, and by which field.
struct segment_fault {
    enum segment_field { SEGMENT_SELECTOR, SEGMENT_BASE, SEGMENT_LIMIT, SEGMENT_ACCESS } field;
    const char *rule;
};

// What the rules for segment registers depend on.
struct segment_mode {
    bool v8086, protected, long_mode;
    u32 cs_access, ss_access;
};

// The rules of SDM 27.3.1.2 for a segment register (unrestricted guest). ERR_INVALID: *fault has
// the first that it breaks.
enum error regs_check_segment(enum segment_name n, const struct segment *s,
                              const struct segment_mode *mode, struct segment_fault *fault);

// Whether XSETBV takes the value (SDM Vol. 1, 13.3), of the bits that may be set.
bool xcr0_ok(u64 value, u64 allowed);

// Whether WRMSR takes the value for an MSR that the guest has without an exit, or that a switch
// loads; EFER is compared with what is there.
bool msr_value_ok(u32 msr, u64 value, u64 efer, u64 cr0);

// What keeps traps and interrupts away for an instruction, or has them come after one (SDM 25.4.2,
// 27.3.1.5).
struct interruptibility {
    u64 blocking, pending_debug;
    bool halted; // by the activity state
};

// How that is to be after RIP or RFLAGS were written: what the instruction before has left goes
// with RIP, blocking by STI with IF, and a single-step trap is due if TF says so.
void regs_settle(const struct vcpu_regs *old, const struct vcpu_regs *r,
                 struct interruptibility *i);
