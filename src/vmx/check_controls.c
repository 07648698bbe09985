// SPDX-License-Identifier: MIT
// An entry's checks on VM-execution, VM-exit and VM-entry controls (SDM Vol. 3, 27.2.1).
#include "vmx/check_internal.h"

// Controls of processor trace, which nothing else here speaks of (SDM 25.7.1, 25.8.1).
#define EXIT_CLEAR_RTIT_CTL BIT(25)
#define ENTRY_LOAD_RTIT_CTL BIT(18)

#define VMFUNC_EPTP_SWITCHING BIT(0)

#define APIC_PAGE_TPR 0x80

// EPT pointer (SDM 25.6.11).
#define EPTP_MEMORY_TYPE(e) ((e)&7)
#define EPTP_LEVELS(e)      (((e) >> 3 & 7) + 1)
#define EPTP_AD             BIT(6)
#define EPTP_SHADOW_STACK   BIT(7)
#define EPTP_RESERVED       0xf00ul
#define MEMORY_TYPE_UC      0
#define MEMORY_TYPE_WB      6

static bool may(u32 value, u32 allowed0, u32 allowed1)
{
    return (value & allowed0) == allowed0 && (value & ~allowed1) == 0;
}

static void check_reserved(struct entry_check *c)
{
    const struct vmx_controls *lo = &c->caps->allowed0, *hi = &c->caps->allowed1;
    const struct vmx_controls *is = &c->controls;
    check_require(c, may(is->pin, lo->pin, hi->pin), PIN_BASED_CONTROLS,
                  "reserved bits must be as IA32_VMX_PINBASED_CTLS says");
    check_require(c, may(is->primary, lo->primary, hi->primary), PRIMARY_CONTROLS,
                  "reserved bits must be as IA32_VMX_PROCBASED_CTLS says");
    check_require(c, may(is->secondary, lo->secondary, hi->secondary), SECONDARY_CONTROLS,
                  "reserved bits must be as IA32_VMX_PROCBASED_CTLS2 says");
    if (is->primary & PRIMARY_TERTIARY)
        check_require(c, (check_read(c, TERTIARY_CONTROLS) & ~c->caps->tertiary) == 0,
                      TERTIARY_CONTROLS, "reserved bits must be as IA32_VMX_PROCBASED_CTLS3 says");
    check_require(c, check_read(c, CR3_TARGET_COUNT) <= MISC_CR3_TARGETS(c->caps->misc),
                  CR3_TARGET_COUNT, "must not be above the number in IA32_VMX_MISC");
}

static void check_bitmaps(struct entry_check *c)
{
    if (c->controls.primary & PRIMARY_IO_BITMAPS) {
        check_page(c, IO_BITMAP_A);
        check_page(c, IO_BITMAP_B);
    }
    if (c->controls.primary & PRIMARY_MSR_BITMAPS)
        check_page(c, MSR_BITMAP);
    if (check_has_secondary(c, SECONDARY_VMCS_SHADOWING)) {
        check_page(c, VMREAD_BITMAP);
        check_page(c, VMWRITE_BITMAP);
    }
}

static void check_nmis(struct entry_check *c)
{
    bool virtual_nmis = c->controls.pin & PIN_VIRTUAL_NMIS;
    check_require(c, !virtual_nmis || (c->controls.pin & PIN_NMI_EXITING), PIN_BASED_CONTROLS,
                  "virtual NMIs need NMI exiting");
    check_require(c, virtual_nmis || !(c->controls.primary & PRIMARY_NMI_WINDOW), PRIMARY_CONTROLS,
                  "NMI-window exiting needs virtual NMIs");
}

static void check_tpr_shadow(struct entry_check *c)
{
    check_page(c, VIRTUAL_APIC_ADDRESS);
    if (check_has_secondary(c, SECONDARY_VIRTUAL_INTERRUPT_DELIVERY))
        return;
    u64 threshold = check_read(c, TPR_THRESHOLD);
    check_require(c, threshold >> 4 == 0, TPR_THRESHOLD,
                  "bits 31:4 must be clear without virtual-interrupt delivery");
    if (c->rule != NULL || check_has_secondary(c, SECONDARY_APIC_ACCESSES))
        return;
    u32 tpr = c->read_physical(check_read(c, VIRTUAL_APIC_ADDRESS) + APIC_PAGE_TPR);
    check_require(c, threshold <= (tpr >> 4 & 15), TPR_THRESHOLD,
                  "must not be above bits 7:4 of the virtual TPR");
}

