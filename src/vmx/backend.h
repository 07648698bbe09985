// SPDX-License-Identifier: MIT
// The seam between a virtual CPU (src/vcpu), whatever runs it, and VMX.
#pragma once

#include "vmx/caps.h"
#include "vmx/exit_reasons.h"
#include "vmx/vmcs.h"
#include "x86/registers.h"

// What is wished of a vCPU's controls, beside what every vCPU has and what the members that say how
// it is stepped and debugged come to. vmcs_controls.c composes the VMCS's words: before the next
// entry after REQUEST_DEBUG, or at once.
struct control_wishes {
    // What the guest's items want to see, and what the vCPU is to do without.
    u32 primary, secondary, no_primary, exceptions;
    u32 apic; // how accesses to its local APIC are virtualized: secondary controls (SDM 30)
    // Exits when an interrupt, or an NMI, that waits could be delivered.
    bool interrupt_window, nmi_window;
    bool long_mode; // it enters in IA-32e mode
};

// The back end's part of a vCPU: the first of its members.
struct backend_vcpu {
    // Offsets known to entry.S (offsets.h), to `exits`.
    u64 gpr[GPR_COUNT]; // RSP's place is not used: it is in the VMCS
    u32 requests;       // public: any bit has the room above look before the next entry
    u8 launched;        // the VMCS's launch state (SDM 25.1)
    bool loaded;        // the VMCS is active on its core
    u16 vpid;
    u64 host_rsp;       // as in the VMCS
    u32 reason;         // of the present exit
    u32 plain_reasons;  // exits with a reason below this are looked at no closer: all or none
    u64 exits[EXIT_REASONS];

    hpa_t vmcs;
    u8 *msr_bitmap; // 4 KiB; the vCPU's own, since the x2APIC's part follows its APIC's mode
    struct control_wishes wishes;
    struct vmx_controls controls; // as in the VMCS
    u32 exception_bitmap;         // the same
};
