// SPDX-License-Identifier: MIT
// A vCPU's VMCS from nothing: controls, host state, and the guest state after RESET.
#include "lib/cpu.h"
#include "smp/descriptors.h"
#include "vcpu/vcpu_internal.h"
#include "vmx/caps.h"
#include "x86/bits.h"
#include "x86/msr_numbers.h"

#define ACCESS_CODE_16 0x9b
#define ACCESS_DATA_16 0x93
#define ACCESS_LDTR    0x82
#define ACCESS_TR      0x8b
#define PAT_RESET      0x0007040600070406ul
#define CR0_RESET      (CR0_CD | CR0_NW | CR0_ET)

static void setup_controls(struct vcpu *v)
{
    const struct vmx_controls *c = &vmx_caps.base;
    struct guest *g = v->guest;
    vmcs_begin_controls(v);
    vmwrite(EXIT_MSR_STORE_COUNT, 0);
    vmwrite(EXIT_MSR_LOAD_COUNT, 0);
    vmwrite(ENTRY_MSR_LOAD_COUNT, 0);
    vmwrite(ENTRY_INTERRUPTION_INFO, 0);

    vmwrite(IO_BITMAP_A, virt_to_phys(g->io_bitmap).v);
    vmwrite(IO_BITMAP_B, virt_to_phys(g->io_bitmap + PAGE_SIZE).v);
    vmwrite(MSR_BITMAP, virt_to_phys(v->run.msr_bitmap).v);
    vmwrite(EPT_POINTER, vcpu_ept_pointer(v));
    v->tsc_offset = g->tsc_offset + v->msrs.tsc_adjust;
    vmwrite(TSC_OFFSET, v->tsc_offset);
    if (c->secondary & SECONDARY_VPID)
        vmwrite(VPID, v->run.vpid);
    vmwrite(VMCS_LINK_POINTER, UINT64_MAX);
    // All leaves of SGX's instructions, which no guest has been told of. (ENCLU cannot be caught;
    // it has no enclave to enter.)
    if (c->secondary & SECONDARY_ENCLS_EXITING)
        vmwrite(ENCLS_EXITING_BITMAP, UINT64_MAX);
    if (c->secondary & SECONDARY_ENCLV_EXITING)
        vmwrite(ENCLV_EXITING_BITMAP, UINT64_MAX);
    // The rest, which the guest's items have a say in, is intercept_apply's.
}

static void setup_host(void)
{
    vmwrite(HOST_CR0, read_cr0());
    vmwrite(HOST_CR3, read_cr3());
    vmwrite(HOST_CR4, read_cr4());
    vmwrite(HOST_CS_SELECTOR, SELECTOR_CODE);
    vmwrite(HOST_SS_SELECTOR, SELECTOR_DATA);
    vmwrite(HOST_DS_SELECTOR, SELECTOR_DATA);
    vmwrite(HOST_ES_SELECTOR, SELECTOR_DATA);
    vmwrite(HOST_FS_SELECTOR, SELECTOR_DATA);
    vmwrite(HOST_GS_SELECTOR, SELECTOR_DATA);
    vmwrite(HOST_TR_SELECTOR, SELECTOR_TSS);
    vmwrite(HOST_FS_BASE, 0);
    vmwrite(HOST_IDTR_BASE, idt_base());
    vmwrite(HOST_SYSENTER_CS, 0);
    vmwrite(HOST_SYSENTER_ESP, 0);
    vmwrite(HOST_SYSENTER_EIP, 0);
    vmwrite(HOST_EFER, rdmsr(MSR_EFER));
    vmwrite(HOST_PAT, rdmsr(MSR_IA32_PAT));
    vmwrite(HOST_RIP, (u64)vmx_exit_entry);
}

// The part of the host state that differs from core to core.
void vmcs_set_core(struct vcpu *v)
{
    vmwrite(HOST_GS_BASE, (u64)v->core);
    vmwrite(HOST_TR_BASE, (u64)&v->core->tss);
    vmwrite(HOST_GDTR_BASE, (u64)v->core->gdt);
}

void vmcs_setup(struct vcpu *v)
{
    setup_controls(v);
    setup_host();
    vmcs_set_core(v);
    intercept_apply(v);
}

static void reset_segment(enum segment_name n, u32 access)
{
    vmcs_set_segment(n, &(struct segment){.limit = 0xffff, .access = access});
}

void vmcs_reset_guest(struct vcpu *v)
{
    vmwrite(CR0_SHADOW, CR0_RESET);
    vmwrite(GUEST_PAT, PAT_RESET);
    vmwrite(GUEST_DEBUGCTL, 0);
    vmwrite(GUEST_SYSENTER_CS, 0);
    vmwrite(GUEST_SYSENTER_ESP, 0);
    vmwrite(GUEST_SYSENTER_EIP, 0);
    v->msrs.debugctl = 0;
}

void vmcs_init_guest(struct vcpu *v)
{
    vmwrite(GUEST_CR0, CR0_ET | CR0_NE);
    vmwrite(CR0_SHADOW, (vmread(CR0_SHADOW) & (CR0_CD | CR0_NW)) | CR0_ET);
    vmwrite(GUEST_CR4, CR4_VMXE);
    vmwrite(CR4_SHADOW, 0);
    cpuid_follow_cr4(v, 0);
    vmwrite(GUEST_CR3, 0);
    vmwrite(GUEST_DR7, 0x400);
    vmwrite(GUEST_RFLAGS, RFLAGS_FIXED);
    vmwrite(GUEST_RIP, 0xfff0);
    vmwrite(GUEST_RSP, 0);

    for (unsigned n = SEG_ES; n <= SEG_GS; n++)
        reset_segment((enum segment_name)n, n == SEG_CS ? ACCESS_CODE_16 : ACCESS_DATA_16);
    vmwrite(GUEST_CS_SELECTOR, 0xf000);
    vmwrite(GUEST_CS_BASE, 0xffff0000);
    reset_segment(SEG_LDTR, ACCESS_LDTR);
    reset_segment(SEG_TR, ACCESS_TR);
    vmwrite(GUEST_GDTR_BASE, 0);
    vmwrite(GUEST_GDTR_LIMIT, 0xffff);
    vmwrite(GUEST_IDTR_BASE, 0);
    vmwrite(GUEST_IDTR_LIMIT, 0xffff);

    vmwrite(GUEST_EFER, 0);
    vmwrite(GUEST_INTERRUPTIBILITY, 0);
    vmwrite(GUEST_ACTIVITY, 0);
    vmwrite(GUEST_PENDING_DEBUG, 0);
    for (unsigned i = 0; i < 4; i++)
        vmwrite(GUEST_PDPTE0 + 2 * i, 0);
    vmwrite(ENTRY_INTERRUPTION_INFO, 0);
    v->debug.guest_dr7 = 0x400;
}