static void check_apic(struct entry_check *c)
{
    if (c->controls.primary & PRIMARY_TPR_SHADOW) {
        check_tpr_shadow(c);
    } else {
        check_require(c, !check_has_secondary(c, SECONDARY_X2APIC), SECONDARY_CONTROLS,
                      "x2APIC mode needs the TPR shadow");
        check_require(c, !check_has_secondary(c, SECONDARY_APIC_REGISTERS), SECONDARY_CONTROLS,
                      "APIC-register virtualization needs the TPR shadow");
        check_require(c, !check_has_secondary(c, SECONDARY_VIRTUAL_INTERRUPT_DELIVERY),
                      SECONDARY_CONTROLS, "virtual-interrupt delivery needs the TPR shadow");
    }
    if (check_has_secondary(c, SECONDARY_APIC_ACCESSES)) {
        check_page(c, APIC_ACCESS_ADDRESS);
        check_require(c, !check_has_secondary(c, SECONDARY_X2APIC), SECONDARY_CONTROLS,
                      "x2APIC mode and APIC accesses exclude one another");
    }
    if (check_has_secondary(c, SECONDARY_VIRTUAL_INTERRUPT_DELIVERY))
        check_require(c, c->controls.pin & PIN_EXTERNAL_INTERRUPT_EXITING, PIN_BASED_CONTROLS,
                      "virtual-interrupt delivery needs external-interrupt exiting");
}

static void check_posted_interrupts(struct entry_check *c)
{
    if (!(c->controls.pin & PIN_POSTED_INTERRUPTS))
        return;
    check_require(c, check_has_secondary(c, SECONDARY_VIRTUAL_INTERRUPT_DELIVERY),
                  PIN_BASED_CONTROLS, "posted interrupts need virtual-interrupt delivery");
    check_require(c, c->controls.exit & EXIT_ACKNOWLEDGE_INTERRUPT, EXIT_CONTROLS,
                  "posted interrupts need interrupts to be acknowledged on exit");
    check_require(c, check_read(c, POSTED_INTERRUPT_NOTIFICATION_VECTOR) <= 0xff,
                  POSTED_INTERRUPT_NOTIFICATION_VECTOR, "must be a vector, 0 to 255");
    check_require(c, (check_read(c, POSTED_INTERRUPT_DESCRIPTOR_ADDRESS) & 63) == 0,
                  POSTED_INTERRUPT_DESCRIPTOR_ADDRESS, "must be aligned to 64 bytes");
    check_width(c, POSTED_INTERRUPT_DESCRIPTOR_ADDRESS);
}

static void check_ept_pointer(struct entry_check *c)
{
    u64 eptp = check_read(c, EPT_POINTER), caps = c->caps->ept_vpid;
    u64 type = EPTP_MEMORY_TYPE(eptp), levels = EPTP_LEVELS(eptp);
    check_require(c,
                  (type == MEMORY_TYPE_UC && (caps & EPT_CAP_UC)) ||
                      (type == MEMORY_TYPE_WB && (caps & EPT_CAP_WB)),
                  EPT_POINTER, "the memory type must be one that the CPU has for EPT");
    check_require(
        c, (levels == 4 && (caps & EPT_CAP_WALK_4)) || (levels == 5 && (caps & EPT_CAP_WALK_5)),
        EPT_POINTER, "the levels must be a number that the CPU has for EPT");
    check_require(c, !(eptp & EPTP_AD) || (caps & EPT_CAP_AD), EPT_POINTER,
                  "the CPU has no accessed and dirty bits in EPT");
    check_require(c, !(eptp & EPTP_SHADOW_STACK) || (caps & EPT_CAP_SHADOW_STACK), EPT_POINTER,
                  "the CPU has no supervisor shadow-stack control in EPT");
    check_require(c, (eptp & EPTP_RESERVED) == 0, EPT_POINTER, "reserved bits must be clear");
    check_width(c, EPT_POINTER);
}

