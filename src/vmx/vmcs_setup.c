// SPDX-License-Identifier: MIT
// A vCPU's VMCS from nothing: controls, host state, and the guest state after RESET.
#include "boot/paging.h"
#include "lib/cpu.h"
#include "smp/descriptors.h"
#include "vmx/vmx_internal.h"
#include "x86/bits.h"
#include "x86/msr_numbers.h"

#define ACCESS_CODE_16 0x9b
#define ACCESS_DATA_16 0x93
#define ACCESS_LDTR    0x82
#define ACCESS_TR      0x8b
#define PAT_RESET      0x0007040600070406ul
#define CR0_RESET      (CR0_CD | CR0_NW | CR0_ET)

static void setup_controls(struct backend_vcpu *b, const struct backend_vm *vm)
{
    const struct vmx_controls *c = &vmx_caps.base;
    vmcs_begin_controls(b);
    vmwrite(EXIT_MSR_STORE_COUNT, 0);
    vmwrite(EXIT_MSR_LOAD_COUNT, 0);
    vmwrite(ENTRY_MSR_LOAD_COUNT, 0);
    vmwrite(ENTRY_INTERRUPTION_INFO, 0);

    vmwrite(IO_BITMAP_A, virt_to_phys(vm->io_bitmap).v);
    vmwrite(IO_BITMAP_B, virt_to_phys(vm->io_bitmap + PAGE_SIZE).v);
    vmwrite(MSR_BITMAP, virt_to_phys(b->msr_bitmap).v);
    if (c->secondary & SECONDARY_VPID)
        vmwrite(VPID, b->vpid);
    vmwrite(VMCS_LINK_POINTER, UINT64_MAX);
    // All leaves of SGX's instructions, which no guest has been told of. (ENCLU cannot be caught;
    // it has no enclave to enter.)
    if (c->secondary & SECONDARY_ENCLS_EXITING)
        vmwrite(ENCLS_EXITING_BITMAP, UINT64_MAX);
    if (c->secondary & SECONDARY_ENCLV_EXITING)
        vmwrite(ENCLV_EXITING_BITMAP, UINT64_MAX);
    // The rest is backend_catch()'s, and the TSC offset and the EPT the room's above.
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

void vmcs_set_core(const struct core *core)
{
    ASSERT_CORE(core);
    vmwrite(HOST_GS_BASE, (u64)core);
    vmwrite(HOST_TR_BASE, (u64)&core->tss);
    vmwrite(HOST_GDTR_BASE, (u64)core->gdt);
}

static void reset_segment(enum segment_name n, u32 access)
{
    state_set_segment(n, &(struct segment){.limit = 0xffff, .access = access});
}

void backend_reset_more(void)
{
    vmwrite(CR0_SHADOW, CR0_RESET);
    vmwrite(GUEST_PAT, PAT_RESET);
    vmwrite(GUEST_DEBUGCTL, 0);
    vmwrite(GUEST_SYSENTER_CS, 0);
    vmwrite(GUEST_SYSENTER_ESP, 0);
    vmwrite(GUEST_SYSENTER_EIP, 0);
}

static void init_guest(void)
{
    vmwrite(GUEST_CR0, CR0_ET | CR0_NE);
    vmwrite(CR0_SHADOW, (vmread(CR0_SHADOW) & (CR0_CD | CR0_NW)) | CR0_ET);
    vmwrite(GUEST_CR4, CR4_VMXE);
    vmwrite(CR4_SHADOW, 0);
    vmwrite(GUEST_CR3, 0);
    vmwrite(GUEST_DR7, DR7_FIXED);
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
    state_set_pdptes((const u64[4]){0});
    vmwrite(ENTRY_INTERRUPTION_INFO, 0);
}

void backend_reset(struct backend_vcpu *b, const struct backend_vm *vm, const struct core *core)
{
    ASSERT_CORE(core);
    b->has_no_siblings = vm->one_vcpu;
    b->cr4_allowed = vm->cr4_allowed;
    b->maxphyaddr = (u8)vm->maxphyaddr;
    setup_controls(b, vm);
    setup_host();
    vmcs_set_core(core);
    init_guest();
}
