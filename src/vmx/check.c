// SPDX-License-Identifier: MIT
// The checks that a VM entry makes on controls and guest state (SDM Vol. 3, 27.2.1 and 27.3.1), in
// software: so that a refused entry names the field. Works on the current VMCS.
#include "lib/format.h"
#include "vcpu/vcpu_internal.h"
#include "vmx/caps.h"
#include "x86/bits.h"
#include "x86/registers.h"

#define PENDING_DEFINED (0xful | BIT(12) | DR6_BS | BIT(16))

struct checker {
    struct text why;
    unsigned maxphyaddr;
    bool failed;
};

// Notes the first field that fails.
static void require(struct checker *c, bool ok, enum vmcs_field field, const char *rule)
{
    if (ok || c->failed)
        return;
    c->failed = true;
    text_add(&c->why, "%s = %lx: %s", vmcs_field_name(field), vmread(field), rule);
}

static bool may(u64 value, u32 allowed0, u32 allowed1)
{
    return ((u32)value & allowed0) == allowed0 && ((u32)value & ~allowed1) == 0;
}

static void check_controls(struct checker *c)
{
    const struct vmx_controls *lo = &vmx_caps.allowed0, *hi = &vmx_caps.allowed1;
    require(c, may(vmread(PIN_BASED_CONTROLS), lo->pin, hi->pin), PIN_BASED_CONTROLS,
            "reserved bits as IA32_VMX_PINBASED_CTLS says");
    require(c, may(vmread(PRIMARY_CONTROLS), lo->primary, hi->primary), PRIMARY_CONTROLS,
            "reserved bits as IA32_VMX_PROCBASED_CTLS says");
    require(c, may(vmread(SECONDARY_CONTROLS), lo->secondary, hi->secondary), SECONDARY_CONTROLS,
            "reserved bits as IA32_VMX_PROCBASED_CTLS2 says");
    require(c, may(vmread(EXIT_CONTROLS), lo->exit, hi->exit), EXIT_CONTROLS,
            "reserved bits as IA32_VMX_EXIT_CTLS says");
    require(c, may(vmread(ENTRY_CONTROLS), lo->entry, hi->entry), ENTRY_CONTROLS,
            "reserved bits as IA32_VMX_ENTRY_CTLS says");
    u64 pin = vmread(PIN_BASED_CONTROLS), secondary = vmread(SECONDARY_CONTROLS);
    if (pin & PIN_POSTED_INTERRUPTS) {
        require(c, secondary & SECONDARY_VIRTUAL_INTERRUPT_DELIVERY, PIN_BASED_CONTROLS,
                "posted interrupts need virtual-interrupt delivery");
        require(c, (vmread(POSTED_INTERRUPT_DESCRIPTOR_ADDRESS) & 63) == 0,
                POSTED_INTERRUPT_DESCRIPTOR_ADDRESS, "aligned to 64 bytes");
    }
    require(c, !(secondary & SECONDARY_X2APIC) || !(secondary & SECONDARY_APIC_ACCESSES),
            SECONDARY_CONTROLS, "x2APIC mode and APIC accesses exclude one another");
    require(c, !(pin & PIN_VIRTUAL_NMIS) || (pin & PIN_NMI_EXITING), PIN_BASED_CONTROLS,
            "virtual NMIs need NMI exiting");
    if (secondary & SECONDARY_VPID)
        require(c, vmread(VPID) != 0, VPID, "not 0");
}

static void check_registers(struct checker *c)
{
    u64 cr0 = vmread(GUEST_CR0), cr4 = vmread(GUEST_CR4), entry = vmread(ENTRY_CONTROLS);
    u64 free = CR0_PE | CR0_PG; // unrestricted guest
    require(c, (~cr0 & vmx_caps.cr0_fixed0 & ~free) == 0, GUEST_CR0, "bits fixed to 1");
    require(c, (cr0 & ~vmx_caps.cr0_fixed1) == 0, GUEST_CR0, "bits fixed to 0");
    require(c, !(cr0 & CR0_PG) || (cr0 & CR0_PE), GUEST_CR0, "paging needs protection");
    require(c, (~cr4 & vmx_caps.cr4_fixed0) == 0, GUEST_CR4, "bits fixed to 1");
    require(c, (cr4 & ~vmx_caps.cr4_fixed1) == 0, GUEST_CR4, "bits fixed to 0");
    if (entry & ENTRY_IA32E_GUEST) {
        require(c, cr0 & CR0_PG, GUEST_CR0, "an IA-32e mode guest pages");
        require(c, cr4 & CR4_PAE, GUEST_CR4, "an IA-32e mode guest has PAE");
    } else {
        require(c, !(cr4 & CR4_PCIDE), GUEST_CR4, "PCIDE outside IA-32e mode");
    }
    u64 efer = vmread(GUEST_EFER);
    bool lma = efer & EFER_LMA;
    require(c, lma == !!(entry & ENTRY_IA32E_GUEST), GUEST_EFER, "LMA as the entry control says");
    require(c, !(cr0 & CR0_PG) || lma == !!(efer & EFER_LME), GUEST_EFER, "LMA = LME when paging");
    require(c, (vmread(GUEST_CR3) & ~(BIT(c->maxphyaddr) - 1)) == 0, GUEST_CR3,
            "bits beyond the physical-address width clear");
    require(c, vmread(GUEST_DR7) >> 32 == 0, GUEST_DR7, "bits 63:32 clear");
    require(c, canonical(vmread(GUEST_SYSENTER_ESP)), GUEST_SYSENTER_ESP, "canonical");
    require(c, canonical(vmread(GUEST_SYSENTER_EIP)), GUEST_SYSENTER_EIP, "canonical");
}

