// SPDX-License-Identifier: MIT
// What a debugger may do with a vCPU. Nothing here knows the remote protocol.
//
// A vCPU that is held does not run until it is let go; only a held vCPU's registers may be read or
// written. Each function may be called on any core, in root mode: it asks the core that the vCPU
// belongs to and waits for the answer.
#pragma once

#include "lib/error.h"
#include "lib/format.h"
#include "lib/types.h"
#include "x86/registers.h"

struct vcpu;

// Holds: when this returns the vCPU is outside the guest and stays there. Holding twice counts
// once. Interrupts that arrive meanwhile stay pending.
void vcpu_hold(struct vcpu *v);

// Lets a held vCPU run. With step, it stops again after one instruction (monitor trap flag) with
// DEBUG_STEP, and takes no interrupt before it when mask_interrupts is set.
void vcpu_let_go(struct vcpu *v, bool step, bool mask_interrupts);

bool vcpu_is_held(const struct vcpu *v);

void vcpu_read_regs(struct vcpu *v, struct vcpu_regs *out);

// Writes what differs from the present state. Where RIP or RFLAGS is written, blocking by STI and
// MOV SS and pending debug exceptions follow. ERR_INVALID, and nothing is changed, when no CPU can
// have the new state or a VM entry would refuse it (SDM 27.3.1): `why` gets register, value and
// rule.
enum error vcpu_write_regs(struct vcpu *v, const struct vcpu_regs *in, struct text *why);

// The vector state as an XSAVE area of FPU_STATE_SIZE bytes, aligned to 64. XSTATE_BV says which
// parts are not in their initial state. ERR_INVALID: as above.
void vcpu_read_fpu(struct vcpu *v, void *area);
enum error vcpu_write_fpu(struct vcpu *v, const void *area, struct text *why);

// Gives the four debug registers to the debugger (bit i of dr7 as in SDM 18.2.4), or back to the
// guest with dr7 = 0. While the debugger has them the guest's own values are kept and shown to it.
void vcpu_set_breakpoint_registers(struct vcpu *v, const u64 dr[4], u64 dr7);

// While set, #BP exits go to the hook below.
void vcpu_catch_breakpoints(struct vcpu *v, bool on);

// Puts a #BP (or other exception) into the guest as if it had raised it at the present rip;
// instruction_length is that of the INT3 for #BP, else 0.
void vcpu_inject_exception(struct vcpu *v, u8 vector, bool has_error, u32 error_code,
                           u32 instruction_length);

enum debug_event {
    DEBUG_STEP,       // one instruction done
    DEBUG_BREAKPOINT, // #BP: rip is at the INT3
    DEBUG_REGISTER,   // #DB by the debugger's own debug registers; dr6 says which
    DEBUG_INTERCEPT,  // an item of src/intercept/intercept.h with `stop`: rip is at the instruction
    DEBUG_ENDED,      // the VM ended or started again (no vCPU need be held)
};

// Registered by the debugger. Runs on the vCPU's core in root mode; must be quick and must not
// wait for another core. Returns true to hold the vCPU here, false to let it go on (after a false
// for DEBUG_BREAKPOINT the guest gets its #BP).
struct debug_hooks {
    bool (*event)(struct vcpu *v, enum debug_event event, u64 dr6);
};
extern const struct debug_hooks *debug_hooks;
