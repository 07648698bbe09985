// SPDX-License-Identifier: MIT
// The checks that a VM entry makes on controls, host and guest state (SDM Vol. 3, 27.2 and 27.3),
// in software: so that a refused entry names the field and the rule. Pure: what is looked at comes
// from a reader. Not here: what depends on more than the VMCS and what it points to (SMM, processor
// trace that is on), and PDPTEs in memory, as guests with PAE paging have EPT.
#pragma once

#include "vmx/caps.h"
#include "vmx/vmcs.h"

struct entry_check {
    // What is looked at. A field is read when the controls say that the CPU has it. read_physical
    // gives the 4 bytes of memory at an aligned address, which has passed its own rules.
    u64 (*read)(enum vmcs_field field);
    u32 (*read_physical)(u64 address);
    const struct vmx_caps *caps; // of the CPU
    unsigned maxphyaddr;         // bits of a physical address
    u64 vmcs;                    // the VMCS's own physical address

    // The first rule that is broken, in words, the field that breaks it, and its value. NULL: none.
    const char *rule;
    enum vmcs_field field;
    u64 value;

    // While it is looked at: the VMCS's controls (secondary: 0 unless activated), and the event to
    // be injected (0: none).
    struct vmx_controls controls;
    u64 event;
};

// Looks at all, in the SDM's order; at guest state (27.3) alone. Anyone; the reader has its own
// conditions.
void entry_check(struct entry_check *c);
void entry_check_guest(struct entry_check *c);