static void check_segments(struct checker *c)
{
    static const enum vmcs_field first[] = {[SEGMENT_SELECTOR] = GUEST_ES_SELECTOR,
                                            [SEGMENT_BASE] = GUEST_ES_BASE,
                                            [SEGMENT_LIMIT] = GUEST_ES_LIMIT,
                                            [SEGMENT_ACCESS] = GUEST_ES_ACCESS};
    struct segment_mode mode = {.v8086 = vmread(GUEST_RFLAGS) & RFLAGS_VM,
                                .protected = vmread(GUEST_CR0) & CR0_PE,
                                .long_mode = vmread(ENTRY_CONTROLS) & ENTRY_IA32E_GUEST,
                                .cs_access = (u32)vmread(GUEST_CS_ACCESS),
                                .ss_access = (u32)vmread(GUEST_SS_ACCESS)};
    for (unsigned n = 0; n < SEG_COUNT; n++) {
        struct segment s;
        enum segment_field field = SEGMENT_ACCESS;
        vmcs_get_segment((enum segment_name)n, &s);
        const char *rule = segment_check((enum segment_name)n, &s, &mode, &field);
        require(c, rule == NULL, first[field] + 2 * n, rule);
    }
}

// SDM 27.3.1.5.
static void check_pending_debug(struct checker *c)
{
    u64 pending = vmread(GUEST_PENDING_DEBUG), blocking = vmread(GUEST_INTERRUPTIBILITY);
    bool shadow = (blocking & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS)) != 0 ||
                  vmread(GUEST_ACTIVITY) == ACTIVITY_HLT;
    bool traps = (vmread(GUEST_RFLAGS) & RFLAGS_TF) && !(vmread(GUEST_DEBUGCTL) & DEBUGCTL_BTF);
    require(c, (pending & ~PENDING_DEFINED) == 0, GUEST_PENDING_DEBUG, "reserved bits");
    require(c, !shadow || !!(pending & DR6_BS) == traps, GUEST_PENDING_DEBUG,
            "BS as RFLAGS.TF says, behind STI, MOV SS or HLT");
}

static void check_rest(struct checker *c)
{
    u64 flags = vmread(GUEST_RFLAGS), rip = vmread(GUEST_RIP);
    u64 blocking = vmread(GUEST_INTERRUPTIBILITY), event = vmread(ENTRY_INTERRUPTION_INFO);
    bool lma = vmread(ENTRY_CONTROLS) & ENTRY_IA32E_GUEST;
    require(c, lma && (vmread(GUEST_CS_ACCESS) & SEGMENT_LONG) ? canonical(rip) : rip >> 32 == 0,
            GUEST_RIP, "canonical, or 32 bits outside 64-bit code");
    require(c, (flags & ~0x3f7fd7ul) == 0 && (flags & RFLAGS_FIXED), GUEST_RFLAGS, "reserved bits");
    require(c, !(flags & RFLAGS_VM) || (!lma && (vmread(GUEST_CR0) & CR0_PE)), GUEST_RFLAGS,
            "VM only in protected mode outside IA-32e");
    bool external = (event & EVENT_VALID) && EVENT_TYPE(event) == EVENT_EXTERNAL;
    require(c, !external || (flags & RFLAGS_IF), GUEST_RFLAGS, "IF for an external interrupt");
    require(c, vmread(GUEST_ACTIVITY) <= 3, GUEST_ACTIVITY, "0 to 3");
    require(c, (blocking & ~0x1ful) == 0, GUEST_INTERRUPTIBILITY, "reserved bits");
    require(c, (blocking & 3) != 3, GUEST_INTERRUPTIBILITY, "not both STI and MOV SS");
    require(c, !(blocking & BLOCKING_BY_STI) || (flags & RFLAGS_IF), GUEST_INTERRUPTIBILITY,
            "blocking by STI needs IF");
    require(c, !external || (blocking & 3) == 0, GUEST_INTERRUPTIBILITY,
            "no blocking for an external interrupt");
    require(c, canonical(vmread(GUEST_GDTR_BASE)), GUEST_GDTR_BASE, "canonical");
    require(c, canonical(vmread(GUEST_IDTR_BASE)), GUEST_IDTR_BASE, "canonical");
    require(c, vmread(GUEST_GDTR_LIMIT) >> 16 == 0, GUEST_GDTR_LIMIT, "16 bits");
    require(c, vmread(GUEST_IDTR_LIMIT) >> 16 == 0, GUEST_IDTR_LIMIT, "16 bits");
    require(c, vmread(VMCS_LINK_POINTER) == UINT64_MAX, VMCS_LINK_POINTER, "all ones");
}

const char *vmcs_check(struct vcpu *v, char *buf, size_t size)
{
    struct checker c = {.why = {.buf = buf, .size = size}, .maxphyaddr = v->guest->maxphyaddr};
    buf[0] = '\0';
    check_controls(&c);
    check_registers(&c);
    check_segments(&c);
    check_rest(&c);
    check_pending_debug(&c);
    return c.failed ? buf : NULL;
}
