// SPDX-License-Identifier: MIT
// APIC virtualization (SDM Vol. 3, chapter 30): what the processor keeps of a vCPU's local APIC,
// and how it is told of the rest. Where the CPU has less of it, the calls say so.
//
// All on the core that owns the vCPU, in root mode, with the vCPU's VMCS current; those without a
// vCPU among their parameters work on whatever VMCS that is.
#pragma once

#include "lib/types.h"
#include "vmx/caps.h"
#include "vmx/seam.h"
#include "vmx/vmcs.h"

struct backend_vcpu;

// The CPU evaluates and delivers virtual interrupts, and takes posted ones without an exit.
static inline bool apicv_delivers(void)
{
    return vmx_has_pin(PIN_POSTED_INTERRUPTS);
}

// The CPU has TPR and CR8 in the virtual-APIC page.
static inline bool apicv_has_tpr(void)
{
    return vmx_caps.base.primary & PRIMARY_TPR_SHADOW;
}

// Whether accesses in x2APIC mode can be virtualized.
static inline bool apicv_has_x2apic(void)
{
    return vmx_caps.allowed1.secondary & SECONDARY_X2APIC;
}

// The APIC's part of a fresh VMCS: the virtual-APIC page, and where the CPU delivers interrupts the
// posted-interrupt descriptor and the page at which an xAPIC's registers are seen (host-physical).
// No interrupt is requested or in service.
void apicv_setup(hpa_t registers, hpa_t descriptor, hpa_t access_page);

// How the guest's accesses to its local APIC are virtualized from the next entry on (SDM 30.1,
// 30.5).
void apicv_set_accesses(struct backend_vcpu *b, enum apicv_accesses how);

// The guest interrupt status: RVI in bits 7:0, SVI in bits 15:8 (SDM 25.4.2). Where the CPU
// delivers.
static inline u16 apicv_status(void)
{
    return (u16)vmread(GUEST_INTERRUPT_STATUS);
}

static inline void apicv_set_status(u16 status)
{
    vmwrite(GUEST_INTERRUPT_STATUS, status);
}

// The vectors whose EOI exits (SDM 25.6.8). Where the CPU delivers.
void apicv_set_eoi_exits(const u64 bitmap[4]);

// The class below which a TPR exits (SDM 25.6.8), 0 to 15. Where it has TPR and does not deliver.
static inline void apicv_set_tpr_threshold(u32 threshold)
{
    vmwrite(TPR_THRESHOLD, threshold);
}
