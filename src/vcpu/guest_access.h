// SPDX-License-Identifier: MIT
// The emulator (x86/emulate.h) at work on a vCPU: its registers, its memory, its devices.
#pragma once

#include "vcpu/vcpu.h"
#include "x86/bits.h"
#include "x86/emulate.h"

struct guest_access {
    struct vcpu *v;
    struct paging_state paging;
    u64 count; // RCX before the instruction
    struct breakpoint_registers breakpoints;
};

// Mode of the code that runs, by CS's L and D, and EFER. The VMCS is current.
static inline enum code_size guest_code_size(void)
{
    u64 access = state_get(STATE_CS_ACCESS);
    if ((access & SEGMENT_LONG) && (state_get(STATE_EFER) & EFER_LMA))
        return CODE_64;
    return access & SEGMENT_BIG ? CODE_32 : CODE_16;
}

static inline unsigned guest_cpl(void)
{
    return state_get(STATE_SS_ACCESS) >> 5 & 3;
}

// Makes *e, and *a behind it, for one instruction of v; its VMCS is current.
void guest_access_begin(struct vcpu *v, struct emulation *e, struct guest_access *a);

// The same, and *i, the instruction at RIP, valid until another is fetched. ERR_BUSY: its page is
// gone; ERR_INVALID: it is undefined; others: it is longer than 15 bytes.
enum error guest_access_fetch(struct vcpu *v, struct emulation *e, struct guest_access *a,
                              const struct instruction **i);

// Puts into effect what emulate() came to: registers, RIP past the instruction, or an exception.
// address: of the device, for the record when the instruction is none that we can carry out.
void guest_access_finish(struct vcpu *v, struct emulation *e, enum emulate_status status,
                         u64 address);