// Secondary controls that are nothing without EPT.
static void check_needs_ept(struct entry_check *c)
{
    static const struct {
        enum secondary_control control;
        const char *rule;
    } needs[] = {
        {SECONDARY_UNRESTRICTED_GUEST, "unrestricted guest needs EPT"},
        {SECONDARY_PML, "page-modification logging needs EPT"},
        {SECONDARY_MODE_BASED_EXECUTE, "mode-based execute control needs EPT"},
        {SECONDARY_SUB_PAGE_WRITE, "sub-page write permissions need EPT"},
        {SECONDARY_PT_GUEST_PHYSICAL, "guest-physical addresses of processor trace need EPT"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(needs); i++)
        check_require(c, !check_has_secondary(c, needs[i].control), SECONDARY_CONTROLS,
                      needs[i].rule);
}

static void check_vm_functions(struct entry_check *c)
{
    u64 functions = check_read(c, VM_FUNCTION_CONTROLS);
    check_require(c, (functions & ~c->caps->vmfunc) == 0, VM_FUNCTION_CONTROLS,
                  "reserved bits must be as IA32_VMX_VMFUNC says");
    if (!(functions & VMFUNC_EPTP_SWITCHING))
        return;
    check_require(c, check_has_secondary(c, SECONDARY_EPT), VM_FUNCTION_CONTROLS,
                  "EPTP switching needs EPT");
    check_page(c, EPTP_LIST_ADDRESS);
}

static void check_memory(struct entry_check *c)
{
    if (check_has_secondary(c, SECONDARY_VPID))
        check_require(c, check_read(c, VPID) != 0, VPID, "must not be 0");
    if (check_has_secondary(c, SECONDARY_EPT))
        check_ept_pointer(c);
    else
        check_needs_ept(c);
    if (check_has_secondary(c, SECONDARY_PML))
        check_page(c, PML_ADDRESS);
    if (check_has_secondary(c, SECONDARY_SUB_PAGE_WRITE))
        check_page(c, SUB_PAGE_PERMISSION_POINTER);
    if (check_has_secondary(c, SECONDARY_VMFUNC))
        check_vm_functions(c);
    if (check_has_secondary(c, SECONDARY_EPT_VIOLATION_VE))
        check_page(c, VIRTUALIZATION_EXCEPTION_ADDRESS);
}

void check_execution_controls(struct entry_check *c)
{
    check_reserved(c);
    check_bitmaps(c);
    check_nmis(c);
    check_apic(c);
    check_posted_interrupts(c);
    check_memory(c);
    if (check_has_secondary(c, SECONDARY_PT_GUEST_PHYSICAL)) {
        check_require(c, c->controls.entry & ENTRY_LOAD_RTIT_CTL, ENTRY_CONTROLS,
                      "guest-physical addresses of processor trace need IA32_RTIT_CTL loaded");
        check_require(c, c->controls.exit & EXIT_CLEAR_RTIT_CTL, EXIT_CONTROLS,
                      "guest-physical addresses of processor trace need IA32_RTIT_CTL cleared");
    }
    if (check_has_secondary(c, SECONDARY_TSC_SCALING))
        check_require(c, check_read(c, TSC_MULTIPLIER) != 0, TSC_MULTIPLIER, "must not be 0");
}

// Count and address of an MSR area (SDM 25.7.2, 25.8.2): nothing is asked of an empty one.
static void check_msr_area(struct entry_check *c, enum vmcs_field count, enum vmcs_field address)
{
    u64 first = check_read(c, address), size = check_read(c, count) * 16;
    if (size == 0)
        return;
    check_require(c, (first & 15) == 0, address, "must be aligned to 16 bytes");
    check_width(c, address);
    check_require(c, (first + size - 1) >> c->maxphyaddr == 0, count,
                  "the area must end within the physical-address width");
}

void check_exit_controls(struct entry_check *c)
{
    check_require(c, may(c->controls.exit, c->caps->allowed0.exit, c->caps->allowed1.exit),
                  EXIT_CONTROLS, "reserved bits must be as IA32_VMX_EXIT_CTLS says");
    check_require(c,
                  !(c->controls.exit & EXIT_SAVE_PREEMPTION_TIMER) ||
                      (c->controls.pin & PIN_PREEMPTION_TIMER),
                  EXIT_CONTROLS, "saving the preemption timer needs the preemption timer");
    check_msr_area(c, EXIT_MSR_STORE_COUNT, EXIT_MSR_STORE_ADDRESS);
    check_msr_area(c, EXIT_MSR_LOAD_COUNT, EXIT_MSR_LOAD_ADDRESS);
}

void check_entry_controls(struct entry_check *c)
{
    u32 entry = c->controls.entry;
    check_require(c, may(entry, c->caps->allowed0.entry, c->caps->allowed1.entry), ENTRY_CONTROLS,
                  "reserved bits must be as IA32_VMX_ENTRY_CTLS says");
    check_require(c, !(entry & ENTRY_TO_SMM), ENTRY_CONTROLS, "entry to SMM is for SMM alone");
    check_require(c, !(entry & ENTRY_DEACTIVATE_DUAL_MONITOR), ENTRY_CONTROLS,
                  "deactivating dual-monitor treatment is for SMM alone");
    if (c->event != 0)
        check_event(c);
    check_msr_area(c, ENTRY_MSR_LOAD_COUNT, ENTRY_MSR_LOAD_ADDRESS);
}
